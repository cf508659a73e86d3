#include "devices/virtio_pci.h"

#include <algorithm>
#include <utility>

#include "devices/pci_bus.h"

namespace vitrine::devices {

enum class VirtioPci::Field : uint8_t {
  LegacyDeviceFeatures,
  LegacyDriverFeatures,
  LegacyQueuePage,
  LegacyQueueNotify,
  LegacyIsr,
  DeviceFeatureSelect,
  DeviceFeature,
  DriverFeatureSelect,
  DriverFeature,
  ConfigVector,
  QueueCount,
  Status,
  ConfigGeneration,
  QueueSelect,
  // Of the selected queue.
  QueueSize,
  QueueVector,
  QueueEnable,
  QueueNotifyOffset,
  QueueDescriptorsLow,
  QueueDescriptorsHigh,
  QueueAvailableLow,
  QueueAvailableHigh,
  QueueUsedLow,
  QueueUsedHigh,
};

struct VirtioPci::FieldRow {
  uint8_t offset;
  uint8_t size;
  Field field;
};

// "Legacy Interfaces: A Note on PCI Device Layout".
const VirtioPci::FieldRow VirtioPci::kLegacyFields[] = {
    {0, 4, Field::LegacyDeviceFeatures},
    {4, 4, Field::LegacyDriverFeatures},
    {8, 4, Field::LegacyQueuePage},
    {12, 2, Field::QueueSize},
    {14, 2, Field::QueueSelect},
    {16, 2, Field::LegacyQueueNotify},
    {18, 1, Field::Status},
    {19, 1, Field::LegacyIsr},
    {20, 2, Field::ConfigVector},
    {22, 2, Field::QueueVector},
};

// "Common configuration structure layout".
const VirtioPci::FieldRow VirtioPci::kCommonFields[] = {
    {0, 4, Field::DeviceFeatureSelect},
    {4, 4, Field::DeviceFeature},
    {8, 4, Field::DriverFeatureSelect},
    {12, 4, Field::DriverFeature},
    {16, 2, Field::ConfigVector},
    {18, 2, Field::QueueCount},
    {20, 1, Field::Status},
    {21, 1, Field::ConfigGeneration},
    {22, 2, Field::QueueSelect},
    {24, 2, Field::QueueSize},
    {26, 2, Field::QueueVector},
    {28, 2, Field::QueueEnable},
    {30, 2, Field::QueueNotifyOffset},
    {32, 4, Field::QueueDescriptorsLow},
    {36, 4, Field::QueueDescriptorsHigh},
    {40, 4, Field::QueueAvailableLow},
    {44, 4, Field::QueueAvailableHigh},
    {48, 4, Field::QueueUsedLow},
    {52, 4, Field::QueueUsedHigh},
};

namespace {

constexpr uint16_t kVendor = 0x1af4;
constexpr uint16_t kModernDevice = 0x1040;  // and the device type
constexpr unsigned kLegacyPorts = 128;
constexpr unsigned kLegacyHeader = 20;
constexpr unsigned kLegacyHeaderWithVectors = 24;

// BAR 4: a page for each structure.
constexpr uint64_t kCommonPage = 0x0000;
constexpr uint64_t kIsrPage = 0x1000;
constexpr uint64_t kDevicePage = 0x2000;
constexpr uint64_t kNotifyPage = 0x3000;
constexpr uint64_t kModernSize = 0x4000;
constexpr unsigned kCommonSize = 56;
constexpr unsigned kNotifyMultiplier = 4;

// "Virtio Structure PCI Capabilities".
constexpr uint8_t kVendorCapability = 0x09;
constexpr uint8_t kCommonStructure = 1;
constexpr uint8_t kNotifyStructure = 2;
constexpr uint8_t kIsrStructure = 3;
constexpr uint8_t kDeviceStructure = 4;
constexpr uint8_t kConfigAccess = 5;
constexpr unsigned kCapabilitySize = 16;

constexpr uint8_t kIsrQueue = 1;
constexpr uint8_t kIsrConfig = 2;

struct TypeRow {
  VirtioId id;
  uint16_t legacy_device;  ///< "PCI Device Discovery": the transitional device ids.
  uint32_t class_code;
};
constexpr TypeRow kTypes[] = {
    {VirtioId::Block, 0x1001, 0x010000},
    {VirtioId::Balloon, 0x1002, 0x00ff00},
    {VirtioId::Console, 0x1003, 0x078000},
    {VirtioId::Entropy, 0x1005, 0x00ff00},
};

PciIdentity identity(VirtioId id, VirtioInterfaces interfaces) {
  const TypeRow& row = *std::ranges::find(kTypes, id, &TypeRow::id);
  const bool modern_only = interfaces == VirtioInterfaces::Modern;
  // "PCI Device Discovery": a transitional device has revision 0, and the type as its subsystem.
  return {.vendor = kVendor,
          .device = modern_only ? static_cast<uint16_t>(kModernDevice + static_cast<unsigned>(id))
                                : row.legacy_device,
          .class_code = row.class_code,
          .revision = static_cast<uint8_t>(modern_only ? 1 : 0),
          .subsystem_vendor = kVendor,
          .subsystem = static_cast<uint16_t>(modern_only ? 0x1100 : static_cast<unsigned>(id)),
          .interrupt_pin = 1};
}

}  // namespace

VirtioPci::VirtioPci(std::unique_ptr<VirtioDevice> device, VirtioInterfaces interfaces, MessageSink* messages)
    : PciDevice(identity(device->id(), interfaces)), device_(std::move(device)) {
  queue_vectors_.assign(device_->queue_count(), Msix::kNoVector);
  device_->connect(*this);
  if (interfaces != VirtioInterfaces::Modern) {
    define_io_bar(kLegacyBar, kLegacyPorts, *this, memory::PortWidth::Dword);
  }
  if (messages != nullptr) define_messages(*messages);
  if (interfaces != VirtioInterfaces::Legacy) define_modern();
}

VirtioPci::~VirtioPci() = default;

void VirtioPci::define_messages(MessageSink& messages) {
  // One for the configuration, one a queue.
  msix_.emplace(std::min(device_->queue_count() + 1, Msix::kMostVectors), messages);
  define_memory_bar(kMsixBar, Msix::kWindowSize, *msix_);
  const unsigned at = add_capability(Msix::kCapability, Msix::kCapabilitySize);
  set_config16(at + 2, static_cast<uint16_t>(msix_->vectors() - 1));
  set_write_mask16(at + 2, Msix::kEnable | Msix::kFunctionMask);
  set_config32(at + 4, kMsixBar);
  set_config32(at + 8, Msix::kPendingOffset | kMsixBar);
  msix_control_ = at + 2;
}

void VirtioPci::define_modern() {
  define_memory_bar(kModernBar, kModernSize, *this);
  const auto add = [this](uint8_t type, uint64_t offset, uint32_t length, unsigned extra = 0) {
    const unsigned size = kCapabilitySize + extra;
    const unsigned at = add_capability(kVendorCapability, size);
    set_config8(at + 2, static_cast<uint8_t>(size));
    set_config8(at + 3, type);
    set_config8(at + 4, kModernBar);
    set_config32(at + 8, static_cast<uint32_t>(offset));
    set_config32(at + 12, length);
    return at;
  };
  add(kCommonStructure, kCommonPage, kCommonSize);
  const unsigned notify =
      add(kNotifyStructure, kNotifyPage, kNotifyMultiplier * device_->queue_count(), sizeof(uint32_t));
  set_config32(notify + kCapabilitySize, kNotifyMultiplier);
  add(kIsrStructure, kIsrPage, 1);
  add(kDeviceStructure, kDevicePage, VirtioDevice::kMostConfig);
  // "PCI configuration access capability": where and how much the guest chooses.
  config_access_ = add(kConfigAccess, 0, 0, sizeof(uint32_t));
  set_config8(config_access_ + 4, 0);
  set_write_mask8(config_access_ + 4, 0xff);
  set_write_mask32(config_access_ + 8, ~0u);
  set_write_mask32(config_access_ + 12, ~0u);
  set_write_mask32(config_access_ + kCapabilitySize, ~0u);
}

// ---- Registers.

uint32_t VirtioPci::read_fields(std::span<const FieldRow> rows, unsigned offset, unsigned size) {
  uint32_t value = 0;
  for (const FieldRow& row : rows) {
    if (row.offset + row.size <= offset || offset + size <= row.offset) continue;
    const uint32_t field = get(row.field);
    value |= row.offset >= offset ? field << 8 * (row.offset - offset) : field >> 8 * (offset - row.offset);
  }
  return value;
}

// An access that covers a field in part changes the part.
void VirtioPci::write_fields(std::span<const FieldRow> rows, unsigned offset, unsigned size, uint32_t value) {
  for (const FieldRow& row : rows) {
    if (row.offset + row.size <= offset || offset + size <= row.offset) continue;
    uint32_t field = 0;
    if (offset > row.offset || offset + size < row.offset + row.size + 0u) field = get(row.field);
    for (unsigned i = 0; i < row.size; ++i) {
      const unsigned at = row.offset + i;
      if (at < offset || at >= offset + size) continue;
      const uint32_t byte = (value >> 8 * (at - offset)) & 0xff;
      field = (field & ~(0xffu << 8 * i)) | byte << 8 * i;
    }
    set(row.field, field);
  }
}

uint32_t VirtioPci::get(Field field) {
  switch (field) {
    case Field::LegacyDeviceFeatures: return static_cast<uint32_t>(device_->offered_features());
    case Field::LegacyDriverFeatures: return static_cast<uint32_t>(device_->accepted_features());
    case Field::LegacyQueueNotify: return 0;
    case Field::LegacyIsr: return acknowledge();
    case Field::DeviceFeatureSelect: return device_feature_select_;
    case Field::DeviceFeature:
      return device_feature_select_ > 1
                 ? 0
                 : static_cast<uint32_t>(device_->offered_features() >> 32 * device_feature_select_);
    case Field::DriverFeatureSelect: return driver_feature_select_;
    case Field::DriverFeature:
      return driver_feature_select_ > 1
                 ? 0
                 : static_cast<uint32_t>(device_->accepted_features() >> 32 * driver_feature_select_);
    case Field::ConfigVector: return config_vector_;
    case Field::QueueCount: return device_->queue_count();
    case Field::Status: return device_->status();
    case Field::ConfigGeneration: return device_->config_generation();
    case Field::QueueSelect: return queue_select_;
    default: return get_queue(field);
  }
}

// "queue_size: if 0, the queue is unavailable", and so are its other fields.
uint32_t VirtioPci::get_queue(Field field) {
  if (queue_select_ >= device_->queue_count()) return field == Field::QueueVector ? Msix::kNoVector : 0;
  const Virtqueue& queue = device_->queue(queue_select_);
  const Virtqueue::Rings& rings = queue.rings();
  switch (field) {
    case Field::LegacyQueuePage: return queue.legacy_page();
    case Field::QueueSize: return queue.size();
    case Field::QueueVector: return queue_vectors_[queue_select_];
    case Field::QueueEnable: return queue.ready() ? 1 : 0;
    case Field::QueueNotifyOffset: return queue_select_;
    case Field::QueueDescriptorsLow: return static_cast<uint32_t>(rings.descriptors);
    case Field::QueueDescriptorsHigh: return static_cast<uint32_t>(rings.descriptors >> 32);
    case Field::QueueAvailableLow: return static_cast<uint32_t>(rings.available);
    case Field::QueueAvailableHigh: return static_cast<uint32_t>(rings.available >> 32);
    case Field::QueueUsedLow: return static_cast<uint32_t>(rings.used);
    case Field::QueueUsedHigh: return static_cast<uint32_t>(rings.used >> 32);
    default: return 0;
  }
}

void VirtioPci::set(Field field, uint32_t value) {
  switch (field) {
    case Field::LegacyDriverFeatures: device_->accept_features(0, value); break;
    case Field::LegacyQueueNotify: device_->notify(value); break;
    case Field::DeviceFeatureSelect: device_feature_select_ = value; break;
    case Field::DriverFeatureSelect: driver_feature_select_ = value; break;
    case Field::DriverFeature: device_->accept_features(driver_feature_select_, value); break;
    case Field::ConfigVector: config_vector_ = checked_vector(value); break;
    case Field::Status:
      if (value == 0) return reset_virtio();
      device_->set_status(static_cast<uint8_t>(value));
      break;
    case Field::QueueSelect: queue_select_ = static_cast<uint16_t>(value); break;
    default:
      if (queue_select_ < device_->queue_count()) set_queue(field, value);
  }
}

void VirtioPci::set_queue(Field field, uint32_t value) {
  Virtqueue& queue = device_->queue(queue_select_);
  Virtqueue::Rings rings = queue.rings();
  const auto low = [value](uint64_t& address) { address = (address & ~uint64_t{0xffffffff}) | value; };
  const auto high = [value](uint64_t& address) { address = (address & 0xffffffff) | uint64_t{value} << 32; };
  switch (field) {
    case Field::LegacyQueuePage: return queue.place_legacy(value);
    case Field::QueueSize: (void)queue.set_size(static_cast<uint16_t>(value)); return;
    case Field::QueueVector: queue_vectors_[queue_select_] = checked_vector(value); return;
    case Field::QueueEnable:
      // "The driver MUST NOT write a 0": then nothing happens.
      if (value == 1) queue.enable();
      return;
    case Field::QueueDescriptorsLow: low(rings.descriptors); break;
    case Field::QueueDescriptorsHigh: high(rings.descriptors); break;
    case Field::QueueAvailableLow: low(rings.available); break;
    case Field::QueueAvailableHigh: high(rings.available); break;
    case Field::QueueUsedLow: low(rings.used); break;
    case Field::QueueUsedHigh: high(rings.used); break;
    default: return;
  }
  queue.set_rings(rings);
}

// "MSI-X Vector Configuration": a vector that cannot be had reads back as none.
uint16_t VirtioPci::checked_vector(uint32_t vector) const {
  return msix_ && vector < msix_->vectors() ? static_cast<uint16_t>(vector) : Msix::kNoVector;
}

// ---- BAR 0: the legacy registers, and behind them the device's own.

unsigned VirtioPci::legacy_header_size() const {
  return messages_enabled() ? kLegacyHeaderWithVectors : kLegacyHeader;
}

uint32_t VirtioPci::read_port(uint16_t port, unsigned size) {
  const unsigned offset = port & (kLegacyPorts - 1);
  if (offset >= legacy_header_size()) return read_device_config(offset - legacy_header_size(), size);
  return read_fields(kLegacyFields, offset, size);
}

void VirtioPci::write_port(uint16_t port, unsigned size, uint32_t value) {
  const unsigned offset = port & (kLegacyPorts - 1);
  if (offset >= legacy_header_size()) return write_device_config(offset - legacy_header_size(), size, value);
  write_fields(kLegacyFields, offset, size, value);
}

uint32_t VirtioPci::read_device_config(uint64_t offset, unsigned size) const {
  uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= uint32_t{device_->read_config(static_cast<unsigned>(offset) + i)} << 8 * i;
  return value;
}

void VirtioPci::write_device_config(uint64_t offset, unsigned size, uint32_t value) {
  for (unsigned i = 0; i < size; ++i)
    device_->write_config(static_cast<unsigned>(offset) + i, static_cast<uint8_t>(value >> 8 * i));
}

// ---- BAR 4: the structures that the capabilities point to.

uint64_t VirtioPci::read_memory(uint64_t offset, unsigned size) {
  if (size == 8) return read_memory(offset, 4) | read_memory(offset + 4, 4) << 32;
  const auto within = static_cast<unsigned>(offset & kPageMask);
  switch (offset & ~uint64_t{kPageMask}) {
    case kCommonPage: return read_fields(kCommonFields, within, size);
    case kIsrPage: return within == 0 ? acknowledge() : 0;
    case kDevicePage: return read_device_config(within, size);
    default: return 0;
  }
}

void VirtioPci::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  if (size == 8) {
    write_memory(offset, 4, value & 0xffffffff);
    return write_memory(offset + 4, 4, value >> 32);
  }
  const auto within = static_cast<unsigned>(offset & kPageMask);
  switch (offset & ~uint64_t{kPageMask}) {
    case kCommonPage: return write_fields(kCommonFields, within, size, static_cast<uint32_t>(value));
    case kDevicePage: return write_device_config(within, size, static_cast<uint32_t>(value));
    case kNotifyPage: return device_->notify(within / kNotifyMultiplier);
    default: return;
  }
}

// ---- The PCI configuration access capability: the same registers for who cannot reach memory.

void VirtioPci::access_through_config(bool write) {
  const unsigned bar = config8(config_access_ + 4);
  const uint32_t offset = config32(config_access_ + 8);
  const uint32_t length = config32(config_access_ + 12);
  if (bar != kModernBar || (length != 1 && length != 2 && length != 4)) return;
  if (offset % length != 0 || offset > kModernSize - length) return;
  const unsigned data = config_access_ + kCapabilitySize;
  const uint32_t mask = length == 4 ? ~0u : (1u << 8 * length) - 1;
  if (write) return write_memory(offset, length, config32(data) & mask);
  set_config32(data, static_cast<uint32_t>(read_memory(offset, length)) & mask);
}

uint32_t VirtioPci::read_config(unsigned offset, unsigned size) {
  const unsigned data = config_access_ + kCapabilitySize;
  if (config_access_ != 0 && offset < data + 4 && offset + size > data) access_through_config(false);
  return PciDevice::read_config(offset, size);
}

void VirtioPci::config_written(unsigned offset, unsigned size) {
  const unsigned data = config_access_ + kCapabilitySize;
  if (config_access_ != 0 && offset < data + 4 && offset + size > data) access_through_config(true);
  update_messages();
}

void VirtioPci::command_changed(uint16_t /*command*/) {
  update_messages();
}

void VirtioPci::update_messages() {
  if (!msix_) return;
  msix_->set_control(config16(msix_control_), bus_master_enabled());
  // PCI 3.0, "MSI-X Enable": a function that sends messages does not use its pin.
  set_interrupt(!messages_enabled() && isr_ != 0);
}

// ---- Interrupts and memory.

uint8_t VirtioPci::acknowledge() {
  const uint8_t isr = isr_;
  isr_ = 0;
  if (!messages_enabled()) set_interrupt(false);
  return isr;
}

void VirtioPci::interrupt(uint8_t reason, uint16_t vector) {
  // "ISR status capability": with messages it shows changes of the configuration alone.
  if (!messages_enabled() || reason == kIsrConfig) isr_ |= reason;
  if (!messages_enabled()) return set_interrupt(true);
  if (vector != Msix::kNoVector) msix_->raise(vector);
}

void VirtioPci::interrupt_for_queue(unsigned queue) {
  interrupt(kIsrQueue, queue_vectors_[queue]);
}

void VirtioPci::interrupt_for_configuration() {
  interrupt(kIsrConfig, config_vector_);
}

DmaMemory* VirtioPci::memory() {
  if (bus() == nullptr || !bus_master_enabled()) return nullptr;
  if (!memory_) memory_.emplace(bus()->memory());
  return &*memory_;
}

void VirtioPci::reset_device() {
  reset_virtio();
  if (!msix_) return;
  msix_->reset();
  set_config16(msix_control_, config16(msix_control_) & ~(Msix::kEnable | Msix::kFunctionMask));
}

// The driver's own reset leaves the message table alone.
void VirtioPci::reset_virtio() {
  device_->reset();
  device_feature_select_ = driver_feature_select_ = 0;
  queue_select_ = 0;
  isr_ = 0;
  config_vector_ = Msix::kNoVector;
  std::ranges::fill(queue_vectors_, Msix::kNoVector);
  set_interrupt(false);
}

void VirtioPci::serialize_device(StateArchive& archive) {
  archive.section("virtio-pci", 1);
  archive.fields(device_feature_select_, driver_feature_select_, queue_select_, isr_, config_vector_);
  for (uint16_t& vector : queue_vectors_) archive.field(vector);
  if (msix_) msix_->serialize(archive);
  device_->serialize(archive);
  if (!archive.loading()) return;
  config_vector_ = checked_vector(config_vector_);
  for (uint16_t& vector : queue_vectors_) vector = checked_vector(vector);
  update_messages();
}

}  // namespace vitrine::devices

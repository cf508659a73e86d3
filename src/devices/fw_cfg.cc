#include "devices/fw_cfg.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"

namespace vitrine::devices {
namespace {

constexpr uint16_t kSelectorPort = 0x510;
constexpr uint16_t kDataPort = 0x511;
constexpr uint16_t kDmaHighPort = 0x514;
constexpr uint16_t kDmaLowPort = 0x518;
constexpr std::array<uint8_t, 8> kDmaSignature = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

constexpr uint32_t kIdTraditional = 1;
constexpr uint32_t kIdDma = 2;
constexpr uint16_t kWriteChannel = 0x4000;

constexpr uint32_t kDmaError = 1 << 0;
constexpr uint32_t kDmaRead = 1 << 1;
constexpr uint32_t kDmaSkip = 1 << 2;
constexpr uint32_t kDmaSelect = 1 << 3;
constexpr uint32_t kDmaWrite = 1 << 4;

void append_big_endian(std::vector<uint8_t>& out, uint64_t value, unsigned size) {
  for (unsigned i = size; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void append_little_endian(std::vector<uint8_t>& out, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t big_endian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (const uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

}  // namespace

FwCfg::FwCfg(memory::PortMap& ports, memory::PhysicalMap& memory) : ports_(ports), memory_(memory) {
  ports_.map(kSelectorPort, 2, *this, memory::PortWidth::Word);
  ports_.map(kDmaHighPort, 8, *this, memory::PortWidth::Dword);
  add_item(kSignature, {'Q', 'E', 'M', 'U'});
  add_u32(kId, kIdTraditional | kIdDma);
  rebuild_directory();
}

FwCfg::~FwCfg() {
  ports_.unmap(kDmaHighPort, 8, *this);
  ports_.unmap(kSelectorPort, 2, *this);
}

void FwCfg::add_item(uint16_t key, SharedBytes bytes) {
  items_[key] = std::move(bytes);
}

void FwCfg::add_u16(uint16_t key, uint16_t value) {
  std::vector<uint8_t> bytes;
  append_little_endian(bytes, value, 2);
  add_item(key, std::move(bytes));
}

void FwCfg::add_u32(uint16_t key, uint32_t value) {
  std::vector<uint8_t> bytes;
  append_little_endian(bytes, value, 4);
  add_item(key, std::move(bytes));
}

void FwCfg::add_u64(uint16_t key, uint64_t value) {
  std::vector<uint8_t> bytes;
  append_little_endian(bytes, value, 8);
  add_item(key, std::move(bytes));
}

Result<uint16_t> FwCfg::file_key(std::string_view name) {
  const auto it = std::ranges::find(files_, name, &File::name);
  if (it != files_.end()) return it->key;
  if (name.empty() || name.size() > kMaxNameLength) {
    return std::unexpected(Error{.what = "cannot add a firmware configuration file",
                                 .object = std::string(name),
                                 .advice = "names have 1 to 55 characters"});
  }
  if (files_.size() == kMaxFiles) {
    return std::unexpected(
        Error{.what = "too many firmware configuration files", .object = std::string(name)});
  }
  const auto key = static_cast<uint16_t>(kFirstFile + files_.size());
  files_.push_back({std::string(name), key});
  return key;
}

Result<void> FwCfg::add_file(std::string_view name, SharedBytes bytes) {
  const uint16_t key = TRY(file_key(name));
  add_item(key, std::move(bytes));
  rebuild_directory();
  return {};
}

std::span<const uint8_t> FwCfg::file(std::string_view name) const {
  const auto it = std::ranges::find(files_, name, &File::name);
  return it == files_.end() ? std::span<const uint8_t>() : items_.at(it->key).span();
}

// fw_cfg, "File Directory": a count, then size, selector, two reserved bytes and the name in 56 bytes; big
// endian.
void FwCfg::rebuild_directory() {
  std::vector<uint8_t> bytes;
  append_big_endian(bytes, files_.size(), 4);
  for (const File& each : files_) {
    append_big_endian(bytes, items_.at(each.key).size(), 4);
    append_big_endian(bytes, each.key, 2);
    append_big_endian(bytes, 0, 2);
    const size_t start = bytes.size();
    bytes.insert(bytes.end(), each.name.begin(), each.name.end());
    bytes.resize(start + kMaxNameLength + 1, 0);
  }
  add_item(kDirectory, std::move(bytes));
}

void FwCfg::set_memory(uint64_t ram_size, std::span<const MemoryRange> ranges) {
  add_u64(kRamSize, ram_size);
  std::vector<uint8_t> table;
  for (const MemoryRange& range : ranges) {
    append_little_endian(table, range.start, 8);
    append_little_endian(table, range.size, 8);
    append_little_endian(table, range.type, 4);
  }
  CHECK(add_file("etc/e820", std::move(table)));
}

void FwCfg::set_processors(uint16_t present, uint16_t possible) {
  add_u16(kProcessors, present);
  add_u16(kMaxProcessors, possible);
  // A count of zero nodes, then a node number for each processor.
  add_item(kNuma, std::vector<uint8_t>(8 * (1 + size_t{possible}), 0));
}

void FwCfg::set_boot_menu(uint16_t offered) {
  add_u16(kBootMenu, offered);
}
void FwCfg::set_irq0_override(uint8_t overridden) {
  add_item(kIrq0Override, {overridden, 0, 0, 0});
}

Result<void> FwCfg::set_boot_order(std::span<const std::string> paths) {
  std::vector<uint8_t> text;
  for (const std::string& path : paths) {
    if (!text.empty()) text.push_back('\n');
    text.insert(text.end(), path.begin(), path.end());
  }
  text.push_back(0);
  return add_file("bootorder", std::move(text));
}

void FwCfg::set_system_states() {
  // A byte a state: bit 7 "exists", low bits the sleep type that enters it.
  CHECK(add_file("etc/system-states", {0x80, 0, 0, 0x01, 0x80 | 0x02, 0x80}));
}

void FwCfg::reset() {
  select(kSignature);
  dma_high_ = 0;
}

void FwCfg::select(uint16_t key) {
  selected_ = key & static_cast<uint16_t>(~kWriteChannel);
  offset_ = 0;
}

std::span<const uint8_t> FwCfg::rest() const {
  const auto it = items_.find(selected_);
  if (it == items_.end() || offset_ >= it->second.size()) return {};
  return it->second.span().subspan(offset_);
}

uint32_t FwCfg::read_port(uint16_t port, unsigned size) {
  if (port == kDataPort && size == 1) {
    const std::span<const uint8_t> left = rest();
    if (left.empty()) return 0;
    ++offset_;
    return left.front();
  }
  if (port >= kDmaHighPort) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
      const unsigned at = port - kDmaHighPort + i;
      if (at < kDmaSignature.size()) value |= static_cast<uint32_t>(kDmaSignature[at]) << (8 * i);
    }
    return value;
  }
  return 0;
}

void FwCfg::write_port(uint16_t port, unsigned size, uint32_t value) {
  if (port == kSelectorPort && size == 2) {
    select(static_cast<uint16_t>(value));
  } else if (port == kDmaHighPort && size == 4) {
    dma_high_ = __builtin_bswap32(value);
  } else if (port == kDmaLowPort && size == 4) {
    const uint64_t address = static_cast<uint64_t>(dma_high_) << 32 | __builtin_bswap32(value);
    dma_high_ = 0;
    run_dma(PhysicalAddress(address));
  }
}

void FwCfg::run_dma(PhysicalAddress descriptor) {
  std::array<uint8_t, 16> bytes{};
  memory_.read(descriptor, bytes);
  const std::span<const uint8_t> view = bytes;
  const auto control = static_cast<uint32_t>(big_endian(view.first(4)));
  const auto length = static_cast<uint32_t>(big_endian(view.subspan(4, 4)));
  const PhysicalAddress address(big_endian(view.subspan(8, 8)));
  std::vector<uint8_t> result;
  append_big_endian(result, transfer(control, length, address), 4);
  memory_.write(descriptor, result);
}

uint32_t FwCfg::transfer(uint32_t control, uint32_t length, PhysicalAddress address) {
  if ((control & kDmaSelect) != 0) select(static_cast<uint16_t>(control >> 16));
  if ((control & kDmaRead) != 0) {
    const std::span<const uint8_t> left = rest();
    const auto copied = static_cast<uint32_t>(std::min<uint64_t>(length, left.size()));
    if (length - copied > kMaxPadding) return kDmaError;
    memory_.write(address, left.first(copied));
    if (length != copied) memory_.write(address + copied, std::vector<uint8_t>(length - copied, 0));
    offset_ += copied;
  } else if ((control & kDmaWrite) != 0) {
    return kDmaError;
  } else if ((control & kDmaSkip) != 0) {
    offset_ = static_cast<uint32_t>(
        std::min<uint64_t>(uint64_t{offset_} + length, std::numeric_limits<uint32_t>::max()));
  }
  return 0;
}

void FwCfg::serialize(StateArchive& archive) {
  archive.section("fw-cfg", 1);
  archive.fields(selected_, offset_, dma_high_);
}

}  // namespace vitrine::devices

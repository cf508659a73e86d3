#include "devices/ata_disk.h"

#include <algorithm>
#include <optional>

namespace vitrine::devices {

namespace {

constexpr uint64_t kMaxSectors28 = 0x0fffffff;
// ATA-5, "CHS and LBA": the translation that every disk of more than 8 GB reports.
constexpr uint16_t kMaxCylinders = 16383;
constexpr uint8_t kDefaultHeads = 16;
constexpr uint8_t kDefaultSectors = 63;

}  // namespace

struct AtaDisk::CommandRow {
  uint8_t first;
  uint8_t last;
  Start start;
  void (AtaDisk::*run)();
};

// In the order of the opcodes. What is missing here is aborted.
const AtaDisk::CommandRow AtaDisk::kCommands[] = {
    {0x10, 0x1f, Start::Later, &AtaDisk::recalibrate},
    {0x20, 0x21, Start::Later, &AtaDisk::read_sectors},
    {0x24, 0x24, Start::Later, &AtaDisk::read_sectors_ext},
    {0x25, 0x25, Start::Later, &AtaDisk::read_dma_ext},
    {0x27, 0x27, Start::Later, &AtaDisk::read_native_max_ext},
    {0x29, 0x29, Start::Later, &AtaDisk::read_multiple_ext},
    {0x30, 0x31, Start::AtOnce, &AtaDisk::write_sectors},
    {0x34, 0x34, Start::AtOnce, &AtaDisk::write_sectors_ext},
    {0x35, 0x35, Start::Later, &AtaDisk::write_dma_ext},
    {0x39, 0x39, Start::AtOnce, &AtaDisk::write_multiple_ext},
    {0x40, 0x41, Start::Later, &AtaDisk::verify_sectors},
    {0x42, 0x42, Start::Later, &AtaDisk::verify_sectors_ext},
    {0x70, 0x7f, Start::Later, &AtaDisk::seek},
    {0x91, 0x91, Start::Later, &AtaDisk::initialize_device_parameters},
    {0x94, 0x94, Start::Later, &AtaDisk::standby},
    {0x95, 0x95, Start::Later, &AtaDisk::active},
    {0x96, 0x96, Start::Later, &AtaDisk::standby},
    {0x97, 0x97, Start::Later, &AtaDisk::active},
    {0x98, 0x98, Start::Later, &AtaDisk::check_power_mode},
    {0x99, 0x99, Start::Later, &AtaDisk::sleep},
    {0xc4, 0xc4, Start::Later, &AtaDisk::read_multiple},
    {0xc5, 0xc5, Start::AtOnce, &AtaDisk::write_multiple},
    {0xc6, 0xc6, Start::Later, &AtaDisk::set_multiple_mode},
    {0xc8, 0xc9, Start::Later, &AtaDisk::read_dma},
    {0xca, 0xcb, Start::Later, &AtaDisk::write_dma},
    {0xe0, 0xe0, Start::Later, &AtaDisk::standby},  // STANDBY IMMEDIATE
    {0xe1, 0xe1, Start::Later, &AtaDisk::active},   // IDLE IMMEDIATE
    {0xe2, 0xe2, Start::Later, &AtaDisk::standby},
    {0xe3, 0xe3, Start::Later, &AtaDisk::active},  // IDLE
    {0xe5, 0xe5, Start::Later, &AtaDisk::check_power_mode},
    {0xe6, 0xe6, Start::Later, &AtaDisk::sleep},
    {0xe7, 0xe7, Start::Later, &AtaDisk::flush_cache},
    {0xea, 0xea, Start::Later, &AtaDisk::flush_cache},  // FLUSH CACHE EXT
    {0xec, 0xec, Start::Later, &AtaDisk::identify},
    {0xef, 0xef, Start::Later, &AtaDisk::set_features},
    {0xf8, 0xf8, Start::Later, &AtaDisk::read_native_max},
};

AtaDisk::AtaDisk(Clock& clock, BlockBackend& backend, AtaIdentity identity)
    : AtaDevice(clock),
      backend_(backend),
      identity_(std::move(identity)),
      total_(backend.size() / kSectorSize + (backend.size() % kSectorSize != 0 ? 1 : 0)) {
  const uint64_t cylinders = total_ / (uint64_t{kDefaultHeads} * kDefaultSectors);
  default_geometry_ = {.cylinders = static_cast<uint16_t>(std::clamp<uint64_t>(cylinders, 1, kMaxCylinders)),
                       .heads = kDefaultHeads,
                       .sectors = kDefaultSectors};
  AtaDisk::power_on();
}

void AtaDisk::power_on() {
  geometry_ = default_geometry_;
  modes_ = {};
  write_cache_ = true;
  look_ahead_ = true;
}

void AtaDisk::reset_device() {
  stage_ = Stage::Command;
  operation_ = {};
  multiple_ = kMaxMultiple;
  standby_ = false;
  set_signature(0, 0);
}

void AtaDisk::start_command(uint8_t command) {
  command_ = command;
  stage_ = Stage::Command;
  const auto* row = std::ranges::find_if(kCommands, [command](const CommandRow& candidate) {
    return candidate.first <= command && command <= candidate.last;
  });
  if (row != std::end(kCommands) && row->start == Start::AtOnce) return (this->*row->run)();
  enter_busy();
}

void AtaDisk::step() {
  switch (stage_) {
    case Stage::Command: break;
    case Stage::Failing: return fail(failure_);
    case Stage::Reading: return read_block();
    case Stage::Writing: return write_block();
    case Stage::DmaReading: return dma_read();
    case Stage::DmaWriting: return dma_write();
  }
  const auto* row = std::ranges::find_if(kCommands, [this](const CommandRow& candidate) {
    return candidate.first <= command_ && command_ <= candidate.last;
  });
  if (row == std::end(kCommands) || row->start == Start::AtOnce) return abort();
  (this->*row->run)();
}

std::optional<uint64_t> AtaDisk::requested_lba(Addressing addressing) const {
  const uint64_t low =
      uint64_t{registers_.lba_low} | uint64_t{registers_.lba_mid} << 8 | uint64_t{registers_.lba_high} << 16;
  if (addressing == Addressing::Bits48) {
    // "48-bit Address feature set": commands of the set know LBA only, whatever the device register says.
    return low | uint64_t{previous_.lba_low} << 24 | uint64_t{previous_.lba_mid} << 32 |
           uint64_t{previous_.lba_high} << 40;
  }
  const uint8_t head = device_ & AtaDeviceBits::kHeadMask;
  if ((device_ & AtaDeviceBits::kLba) != 0) return low | uint64_t{head} << 24;
  const uint32_t cylinder = registers_.lba_mid | uint32_t{registers_.lba_high} << 8;
  const uint8_t sector = registers_.lba_low;
  if (sector == 0 || sector > geometry_.sectors || head >= geometry_.heads ||
      cylinder >= geometry_.cylinders) {
    return std::nullopt;
  }
  return (uint64_t{cylinder} * geometry_.heads + head) * geometry_.sectors + sector - 1;
}

AtaDisk::Operation AtaDisk::requested(Addressing addressing) const {
  Operation operation;
  operation.addressing = addressing;
  operation.lba_mode = addressing == Addressing::Bits48 || (device_ & AtaDeviceBits::kLba) != 0;
  operation.remaining = registers_.sector_count;
  if (addressing == Addressing::Bits48) operation.remaining |= uint32_t{previous_.sector_count} << 8;
  if (operation.remaining == 0) operation.remaining = addressing == Addressing::Bits48 ? 65536 : 256;
  return operation;
}

void AtaDisk::show_address(const Operation& operation, uint64_t lba) {
  const auto byte = [](uint64_t value) { return static_cast<uint8_t>(value); };
  const auto head = [this](uint64_t value) {
    device_ =
        static_cast<uint8_t>((device_ & ~AtaDeviceBits::kHeadMask) | (value & AtaDeviceBits::kHeadMask));
  };
  if (operation.lba_mode) {
    registers_.lba_low = byte(lba);
    registers_.lba_mid = byte(lba >> 8);
    registers_.lba_high = byte(lba >> 16);
    if (operation.addressing == Addressing::Bits28) return head(lba >> 24);
    previous_.lba_low = byte(lba >> 24);
    previous_.lba_mid = byte(lba >> 32);
    previous_.lba_high = byte(lba >> 40);
    return;
  }
  const uint64_t track = lba / geometry_.sectors;
  const uint64_t cylinder = track / geometry_.heads;
  registers_.lba_low = byte(lba % geometry_.sectors + 1);
  registers_.lba_mid = byte(cylinder);
  registers_.lba_high = byte(cylinder >> 8);
  head(track % geometry_.heads);
}

// Decodes and checks the address of a media command into operation_. False: it is out of range, and the
// registers show the first sector that is.
bool AtaDisk::begin(Addressing addressing) {
  standby_ = false;
  const Operation wanted = requested(addressing);
  const auto lba = requested_lba(addressing);
  operation_ = {};
  if (!lba) return false;
  if (*lba >= total_ || wanted.remaining > total_ - *lba) {
    if (*lba < total_) show_address(wanted, total_);
    return false;
  }
  operation_ = wanted;
  operation_.lba = *lba;
  return true;
}

void AtaDisk::read_sectors() {
  begin_pio_read(Addressing::Bits28, 1);
}
void AtaDisk::read_sectors_ext() {
  begin_pio_read(Addressing::Bits48, 1);
}
void AtaDisk::read_multiple() {
  begin_pio_read(Addressing::Bits28, multiple_);
}
void AtaDisk::read_multiple_ext() {
  begin_pio_read(Addressing::Bits48, multiple_);
}
void AtaDisk::write_sectors() {
  begin_pio_write(Addressing::Bits28, 1);
}
void AtaDisk::write_sectors_ext() {
  begin_pio_write(Addressing::Bits48, 1);
}
void AtaDisk::write_multiple() {
  begin_pio_write(Addressing::Bits28, multiple_);
}
void AtaDisk::write_multiple_ext() {
  begin_pio_write(Addressing::Bits48, multiple_);
}
void AtaDisk::verify_sectors() {
  begin_verify(Addressing::Bits28);
}
void AtaDisk::verify_sectors_ext() {
  begin_verify(Addressing::Bits48);
}
void AtaDisk::read_dma() {
  begin_dma(Addressing::Bits28, Stage::DmaReading);
}
void AtaDisk::read_dma_ext() {
  begin_dma(Addressing::Bits48, Stage::DmaReading);
}
void AtaDisk::write_dma() {
  begin_dma(Addressing::Bits28, Stage::DmaWriting);
}
void AtaDisk::write_dma_ext() {
  begin_dma(Addressing::Bits48, Stage::DmaWriting);
}

void AtaDisk::seek() {
  standby_ = false;
  const auto lba = requested_lba(Addressing::Bits28);
  if (!lba || *lba >= total_) return fail(AtaError::kIdNotFound);
  complete(Notify::Interrupt);
}

void AtaDisk::recalibrate() {
  standby_ = false;
  registers_.lba_mid = registers_.lba_high = 0;
  complete(Notify::Interrupt);
}

void AtaDisk::flush_cache() {
  if (flush_backend()) complete(Notify::Interrupt);
}

void AtaDisk::set_multiple_mode() {
  const uint8_t count = registers_.sector_count;
  const bool power_of_two = (count & (count - 1)) == 0;
  if (count > kMaxMultiple || !power_of_two) return abort();
  multiple_ = count;
  complete(Notify::Interrupt);
}

void AtaDisk::initialize_device_parameters() {
  const uint8_t sectors = registers_.sector_count;
  if (sectors == 0) return abort();
  const auto heads = static_cast<uint8_t>((device_ & AtaDeviceBits::kHeadMask) + 1);
  const uint64_t cylinders = std::min<uint64_t>(total_ / (uint64_t{heads} * sectors), 65535);
  geometry_ = {.cylinders = static_cast<uint16_t>(std::max<uint64_t>(cylinders, 1)),
               .heads = heads,
               .sectors = sectors};
  complete(Notify::Interrupt);
}

void AtaDisk::set_features() {
  switch (registers_.features) {
    case 0x02: write_cache_ = true; break;
    case 0x82:
      // What was cached has to be on the disk before the cache can be gone.
      if (!flush_backend()) return;
      write_cache_ = false;
      break;
    case 0x03:
      if (!modes_.select(registers_.sector_count)) return abort();
      break;
    case 0x55: look_ahead_ = false; break;
    case 0xaa: look_ahead_ = true; break;
    case 0x66:  // keep settings over a soft reset: they are kept anyway
    case 0xcc: break;
    default: return abort();
  }
  complete(Notify::Interrupt);
}

void AtaDisk::read_native_max() {
  const uint64_t last = total_ == 0 ? 0 : std::min(total_, kMaxSectors28) - 1;
  Operation operation;
  operation.lba_mode = true;
  show_address(operation, last);
  complete(Notify::Interrupt);
}

void AtaDisk::read_native_max_ext() {
  Operation operation;
  operation.lba_mode = true;
  operation.addressing = Addressing::Bits48;
  show_address(operation, total_ == 0 ? 0 : total_ - 1);
  complete(Notify::Interrupt);
}

void AtaDisk::check_power_mode() {
  registers_.sector_count = standby_ ? 0x00 : 0xff;
  complete(Notify::Interrupt);
}

void AtaDisk::active() {
  standby_ = false;
  complete(Notify::Interrupt);
}

void AtaDisk::standby() {
  if (!flush_backend()) return;
  standby_ = true;
  complete(Notify::Interrupt);
}

void AtaDisk::sleep() {
  if (!flush_backend()) return;
  complete(Notify::Interrupt);
  fall_asleep();
}

void AtaDisk::identify() {
  AtaIdentifyData data;
  data.set_identity(identity_);
  data[0] = 0x0040;  // not removable
  data[1] = default_geometry_.cylinders;
  data[3] = default_geometry_.heads;
  data[6] = default_geometry_.sectors;
  data[47] = 0x8000 | kMaxMultiple;
  data[48] = 0x0001;  // 32-bit accesses to the data register
  data[50] = 0x4000;
  data[51] = 0x0200;
  data[54] = geometry_.cylinders;
  data[55] = geometry_.heads;
  data[56] = geometry_.sectors;
  data.set32(57, uint32_t{geometry_.cylinders} * geometry_.heads * geometry_.sectors);
  if (multiple_ != 0) data[59] = 0x0100 | multiple_;
  data.set32(60, static_cast<uint32_t>(std::min(total_, kMaxSectors28)));
  modes_.describe(data);
  data[80] = 0x0070;  // ATA/ATAPI-4 to -6
  // Look-ahead, write cache, power management; FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses.
  data[82] = 0x0068;
  data[83] = 0x7400;
  data[84] = 0x4000;
  data[85] = static_cast<uint16_t>(0x0008 | (write_cache_ ? 0x0020 : 0) | (look_ahead_ ? 0x0040 : 0));
  data[86] = 0x3400;
  data[87] = 0x4000;
  // "Hardware reset result": which device it is, found by its jumper, diagnostics passed.
  data[93] = position_on_channel() == 0 ? 0x400b : 0x4b00;
  data.set64(100, total_);
  data.write(std::span(buffer_));
  operation_.remaining = 0;
  stage_ = Stage::Reading;
  begin_data_in(AtaIdentifyData::kBytes, Notify::Interrupt);
}

void AtaDisk::serialize_device(StateArchive& archive) {
  archive.section("ata_disk", 1);
  archive.fields(geometry_.cylinders, geometry_.heads, geometry_.sectors, command_, failure_, multiple_);
  archive.fields(write_cache_, look_ahead_, standby_, stage_);
  archive.fields(operation_.lba, operation_.remaining, operation_.block, operation_.addressing,
                 operation_.lba_mode);
  modes_.serialize(archive);
  uint64_t sectors = total_;
  archive.field(sectors);
  if (sectors != total_) archive.reject("the disk image has another size than when the state was saved");
  const bool in_range = operation_.remaining <= 65536 && operation_.lba <= total_ &&
                        operation_.remaining <= total_ - operation_.lba;
  const bool possible = geometry_.sectors != 0 && geometry_.heads != 0 && multiple_ <= kMaxMultiple &&
                        stage_ <= Stage::DmaWriting && operation_.addressing <= Addressing::Bits48 &&
                        in_range && operation_.block >= 1 && operation_.block <= kMaxMultiple;
  if (possible) return;
  archive.reject("an ATA disk's state contradicts itself");
  power_on();
  reset_device();
}

}  // namespace vitrine::devices

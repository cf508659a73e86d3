// The drive's ATA side and the packet protocol. The packets themselves are in atapi_packets.cc.
#include "devices/atapi_cdrom.h"

#include <algorithm>
#include <cstring>

namespace vitrine::devices {

namespace {

constexpr uint8_t kSignatureMid = 0x14;
constexpr uint8_t kSignatureHigh = 0xeb;

// "Interrupt Reason register".
constexpr uint8_t kReasonCommand = 0x01;  // C/D
constexpr uint8_t kReasonToHost = 0x02;   // I/O

constexpr uint8_t kFeatureDma = 0x01;
constexpr uint8_t kDeviceReset = 0x08;
constexpr uint8_t kPacket = 0xa0;

// "Media" class of GET EVENT STATUS NOTIFICATION.
constexpr uint8_t kEventEjectRequest = 1;
constexpr uint8_t kEventNewMedia = 2;
constexpr uint8_t kEventMediaRemoval = 3;

// Which parts of a raw mode 1 sector READ CD's byte 9 selects, in the order of the disc.
struct RawField {
  uint8_t bit;
  uint16_t start;
  uint16_t bytes;
};
constexpr std::array<RawField, 4> kRawFields = {
    {{0x80, 0, 12}, {0x20, 12, 4}, {0x10, 16, 2048}, {0x08, 2064, 288}}};

}  // namespace

AtapiCdrom::AtapiCdrom(Clock& clock, AtaIdentity identity)
    : AtaDevice(clock), identity_(std::move(identity)) {}

void AtapiCdrom::insert(BlockBackend* medium) {
  medium_ = medium;
  const uint64_t size = medium == nullptr ? 0 : medium->size();
  const uint64_t blocks = size / kCdUserData + (size % kCdUserData != 0 ? 1 : 0);
  blocks_ = static_cast<uint32_t>(std::min<uint64_t>(blocks, UINT32_MAX));
  tray_open_ = false;
  attention_ = blocks_ != 0;
  event_ = blocks_ != 0 ? kEventNewMedia : kEventMediaRemoval;
}

void AtapiCdrom::press_eject() {
  if (locked_) {
    event_ = kEventEjectRequest;
    return;
  }
  tray_open_ = true;
  event_ = kEventMediaRemoval;
}

void AtapiCdrom::reset_device() {
  stage_ = Stage::Command;
  remaining_ = 0;
  sense_ = kNoSense;
  locked_ = false;
  set_signature(kSignatureMid, kSignatureHigh);
}

void AtapiCdrom::start_command(uint8_t command) {
  command_ = command;
  if (command == kDeviceReset) {
    hold_reset();
    return release_reset();
  }
  stage_ = Stage::Command;
  if (command != kPacket) return enter_busy();
  dma_ = (registers_.features & kFeatureDma) != 0 && dma_engine() != nullptr;
  byte_limit_ = static_cast<uint16_t>(registers_.lba_mid | registers_.lba_high << 8);
  registers_.sector_count = kReasonCommand;
  stage_ = Stage::CollectPacket;
  begin_data_out(kPacketSize, Notify::Silent);
}

void AtapiCdrom::step() {
  switch (stage_) {
    case Stage::Command:
    case Stage::CollectPacket: return run_ata_command();
    case Stage::Packet: return execute_packet();
    case Stage::Data: return dma_ ? send_by_dma() : send_block();
    case Stage::Status: return packet_done();
  }
}

void AtapiCdrom::run_ata_command() {
  switch (command_) {
    case 0xa1: return identify_packet_device();
    case 0xef: return set_features();
    case 0x94:  // standby, idle and their immediate forms: there is nothing to spin down
    case 0x95:
    case 0x96:
    case 0x97:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3: return complete(Notify::Interrupt);
    case 0x98:
    case 0xe5: registers_.sector_count = 0xff; return complete(Notify::Interrupt);
    case 0x99:
    case 0xe6: complete(Notify::Interrupt); return fall_asleep();
    case 0x20:
    case 0xec:
      // "IDENTIFY DEVICE", "READ SECTOR(S)": a packet device aborts these and shows its signature.
      set_signature(kSignatureMid, kSignatureHigh);
      return fail(AtaError::kAborted);
    default: return fail(AtaError::kAborted);
  }
}

void AtapiCdrom::identify_packet_device() {
  AtaIdentifyData data;
  data.set_identity(identity_);
  data[0] = 0x85c0;  // a removable CD-ROM that takes 12-byte packets within 50 us
  modes_.describe(data);
  data[80] = 0x0070;  // ATA/ATAPI-4 to -6
  data[82] = 0x0218;  // DEVICE RESET, PACKET, power management
  data[83] = 0x4000;
  data[84] = 0x4000;
  data[85] = 0x0218;
  data[87] = 0x4000;
  data[93] = position_on_channel() == 0 ? 0x400b : 0x4b00;
  data.write(buffer_);
  stage_ = Stage::Command;
  begin_data_in(AtaIdentifyData::kBytes, Notify::Interrupt);
}

void AtapiCdrom::set_features() {
  constexpr uint8_t kSetTransferMode = 0x03;
  const bool harmless = registers_.features == 0x66 || registers_.features == 0xcc;
  if (!harmless && (registers_.features != kSetTransferMode || !modes_.select(registers_.sector_count))) {
    return fail(AtaError::kAborted);
  }
  complete(Notify::Interrupt);
}

void AtapiCdrom::data_out_done() {
  std::memcpy(packet_.data(), buffer_.data(), kPacketSize);
  stage_ = Stage::Packet;
  enter_busy();
}

void AtapiCdrom::data_in_done() {
  if (stage_ != Stage::Data) return complete(Notify::Silent);
  if (remaining_ == 0) stage_ = Stage::Status;
  enter_busy();
}

void AtapiCdrom::packet_done() {
  registers_.sector_count = kReasonCommand | kReasonToHost;
  stage_ = Stage::Command;
  complete(Notify::Interrupt);
}

void AtapiCdrom::check_condition(const Sense& sense) {
  sense_ = sense;
  registers_.sector_count = kReasonCommand | kReasonToHost;
  stage_ = Stage::Command;
  remaining_ = 0;
  fail(static_cast<uint8_t>(sense.key << 4));
}

// Begins to send the host `bytes` of a reply, or of the sectors from first_lba_.
void AtapiCdrom::send(size_t bytes, Source source) {
  source_ = source;
  done_ = 0;
  remaining_ = bytes;
  length_ = 0;
  position_ = 0;
  if (bytes == 0) return packet_done();
  stage_ = Stage::Data;
  if (dma_) return send_by_dma();
  // "Byte Count": a limit of zero is no limit that a PIO transfer could keep to.
  if (byte_limit_ == 0) {
    registers_.sector_count = kReasonCommand | kReasonToHost;
    return fail(AtaError::kAborted);
  }
  send_block();
}

void AtapiCdrom::send_block() {
  // Only the last block may have an odd number of bytes.
  constexpr uint16_t kLargest = 0xfffe;
  const uint64_t limit = std::max<uint64_t>(std::min<uint16_t>(byte_limit_, kLargest) & ~1u, 2);
  const auto bytes = static_cast<uint16_t>(std::min(limit, remaining_));
  if (!produce(std::span(buffer_).first(bytes))) return check_condition(kReadError);
  registers_.lba_mid = static_cast<uint8_t>(bytes);
  registers_.lba_high = static_cast<uint8_t>(bytes >> 8);
  registers_.sector_count = kReasonToHost;
  begin_data_in(bytes, Notify::Interrupt);
}

// As in a disk, the buffer keeps what the engine has not taken yet.
void AtapiCdrom::send_by_dma() {
  AtaDmaEngine* engine = dma_engine();
  if (engine == nullptr) return check_condition(kInvalidCommand);
  registers_.sector_count = kReasonToHost;
  while (true) {
    if (!engine->started() && (position_ < length_ || remaining_ > 0)) return wait_for_dma();
    if (position_ == length_) {
      if (remaining_ == 0) return packet_done();
      const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(remaining_, kBufferSize));
      if (!produce(std::span(buffer_).first(bytes))) return check_condition(kReadError);
      length_ = bytes;
      position_ = 0;
    }
    position_ +=
        static_cast<uint32_t>(engine->to_memory(std::span(buffer_).first(length_).subspan(position_)));
  }
}

// The next bytes of what is being sent. False: the medium could not be read.
bool AtapiCdrom::produce(std::span<uint8_t> to) {
  if (source_ == Source::Sectors) {
    if (!produce_sectors(to)) return false;
  } else {
    const auto from = std::min<uint64_t>(done_, reply_.size());
    const auto bytes = std::min<uint64_t>(to.size(), reply_.size() - from);
    std::copy_n(reply_.begin() + static_cast<int64_t>(from), bytes, to.begin());
  }
  done_ += to.size();
  remaining_ -= to.size();
  return true;
}

bool AtapiCdrom::produce_sectors(std::span<uint8_t> to) {
  if (!loaded()) return false;  // taken out in the middle
  if (raw_fields_ == 0) {
    const auto read = medium_->read(uint64_t{first_lba_} * kCdUserData + done_, to);
    if (!read) host_failed(read.error());
    return read.has_value();
  }
  uint64_t at = done_;
  while (!to.empty()) {
    const auto lba = static_cast<uint32_t>(first_lba_ + at / sector_bytes_);
    std::array<uint8_t, kCdRawSector> raw{};
    if (const auto read = medium_->read(uint64_t{lba} * kCdUserData, std::span(raw).subspan(16, kCdUserData));
        !read) {
      host_failed(read.error());
      return false;
    }
    complete_raw_sector(lba, raw);
    std::array<uint8_t, kCdRawSector> selected{};
    size_t size = 0;
    for (const RawField& field : kRawFields) {
      if ((raw_fields_ & field.bit) == 0) continue;
      std::copy_n(raw.begin() + field.start, field.bytes, selected.begin() + static_cast<long>(size));
      size += field.bytes;
    }
    const size_t skip = at % sector_bytes_;
    const size_t bytes = std::min<size_t>(to.size(), sector_bytes_ - skip);
    std::copy_n(selected.begin() + static_cast<long>(skip), bytes, to.begin());
    to = to.subspan(bytes);
    at += bytes;
  }
  return true;
}

void AtapiCdrom::serialize_device(StateArchive& archive) {
  archive.section("atapi_cdrom", 1);
  uint32_t blocks = blocks_;
  archive.field(blocks);
  if (blocks != blocks_) archive.reject("the disc in the drive is not the one of the saved machine");
  archive.fields(tray_open_, locked_, attention_, event_, sense_.key, sense_.code, sense_.qualifier);
  modes_.serialize(archive);
  archive.fields(command_, stage_, packet_, dma_, byte_limit_);
  archive.fields(source_, done_, remaining_, first_lba_, raw_fields_, sector_bytes_);
  archive.blob(reply_, kMaxReply);
  const uint64_t total = done_ + remaining_;
  const bool sectors = source_ == Source::Sectors;
  const uint64_t first = uint64_t{first_lba_} * sector_bytes_;
  const uint64_t end = uint64_t{blocks_} * sector_bytes_;
  const bool fits = sectors ? first <= end && total <= end - first : total <= kMaxReply;
  const bool possible = stage_ <= Stage::Status && source_ <= Source::Sectors && sector_bytes_ > 0 &&
                        sector_bytes_ <= kCdRawSector && done_ <= total && (remaining_ == 0 || fits);
  if (possible) return;
  archive.reject("a CD-ROM drive's state contradicts itself");
  sector_bytes_ = kCdUserData;
  raw_fields_ = 0;
  done_ = 0;
  reset_device();
}

}  // namespace vitrine::devices

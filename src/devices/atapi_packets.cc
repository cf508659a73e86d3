// The packets of the CD-ROM drive: one function a command, in the order of the opcodes. How data reach the
// host is in atapi_cdrom.cc.
#include <algorithm>
#include <string_view>

#include "devices/atapi_cdrom.h"

namespace vitrine::devices {

namespace {

enum class Needs : uint8_t { Nothing, Attention, Medium };

constexpr uint8_t kTrackControl = 0x14;  // ADR 1: position; control 4: data, copying forbidden
constexpr uint8_t kLeadOut = 0xaa;
constexpr uint8_t kTimeBit = 0x02;  // MSF, in byte 1 of several packets

constexpr uint16_t kProfileCdRom = 0x0008;
constexpr uint16_t kProfileDvdRom = 0x0010;
// More than any CD holds.
constexpr uint32_t kDvdBlocks = 450'000;

void put16(std::span<uint8_t> to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 8);
  to[1] = static_cast<uint8_t>(value);
}

void put32(std::span<uint8_t> to, uint32_t value) {
  put16(to, value >> 16);
  put16(to.subspan(2), value);
}

void put_text(std::span<uint8_t> to, std::string_view text) {
  for (size_t i = 0; i < to.size(); ++i)
    to[i] = i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{' '};
}

}  // namespace

struct AtapiCdrom::PacketRow {
  uint8_t opcode;
  Needs needs;  // Attention: reports a changed medium first; Medium: that, and a disc
  void (AtapiCdrom::*run)();
};

const AtapiCdrom::PacketRow AtapiCdrom::kPackets[] = {
    {0x00, Needs::Medium, &AtapiCdrom::test_unit_ready},
    {0x03, Needs::Nothing, &AtapiCdrom::request_sense},
    {0x12, Needs::Nothing, &AtapiCdrom::inquiry},
    {0x1a, Needs::Attention, &AtapiCdrom::mode_sense6},
    {0x1b, Needs::Attention, &AtapiCdrom::start_stop_unit},
    {0x1e, Needs::Attention, &AtapiCdrom::prevent_allow},
    {0x25, Needs::Medium, &AtapiCdrom::read_capacity},
    {0x28, Needs::Medium, &AtapiCdrom::read10},
    {0x2b, Needs::Medium, &AtapiCdrom::seek10},
    {0x42, Needs::Medium, &AtapiCdrom::read_sub_channel},
    {0x43, Needs::Medium, &AtapiCdrom::read_toc},
    {0x46, Needs::Nothing, &AtapiCdrom::get_configuration},
    {0x4a, Needs::Nothing, &AtapiCdrom::get_event_status},
    {0x51, Needs::Medium, &AtapiCdrom::read_disc_information},
    {0x5a, Needs::Attention, &AtapiCdrom::mode_sense10},
    {0xa8, Needs::Medium, &AtapiCdrom::read12},
    {0xad, Needs::Medium, &AtapiCdrom::read_dvd_structure},
    {0xb9, Needs::Medium, &AtapiCdrom::read_cd_msf},
    {0xbb, Needs::Attention, &AtapiCdrom::set_speed},
    {0xbd, Needs::Attention, &AtapiCdrom::mechanism_status},
    {0xbe, Needs::Medium, &AtapiCdrom::read_cd},
};

void AtapiCdrom::execute_packet() {
  const auto* row = std::ranges::find(kPackets, packet_[0], &PacketRow::opcode);
  if (row == std::end(kPackets)) return check_condition(kInvalidCommand);
  // "Unit attention condition": reported once, by the first command that is neither exempt nor asks for the
  // sense.
  if (row->needs != Needs::Nothing && attention_) {
    attention_ = false;
    return check_condition(kMediumChanged);
  }
  if (row->needs == Needs::Medium && !loaded()) return check_condition(kNoMedium);
  if (row->run != &AtapiCdrom::request_sense) sense_ = kNoSense;
  (this->*row->run)();
}

std::span<uint8_t> AtapiCdrom::begin_reply(size_t bytes) {
  reply_.assign(bytes, 0);
  return reply_;
}

void AtapiCdrom::finish_reply(size_t allocation) {
  send(std::min(allocation, reply_.size()), Source::Reply);
}

// An address as the packet's MSF bit wants it.
void AtapiCdrom::put_address(std::span<uint8_t> to, uint32_t lba) const {
  if ((packet_[1] & kTimeBit) == 0) return put32(to, lba);
  const CdTime time = cd_time(lba);
  to[0] = 0;
  to[1] = time.minute;
  to[2] = time.second;
  to[3] = time.frame;
}

bool AtapiCdrom::is_dvd() const {
  return blocks_ > kDvdBlocks;
}

void AtapiCdrom::request_sense() {
  // A pending unit attention is what a drive without other sense has to say.
  if (sense_.key == 0 && attention_) {
    attention_ = false;
    sense_ = kMediumChanged;
  }
  const auto data = begin_reply(18);
  data[0] = 0x70;
  data[2] = sense_.key;
  data[7] = 10;
  data[12] = sense_.code;
  data[13] = sense_.qualifier;
  sense_ = kNoSense;
  finish_reply(packet_[4]);
}

void AtapiCdrom::inquiry() {
  if ((packet_[1] & 1) != 0 || packet_[2] != 0)
    return check_condition(kInvalidField);  // no vital product data
  const auto data = begin_reply(36);
  data[0] = 0x05;  // CD-ROM
  data[1] = 0x80;  // removable
  data[3] = 0x21;  // SFF-8020i: ATAPI version 2, response format 1
  data[4] = 31;
  put_text(data.subspan(8, 8), "VITRINE");
  put_text(data.subspan(16, 16), identity_.model);
  put_text(data.subspan(32, 4), identity_.firmware);
  finish_reply(packet_[4]);
}

void AtapiCdrom::start_stop_unit() {
  const bool start = (packet_[4] & 1) != 0;
  const bool load_eject = (packet_[4] & 2) != 0;
  const bool power_condition = (packet_[4] & 0xf0) != 0;
  if (!load_eject || power_condition) return packet_done();
  if (!start) {
    if (locked_) return check_condition(kRemovalPrevented);
    tray_open_ = true;
  } else if (tray_open_) {
    tray_open_ = false;
    attention_ = blocks_ != 0;
  }
  packet_done();
}

void AtapiCdrom::prevent_allow() {
  locked_ = (packet_[4] & 1) != 0;
  packet_done();
}

void AtapiCdrom::read_capacity() {
  const auto data = begin_reply(8);
  put32(data, blocks_ - 1);
  put32(data.subspan(4), kCdUserData);
  finish_reply(8);
}

void AtapiCdrom::begin_read(uint32_t lba, uint32_t count) {
  if (lba > blocks_ || count > blocks_ - lba) return check_condition(kOutOfRange);
  first_lba_ = lba;
  raw_fields_ = 0;
  sector_bytes_ = kCdUserData;
  send(uint64_t{count} * kCdUserData, Source::Sectors);
}

void AtapiCdrom::read10() {
  begin_read(packet32(2), packet16(7));
}
void AtapiCdrom::read12() {
  begin_read(packet32(2), packet32(6));
}

void AtapiCdrom::seek10() {
  if (packet32(2) >= blocks_) return check_condition(kOutOfRange);
  packet_done();
}

void AtapiCdrom::read_sub_channel() {
  constexpr uint8_t kNoAudioStatus = 0x15;
  const bool wants_data = (packet_[2] & 0x40) != 0;
  const uint8_t format = packet_[3];
  if (wants_data && (format < 1 || format > 3)) return check_condition(kInvalidField);
  const size_t size = !wants_data ? 4 : format == 1 ? 16 : 24;
  const auto data = begin_reply(size);
  data[1] = kNoAudioStatus;
  put16(data.subspan(2), static_cast<uint32_t>(size - 4));
  if (wants_data) {
    data[4] = format;
    if (format == 1) {
      data[5] = kTrackControl;
      data[6] = 1;  // track
      data[7] = 1;  // index
      put_address(data.subspan(8), 0);
      put_address(data.subspan(12), 0);
    }
  }
  finish_reply(packet16(7));
}

void AtapiCdrom::read_toc() {
  // SFF-8020i had the format in the last byte; MMC has it in byte 2.
  const uint8_t format = (packet_[2] & 0xf) != 0 ? packet_[2] & 0xf : packet_[9] >> 6;
  const uint8_t first = packet_[6];
  if (format == 2) return read_full_toc();
  if (format > 2) return check_condition(kInvalidField);
  if (format == 1) {
    const auto data = begin_reply(12);
    put16(data, 10);
    data[2] = data[3] = 1;  // sessions
    data[5] = kTrackControl;
    data[6] = 1;
    put_address(data.subspan(8), 0);
    return finish_reply(packet16(7));
  }
  if (first > 1 && first != kLeadOut) return check_condition(kInvalidField);
  const bool with_track = first <= 1;
  const auto data = begin_reply(with_track ? 20 : 12);
  put16(data, static_cast<uint32_t>(data.size() - 2));
  data[2] = data[3] = 1;  // tracks
  auto entry = data.subspan(4);
  const auto add = [&](uint8_t track, uint32_t lba) {
    entry[1] = kTrackControl;
    entry[2] = track;
    put_address(entry.subspan(4), lba);
    entry = entry.subspan(8);
  };
  if (with_track) add(1, 0);
  add(kLeadOut, blocks_);
  finish_reply(packet16(7));
}

// Format 2: the points of the lead-in, in minutes, seconds and frames whatever the MSF bit says.
void AtapiCdrom::read_full_toc() {
  struct Point {
    uint8_t point;
    CdTime where;
  };
  const Point points[] = {{0xa0, {1, 0, 0}}, {0xa1, {1, 0, 0}}, {0xa2, cd_time(blocks_)}, {1, cd_time(0)}};
  const auto data = begin_reply(4 + 11 * std::size(points));
  put16(data, static_cast<uint32_t>(data.size() - 2));
  data[2] = data[3] = 1;
  auto entry = data.subspan(4);
  for (const Point& point : points) {
    entry[0] = 1;  // session
    entry[1] = kTrackControl;
    entry[3] = point.point;
    entry[8] = point.where.minute;
    entry[9] = point.where.second;
    entry[10] = point.where.frame;
    entry = entry.subspan(11);
  }
  finish_reply(packet16(7));
}

void AtapiCdrom::get_configuration() {
  // MMC-3, "Features": number, version/persistent/current, payload.
  struct Feature {
    uint16_t code;
    uint8_t flags;
    std::array<uint8_t, 8> data;
    uint8_t size;
  };
  const uint16_t profile = !loaded() ? 0 : is_dvd() ? kProfileDvdRom : kProfileCdRom;
  const uint8_t cd = profile == kProfileCdRom ? 1 : 0;
  const uint8_t dvd = profile == kProfileDvdRom ? 1 : 0;
  const Feature features[] = {
      {0x0000, 0x03, {0, kProfileDvdRom, dvd, 0, 0, kProfileCdRom, cd, 0}, 8},  // profile list
      {0x0001, 0x07, {0, 0, 0, 2}, 4},                                          // core: ATAPI
      {0x0003, 0x03, {0x29}, 4},  // removable: tray, lock, eject
      {0x0010,
       static_cast<uint8_t>(cd | dvd),
       {0, 0, 8, 0, 0, 1, 0, 0},
       8},                    // random readable: 2048-byte blocks
      {0x001e, cd, {}, 4},    // CD read
      {0x001f, dvd, {}, 0},   // DVD read
      {0x0100, 0x03, {}, 0},  // power management
      {0x0105, 0x03, {}, 0},  // time-out
  };
  const uint8_t requested = packet_[1] & 3;
  if (requested == 3) return check_condition(kInvalidField);
  const uint16_t start = packet16(2);
  begin_reply(8);
  for (const Feature& feature : features) {
    const bool current = (feature.flags & 1) != 0;
    if (requested == 2 ? feature.code != start : feature.code < start || (requested == 1 && !current))
      continue;
    reply_.insert(reply_.end(), {static_cast<uint8_t>(feature.code >> 8), static_cast<uint8_t>(feature.code),
                                 feature.flags, feature.size});
    reply_.insert(reply_.end(), feature.data.begin(), feature.data.begin() + feature.size);
  }
  put32(reply_, static_cast<uint32_t>(reply_.size() - 4));
  put16(std::span(reply_).subspan(6), profile);
  finish_reply(packet16(7));
}

void AtapiCdrom::get_event_status() {
  constexpr uint8_t kMediaClass = 4;
  constexpr uint8_t kNoEvent = 0x80;
  if ((packet_[1] & 1) == 0) return check_condition(kInvalidField);  // asynchronous reports
  const bool wanted = (packet_[4] & 1u << kMediaClass) != 0;
  const auto data = begin_reply(wanted ? 8 : 4);
  put16(data, static_cast<uint32_t>(data.size() - 2));
  data[2] = wanted ? kMediaClass : kNoEvent;
  data[3] = 1u << kMediaClass;
  if (wanted) {
    data[4] = event_;
    data[5] = static_cast<uint8_t>((tray_open_ ? 1 : 0) | (loaded() ? 2 : 0));
    // A reply too short for the event leaves it pending.
    if (packet16(7) > 4) event_ = 0;
  }
  finish_reply(packet16(7));
}

void AtapiCdrom::read_disc_information() {
  const auto data = begin_reply(34);
  put16(data, 32);
  data[2] = 0x0e;  // the last session is complete, the disc is finalised
  data[3] = 1;     // first track
  data[4] = 1;     // sessions
  data[5] = 1;     // first track of the last session
  data[6] = 1;     // last track
  data[7] = 0x20;  // unrestricted use
  std::fill(data.begin() + 16, data.begin() + 24, uint8_t{0xff});  // no further lead-in or lead-out can start
  finish_reply(packet16(7));
}

size_t AtapiCdrom::build_mode_pages(size_t header_size) {
  constexpr uint8_t kAllPages = 0x3f;
  const uint8_t control = packet_[2] >> 6;
  const uint8_t page = packet_[2] & 0x3f;
  if (control == 3) {
    check_condition(kSavingUnsupported);
    return 0;
  }
  begin_reply(header_size);
  const auto add = [&](uint8_t code, std::initializer_list<uint8_t> data) {
    if (page != code && page != kAllPages) return;
    reply_.push_back(code);
    reply_.push_back(static_cast<uint8_t>(data.size()));
    // Control 1 asks which bits could be changed: none.
    for (const uint8_t byte : data) reply_.push_back(control == 1 ? uint8_t{0} : byte);
  };
  const auto lock = static_cast<uint8_t>(0x29 | (locked_ ? 2 : 0));
  add(0x01, {0, 5, 0, 0, 0, 0});    // error recovery: five retries
  add(0x0d, {0, 0, 0, 60, 0, 75});  // CD parameters: seconds a minute, frames a second
  add(0x0e, {4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0});  // audio control
  add(0x1a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0});                     // power condition
  // Capabilities: reads CD-R, CD-RW and DVD-ROM, mode 2, multi-session; a lockable tray; 40 times the CD's
  // speed.
  add(0x2a, {0x0b, 0, 0x70, 0, lock, 0, 0x1b, 0x90, 0, 2, 2, 0, 0x1b, 0x90, 0, 0, 0, 0});
  if (reply_.size() == header_size) {
    check_condition(kInvalidField);
    return 0;
  }
  return reply_.size();
}

void AtapiCdrom::mode_sense6() {
  const size_t size = build_mode_pages(4);
  if (size == 0) return;
  reply_[0] = static_cast<uint8_t>(size - 1);
  reply_[1] = tray_open_ ? 0x71 : loaded() ? 0x01 : 0x70;
  finish_reply(packet_[4]);
}

void AtapiCdrom::mode_sense10() {
  const size_t size = build_mode_pages(8);
  if (size == 0) return;
  put16(reply_, static_cast<uint32_t>(size - 2));
  // SFF-8020i, "Medium type": a 120 mm data disc; the tray closed without one; the tray open.
  reply_[2] = tray_open_ ? 0x71 : loaded() ? 0x01 : 0x70;
  finish_reply(packet16(7));
}

void AtapiCdrom::read_dvd_structure() {
  constexpr uint32_t kFirstSector = 0x30000;
  constexpr size_t kPhysicalFormat = 4 + 17;
  if (!is_dvd()) return check_condition({5, 0x30, 2});  // incompatible medium
  if (packet_[7] != 0 || packet_[6] != 0 || (packet_[1] & 0xf) != 0) return check_condition(kInvalidField);
  const auto data = begin_reply(kPhysicalFormat);
  put16(data, kPhysicalFormat - 2);
  data[4] = 0x01;  // DVD-ROM, part version 1
  data[5] = 0x0f;  // 120 mm, no maximum rate given
  data[6] = 0x01;  // one layer, read-only
  put32(data.subspan(8), kFirstSector);
  put32(data.subspan(12), kFirstSector + blocks_ - 1);
  finish_reply(packet16(8));
}

void AtapiCdrom::mechanism_status() {
  const auto data = begin_reply(8);
  data[1] = tray_open_ ? 0x10 : 0;
  finish_reply(packet16(8));
}

void AtapiCdrom::begin_read_cd(uint32_t lba, uint32_t count) {
  constexpr uint8_t kSync = 0x80, kSubHeader = 0x40, kHeader = 0x20, kUser = 0x10, kCorrection = 0x08;
  const uint8_t expected = packet_[1] >> 2 & 7;
  const uint8_t fields = packet_[9] & (kSync | kSubHeader | kHeader | kUser | kCorrection);
  const bool error_flags = (packet_[9] & 0x06) != 0;
  if (lba > blocks_ || count > blocks_ - lba) return check_condition(kOutOfRange);
  // Any type will do, or the mode 1 that every sector here has.
  if (expected != 0 && expected != 2) return check_condition(kWrongTrackMode);
  if (error_flags || (packet_[10] & 7) != 0) return check_condition(kInvalidField);
  // A mode 1 sector has no sub-header: asking for it gives nothing.
  const uint32_t bytes = ((fields & kSync) != 0 ? 12u : 0) + ((fields & kHeader) != 0 ? 4u : 0) +
                         ((fields & kUser) != 0 ? 2048u : 0) + ((fields & kCorrection) != 0 ? 288u : 0);
  if (bytes == 0) return packet_done();
  first_lba_ = lba;
  raw_fields_ = (fields & ~kSubHeader) == kUser ? 0 : fields;
  sector_bytes_ = static_cast<uint16_t>(bytes);
  send(uint64_t{count} * bytes, Source::Sectors);
}

void AtapiCdrom::read_cd() {
  begin_read_cd(packet32(2), packet24(6));
}

void AtapiCdrom::read_cd_msf() {
  const auto frame_at = [this](size_t at) {
    return (uint32_t{packet_[at]} * 60 + packet_[at + 1]) * 75 + packet_[at + 2];
  };
  const uint32_t start = frame_at(3);
  const uint32_t end = frame_at(6);
  if (start < kCdPregap || end < start) return check_condition(kInvalidField);
  begin_read_cd(start - kCdPregap, end - start);
}

}  // namespace vitrine::devices

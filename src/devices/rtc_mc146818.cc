#include "devices/rtc_mc146818.h"

#include <algorithm>
#include <chrono>

namespace vitrine::devices {
namespace {

enum Register : uint8_t {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kDayOfWeek = 6,
  kDayOfMonth = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
};

// Register A.
constexpr uint8_t kUpdateInProgress = 0x80;
constexpr uint8_t kDividerReset = 0x60;  // 110 and 111
constexpr uint8_t kRate = 0x0f;
// Register B.
constexpr uint8_t kSet = 0x80;
constexpr uint8_t kUpdateInterrupt = 0x10;
constexpr uint8_t kBinary = 0x04;
constexpr uint8_t kHours24 = 0x02;
// Register C; the enables in B have the same places.
constexpr uint8_t kRequest = 0x80;
constexpr uint8_t kPeriodicFlag = 0x40;
constexpr uint8_t kAlarmFlag = 0x20;
constexpr uint8_t kUpdateFlag = 0x10;
constexpr uint8_t kFlags = kPeriodicFlag | kAlarmFlag | kUpdateFlag;
// Register D.
constexpr uint8_t kValidRam = 0x80;

constexpr uint8_t kAfternoon = 0x80;
constexpr uint8_t kAlarmAny = 0xc0;

constexpr int64_t kSecondsPerDay = 86400;
// Years 0 to 9999: what a century byte and a year byte can say.
constexpr int64_t kEarliest = -62'167'219'200;
constexpr int64_t kLatest = 253'402'300'799;

// "Update Cycle": 1984 µs long with a 32.768 kHz time base, announced 244 µs ahead. The new time shows at its
// end.
constexpr Nanoseconds kUpdateAnnounced = 244'000 + 1'984'000;
// "Divider Control": the first update comes half a second after the reset is removed.
constexpr Nanoseconds kAfterDividerReset = kNanosecondsPerSecond / 2;
constexpr uint64_t kTimeBase = 32768;  // Hz

constexpr std::array<uint8_t, 8> kTimeRegisters = {kSeconds,    kMinutes, kHours, kDayOfWeek,
                                                   kDayOfMonth, kMonth,   kYear,  RtcMc146818::kCentury};

bool is_time_register(unsigned index) {
  return std::ranges::find(kTimeRegisters, index) != kTimeRegisters.end();
}

std::chrono::sys_days day_of(int64_t seconds) {
  return std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
}

}  // namespace

RtcMc146818::RtcMc146818(Clock& clock, IrqLine irq, int64_t unix_seconds)
    : clock_(clock), irq_(irq), timer_(clock, [this] { find_flags(); }) {
  base_ = std::clamp(unix_seconds, kEarliest, kLatest);
  cmos_[kA] = 0x26;  // 32.768 kHz, periodic rate 1024 Hz
  cmos_[kB] = kHours24;
  cmos_[kD] = kValidRam;
  examined_ = chain();
}

void RtcMc146818::reset() {
  find_flags();
  cmos_[kB] &= static_cast<uint8_t>(~kFlags);
  cmos_[kC] = 0;
  index_ = 0;
  flags_changed();
}

bool RtcMc146818::running() const {
  return (cmos_[kB] & kSet) == 0 && (cmos_[kA] & kDividerReset) != kDividerReset;
}

bool RtcMc146818::update_in_progress() const {
  return running() && chain() % kNanosecondsPerSecond >= kNanosecondsPerSecond - kUpdateAnnounced;
}

int64_t RtcMc146818::unix_seconds() const {
  // While the clock stands, its bytes are the time; base_ keeps what it was when it stopped.
  if (!running()) return base_;
  return base_ + static_cast<int64_t>(chain() / kNanosecondsPerSecond);
}

uint64_t RtcMc146818::period() const {
  unsigned rate = cmos_[kA] & kRate;
  if (rate == 0 || (cmos_[kA] & kDividerReset) == kDividerReset) return 0;
  if (rate <= 2) rate += 7;  // With this time base the two fastest taps do not exist.
  return uint64_t{1} << (rate - 1);
}

uint8_t RtcMc146818::encode(unsigned value) const {
  if ((cmos_[kB] & kBinary) != 0) return static_cast<uint8_t>(value);
  return static_cast<uint8_t>((value / 10) << 4 | value % 10);
}

unsigned RtcMc146818::decode(uint8_t value) const {
  if ((cmos_[kB] & kBinary) != 0) return value;
  return (value >> 4) * 10u + (value & 15u);
}

uint8_t RtcMc146818::encode_hour(unsigned hour) const {
  if ((cmos_[kB] & kHours24) != 0) return encode(hour);
  const unsigned twelve = hour % 12 == 0 ? 12 : hour % 12;
  return encode(twelve) | (hour >= 12 ? kAfternoon : 0);
}

unsigned RtcMc146818::decode_hour(uint8_t value) const {
  if ((cmos_[kB] & kHours24) != 0) return decode(value);
  const unsigned twelve = decode(value & 0x7f);
  if (twelve < 1 || twelve > 12) return 24;  // no hour
  return twelve % 12 + ((value & kAfternoon) != 0 ? 12 : 0);
}

std::array<uint8_t, 8> RtcMc146818::time_bytes() const {
  const int64_t now = std::clamp(unix_seconds(), kEarliest, kLatest);
  const auto day = day_of(now);
  const std::chrono::year_month_day date(day);
  const auto second = static_cast<unsigned>(now - day.time_since_epoch().count() * kSecondsPerDay);
  const unsigned weekday = (std::chrono::weekday(day).c_encoding() + weekday_shift_) % 7 + 1;
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  return {encode(second % 60),
          encode(second / 60 % 60),
          encode_hour(second / 3600),
          encode(weekday),
          encode(static_cast<unsigned>(date.day())),
          encode(static_cast<unsigned>(date.month())),
          encode(year % 100),
          encode(year / 100)};
}

void RtcMc146818::store_time_bytes() {
  const auto bytes = time_bytes();
  for (size_t i = 0; i < bytes.size(); ++i) cmos_[kTimeRegisters[i]] = bytes[i];
}

void RtcMc146818::set_time_from_bytes() {
  using namespace std::chrono;
  // What is no date becomes the nearest that is one.
  const unsigned second = std::min(decode(cmos_[kSeconds]), 59u);
  const unsigned minute = std::min(decode(cmos_[kMinutes]), 59u);
  const unsigned hour = std::min(decode_hour(cmos_[kHours]), 23u);
  const unsigned month_number = std::clamp(decode(cmos_[kMonth]), 1u, 12u);
  const unsigned full_year =
      std::min(decode(cmos_[kCentury]), 99u) * 100 + std::min(decode(cmos_[kYear]), 99u);
  const year_month last_of{year(static_cast<int>(full_year)), month(month_number)};
  const auto last_day = static_cast<unsigned>((last_of / last).day());
  const unsigned day_number = std::clamp(decode(cmos_[kDayOfMonth]), 1u, last_day);
  const sys_days date(last_of / day(day_number));
  const unsigned weekday_number = std::clamp(decode(cmos_[kDayOfWeek]), 1u, 7u) - 1;
  weekday_shift_ = (weekday_number + 7 - weekday(date).c_encoding()) % 7;
  base_ = date.time_since_epoch().count() * kSecondsPerDay + hour * 3600 + minute * 60 + second;
  if (running()) base_ -= static_cast<int64_t>(chain() / kNanosecondsPerSecond);
}

void RtcMc146818::stop() {
  const int64_t now = unix_seconds();
  store_time_bytes();
  base_ = now;
}

void RtcMc146818::start() {
  set_time_from_bytes();
}

uint8_t RtcMc146818::cmos(unsigned index) const {
  if (index >= kCmosSize) return 0xff;
  if (index == kA) return static_cast<uint8_t>(cmos_[kA] | (update_in_progress() ? kUpdateInProgress : 0));
  if (!running()) return cmos_[index];
  for (size_t i = 0; i < kTimeRegisters.size(); ++i) {
    if (kTimeRegisters[i] == index) return time_bytes()[i];
  }
  return cmos_[index];
}

void RtcMc146818::set_cmos(unsigned index, uint8_t value) {
  if (index > kD && index < kCmosSize && index != kCentury) cmos_[index] = value;
}

uint32_t RtcMc146818::read_port(uint16_t port, unsigned /*size*/) {
  if ((port & 1) == 0) return 0xff;  // The index cannot be read.
  if (index_ != kC) return cmos(index_);
  // An event that comes to light by this read is answered by it: it must not show as an edge of the line,
  // after which the handler would find register C empty.
  collect_flags();
  const uint8_t value = cmos_[kC] | requested();
  cmos_[kC] = 0;
  flags_changed();
  return value;
}

void RtcMc146818::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  if ((port & 1) == 0) {
    index_ = value & 0x7f;
  } else {
    write_register(index_, static_cast<uint8_t>(value));
  }
}

void RtcMc146818::write_register(uint8_t index, uint8_t value) {
  if (index == kC || index == kD) return;
  find_flags();
  if (index == kA) {
    write_control_a(value);
  } else if (index == kB) {
    write_control_b(value);
  } else if (is_time_register(index) && running()) {
    store_time_bytes();
    cmos_[index] = value;
    set_time_from_bytes();
  } else {
    cmos_[index] = value;
  }
  flags_changed();
}

void RtcMc146818::write_control_a(uint8_t value) {
  const bool was_running = running();
  const bool was_reset = (cmos_[kA] & kDividerReset) == kDividerReset;
  const bool is_reset = (value & kDividerReset) == kDividerReset;
  if (was_running && is_reset) stop();
  if (was_reset && !is_reset) {
    const Nanoseconds position = clock_.now() % kNanosecondsPerSecond;
    phase_ = (kNanosecondsPerSecond + kAfterDividerReset - position) % kNanosecondsPerSecond;
    examined_ = chain();
  }
  cmos_[kA] = value & static_cast<uint8_t>(~kUpdateInProgress);
  if (!was_running && running()) start();
}

void RtcMc146818::write_control_b(uint8_t value) {
  const bool was_running = running();
  if (was_running && (value & kSet) != 0) stop();
  // "SET": going high clears UIE.
  if ((value & kSet) != 0) value &= static_cast<uint8_t>(~kUpdateInterrupt);
  cmos_[kB] = value;
  if (!was_running && running()) start();
}

std::optional<int64_t> RtcMc146818::next_alarm(int64_t after) const {
  const auto wanted = [](uint8_t value, unsigned decoded, unsigned limit) -> std::optional<unsigned> {
    if ((value & kAlarmAny) == kAlarmAny) return 255;  // any
    if (decoded >= limit) return std::nullopt;         // never
    return decoded;
  };
  const auto second = wanted(cmos_[kSecondsAlarm], decode(cmos_[kSecondsAlarm]), 60);
  const auto minute = wanted(cmos_[kMinutesAlarm], decode(cmos_[kMinutesAlarm]), 60);
  const auto hour = wanted(cmos_[kHoursAlarm], decode_hour(cmos_[kHoursAlarm]), 24);
  if (!second || !minute || !hour) return std::nullopt;
  // Each step passes an hour, a minute or a second that does not fit; two days hold every combination.
  for (int64_t time = after + 1; time <= after + 2 * kSecondsPerDay;) {
    const auto of_day = static_cast<unsigned>(((time % kSecondsPerDay) + kSecondsPerDay) % kSecondsPerDay);
    if (*hour != 255 && of_day / 3600 != *hour) {
      time += 3600 - of_day % 3600;
    } else if (*minute != 255 && of_day / 60 % 60 != *minute) {
      time += 60 - of_day % 60;
    } else if (*second != 255 && of_day % 60 != *second) {
      ++time;
    } else {
      return time;
    }
  }
  return std::nullopt;
}

void RtcMc146818::find_flags() {
  collect_flags();
  flags_changed();
}

void RtcMc146818::collect_flags() {
  const uint64_t from = examined_, to = chain();
  if (to <= from) return;
  examined_ = to;
  const uint64_t pulses = period();
  const auto ticks = [&](uint64_t time) { return scale(time, kTimeBase, kNanosecondsPerSecond) / pulses; };
  if (pulses != 0 && ticks(from) != ticks(to)) cmos_[kC] |= kPeriodicFlag;
  const uint64_t seconds_before = from / kNanosecondsPerSecond, seconds = to / kNanosecondsPerSecond;
  if (running() && seconds != seconds_before) {
    cmos_[kC] |= kUpdateFlag;
    const auto alarm = next_alarm(base_ + static_cast<int64_t>(seconds_before));
    if (alarm && *alarm <= base_ + static_cast<int64_t>(seconds)) cmos_[kC] |= kAlarmFlag;
  }
}

uint8_t RtcMc146818::requested() const {
  return (cmos_[kC] & cmos_[kB] & kFlags) != 0 ? kRequest : 0;
}

void RtcMc146818::flags_changed() {
  const uint8_t request = requested();
  cmos_[kC] = static_cast<uint8_t>((cmos_[kC] & kFlags) | request);
  irq_.set(request != 0);
  arm_timer();
}

void RtcMc146818::arm_timer() {
  // With the line high there is nothing more to tell until register C is read.
  const uint8_t waiting = cmos_[kB] & kFlags;
  if (waiting == 0 || (cmos_[kC] & kRequest) != 0) return timer_.cancel();
  std::optional<uint64_t> next;  // in chain() time
  const auto consider = [&](uint64_t time) { next = next ? std::min(*next, time) : time; };
  const uint64_t second = chain() / kNanosecondsPerSecond;
  if (const uint64_t pulses = period(); pulses != 0 && (waiting & kPeriodicFlag) != 0) {
    const uint64_t tick = scale(chain(), kTimeBase, kNanosecondsPerSecond) / pulses;
    consider(scale((tick + 1) * pulses, kNanosecondsPerSecond, kTimeBase) + 1);
  }
  if (running() && (waiting & kUpdateFlag) != 0) consider((second + 1) * kNanosecondsPerSecond);
  if (running() && (waiting & kAlarmFlag) != 0) {
    const int64_t now = base_ + static_cast<int64_t>(second);
    if (const auto alarm = next_alarm(now)) {
      consider((second + static_cast<uint64_t>(*alarm - now)) * kNanosecondsPerSecond);
    }
  }
  if (!next) return timer_.cancel();
  timer_.arm(*next - phase_);
}

void RtcMc146818::serialize(StateArchive& archive) {
  archive.section("rtc mc146818", 1);
  archive.fields(cmos_, index_, base_, phase_, weekday_shift_, examined_);
  archive.timer(timer_);
  if (!archive.loading()) return;
  if (base_ < -kLatest || base_ > kLatest || phase_ >= kNanosecondsPerSecond || index_ >= kCmosSize) {
    archive.reject("the real-time clock's date");
    base_ = 0;
    phase_ = 0;
    index_ = 0;
  }
  weekday_shift_ %= 7;
}

}  // namespace vitrine::devices

#include "devices/pit8254.h"

#include <algorithm>
#include <utility>

namespace vitrine::devices {
namespace {

// No count is longer: bounds what a damaged saved state can ask for.
constexpr uint64_t kLongestWait = 65537;

uint32_t from_bcd(uint16_t value) {
  return (value >> 12) * 1000u + ((value >> 8) & 15) * 100u + ((value >> 4) & 15) * 10u + (value & 15);
}

uint16_t to_bcd(uint32_t value) {
  return static_cast<uint16_t>((value / 1000 % 10) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 |
                               value % 10);
}

}  // namespace

uint32_t PitCounter::reload_value() const {
  if (count_register_ == 0) return bcd_ ? 10000 : 65536;
  return bcd_ ? from_bcd(count_register_) : count_register_;
}

void PitCounter::write_control(uint64_t now, uint8_t control) {
  settle(now);
  const unsigned mode = (control >> 1) & 7;
  mode_ = static_cast<Mode>(mode > 5 ? mode & 3 : mode);  // 6 and 7 are 2 and 3.
  access_ = static_cast<Access>((control >> 4) & 3);
  bcd_ = (control & 1) != 0;
  unload();
  count_valid_ = frozen_ = false;
  null_count_ = true;
  write_high_next_ = read_high_next_ = false;
  latched_count_.reset();
  latched_status_.reset();
}

void PitCounter::write(uint64_t now, uint8_t value) {
  settle(now);
  switch (access_) {
    case Access::Low: count_register_ = value; break;
    case Access::High: count_register_ = static_cast<uint16_t>(value << 8); break;
    default:
      write_high_next_ = !write_high_next_;
      if (write_high_next_) {
        write_low_ = value;
        // "Mode 0": the first byte stops the counting and OUT goes low at once.
        if (mode_ == Mode::InterruptOnTerminalCount) unload();
        return;
      }
      count_register_ = static_cast<uint16_t>(value << 8 | write_low_);
  }
  count_written(now);
}

void PitCounter::count_written(uint64_t now) {
  null_count_ = true;
  const bool first = !count_valid_;
  count_valid_ = true;
  if (triggered()) return;  // waits for the gate
  if (mode_ == Mode::InterruptOnTerminalCount) unload();
  if (!periodic() || first || !loaded_) return schedule_load(now + 1);
  if (frozen_) return;  // the gate's rise loads it
  if (load_pending_ && load_at_ == now + 1) return;
  // "Mode 2", "Mode 3": a new count waits for the end of the period, of the half period.
  const uint64_t position = elapsed(now) % period_;
  const bool in_high_half = mode_ == Mode::SquareWave && position < high_length();
  schedule_load(now + (in_high_half ? high_length() : period_) - position);
}

void PitCounter::unload() {
  loaded_ = load_pending_ = false;
  edges_counted_ = 0;
}

void PitCounter::schedule_load(uint64_t at) {
  load_pending_ = true;
  load_at_ = at;
}

void PitCounter::load(uint64_t at) {
  // A periodic count ends with the pulse that loads the next. Any other is cut off by it, a strobe's low
  // included.
  const uint64_t last = periodic() ? at : at - 1;
  edges_ += edges_since_load(last) - edges_counted_;
  const bool strobe = mode_ == Mode::SoftwareStrobe || mode_ == Mode::HardwareStrobe;
  if (strobe && loaded_ && !output_of(elapsed(last))) ++edges_;
  const bool at_low_half = mode_ == Mode::SquareWave && loaded_ && !frozen_ && !output_of(elapsed(at));
  period_ = reload_value();
  // A square wave that goes on in its low half is as if it had been loaded a high half earlier.
  loaded_at_ = at_low_half ? at - high_length() : at;
  loaded_ = true;
  load_pending_ = false;
  null_count_ = false;
  edges_counted_ = 0;
  frozen_ = !gate_ && !triggered();
  frozen_elapsed_ = 0;
}

void PitCounter::settle(uint64_t now) {
  if (load_pending_ && load_at_ <= now) load(load_at_);
  const uint64_t edges = edges_since_load(now);
  edges_ += edges - edges_counted_;
  edges_counted_ = edges;
}

uint64_t PitCounter::edges_since_load(uint64_t now) const {
  if (!loaded_) return 0;
  const uint64_t pulses = elapsed(now);
  switch (mode_) {
    case Mode::InterruptOnTerminalCount:
    case Mode::OneShot: return pulses >= period_ ? 1 : 0;
    case Mode::RateGenerator:
    case Mode::SquareWave: return period_ == 1 ? 0 : pulses / period_;
    case Mode::SoftwareStrobe:
    case Mode::HardwareStrobe: return pulses > period_ ? 1 : 0;
  }
  return 0;
}

bool PitCounter::output_of(uint64_t elapsed_pulses) const {
  switch (mode_) {
    case Mode::InterruptOnTerminalCount:
    case Mode::OneShot: return elapsed_pulses >= period_;
    case Mode::RateGenerator: return frozen_ || elapsed_pulses % period_ != period_ - 1;
    case Mode::SquareWave: return frozen_ || elapsed_pulses % period_ < high_length();
    case Mode::SoftwareStrobe:
    case Mode::HardwareStrobe: return elapsed_pulses != period_;
  }
  return true;
}

bool PitCounter::output(uint64_t now) {
  settle(now);
  if (!loaded_) return mode_ != Mode::InterruptOnTerminalCount;
  return output_of(elapsed(now));
}

uint64_t PitCounter::take_rising_edges(uint64_t now) {
  settle(now);
  return std::exchange(edges_, 0);
}

std::optional<uint64_t> PitCounter::next_change(uint64_t now) {
  settle(now);
  std::optional<uint64_t> next;
  if (load_pending_) next = now + std::clamp<uint64_t>(load_at_ - now, 1, kLongestWait);
  if (!loaded_ || frozen_) return next;
  const uint64_t pulses = elapsed(now);
  const uint64_t position = pulses % period_;
  uint64_t wait = 0;
  switch (mode_) {
    case Mode::InterruptOnTerminalCount:
    case Mode::OneShot:
      if (pulses < period_) wait = period_ - pulses;
      break;
    case Mode::RateGenerator:
      if (period_ > 1) wait = period_ - position;
      break;
    case Mode::SquareWave:
      if (period_ > 1) wait = (position < high_length() ? high_length() : period_) - position;
      break;
    case Mode::SoftwareStrobe:
    case Mode::HardwareStrobe:
      if (pulses <= period_) wait = period_ + 1 - pulses;
      break;
  }
  if (wait == 0) return next;
  return next ? std::min(*next, now + wait) : now + wait;
}

void PitCounter::freeze(uint64_t now) {
  if (frozen_) return;
  frozen_elapsed_ = loaded_ ? now - loaded_at_ : 0;
  frozen_ = loaded_;
}

void PitCounter::set_gate(uint64_t now, bool level) {
  settle(now);
  if (level == gate_) return;
  gate_ = level;
  if (triggered()) {
    if (level && count_valid_) schedule_load(now + 1);
    return;
  }
  if (!level) {
    freeze(now);
    if (periodic() && loaded_) load_pending_ = false;  // The rise of the gate will load instead.
    return;
  }
  if (!count_valid_) return;
  if (periodic()) return schedule_load(now + 1);  // "GATE … initiates counting" from the start.
  if (frozen_) {
    loaded_at_ = now - frozen_elapsed_;
    frozen_ = false;
  }
}

uint16_t PitCounter::encode(uint64_t pulses) const {
  return bcd_ ? to_bcd(static_cast<uint32_t>(pulses % 10000)) : static_cast<uint16_t>(pulses);
}

uint16_t PitCounter::count(uint64_t now) const {
  if (!loaded_) return count_register_;
  const uint64_t pulses = elapsed(now);
  if (mode_ == Mode::RateGenerator) return encode(period_ - pulses % period_);
  if (mode_ == Mode::SquareWave) {
    // "Mode 3": counts by two, an even number, twice a period; an odd count shows one less.
    const uint64_t position = pulses % period_;
    const uint64_t in_half = position < high_length() ? position : position - high_length();
    return encode((period_ & ~1u) - 2 * in_half);
  }
  // Past zero the counter goes on from FFFFh, or 9999.
  const uint64_t modulus = bcd_ ? 10000 : 65536;
  return encode((period_ + modulus - pulses % modulus) % modulus);
}

void PitCounter::latch_count(uint64_t now) {
  settle(now);
  if (!latched_count_) latched_count_ = count(now);
}

void PitCounter::latch_status(uint64_t now) {
  if (latched_status_) return;
  latched_status_ = static_cast<uint8_t>((output(now) ? 0x80 : 0) | (null_count_ ? 0x40 : 0) |
                                         static_cast<unsigned>(access_) << 4 |
                                         static_cast<unsigned>(mode_) << 1 | (bcd_ ? 1 : 0));
}

uint8_t PitCounter::read(uint64_t now) {
  settle(now);
  if (latched_status_) return *std::exchange(latched_status_, std::nullopt);
  const uint16_t value = latched_count_ ? *latched_count_ : count(now);
  bool high = access_ == Access::High;
  if (access_ == Access::LowThenHigh) {
    high = read_high_next_;
    read_high_next_ = !read_high_next_;
  }
  if (!read_high_next_) latched_count_.reset();  // All its bytes have been read.
  return static_cast<uint8_t>(high ? value >> 8 : value);
}

void PitCounter::serialize(StateArchive& archive) {
  bool has_count = latched_count_.has_value(), has_status = latched_status_.has_value();
  uint16_t latched_count = latched_count_.value_or(0);
  uint8_t latched_status = latched_status_.value_or(0);
  archive.fields(mode_, access_, bcd_, gate_, count_register_, null_count_, count_valid_);
  archive.fields(loaded_, loaded_at_, period_, load_pending_, load_at_, frozen_, frozen_elapsed_,
                 edges_counted_, edges_);
  archive.fields(write_high_next_, write_low_, read_high_next_, has_count, latched_count, has_status,
                 latched_status);
  if (!archive.loading()) return;
  latched_count_ = has_count ? std::optional(latched_count) : std::nullopt;
  latched_status_ = has_status ? std::optional(latched_status) : std::nullopt;
  if (mode_ > Mode::HardwareStrobe || access_ > Access::LowThenHigh || period_ < 1 || period_ > 65536) {
    archive.reject("a timer's counter");
    *this = PitCounter();
  }
}

Pit8254::Pit8254(Clock& clock, IrqLine irq0)
    : clock_(clock), irq0_(irq0), timer_(clock, [this] { update_irq(); }) {}

void Pit8254::update_irq() {
  const uint64_t now = pulse();
  PitCounter& counter = counters_[0];
  if (const uint64_t edges = counter.take_rising_edges(now)) {
    missed_edges_ += edges - 1;
    irq0_.lower();
    irq0_.raise();
  }
  irq0_.set(counter.output(now));
  const auto next = counter.next_change(now);
  if (!next) return timer_.cancel();
  // The first nanosecond at which the pulse has come.
  const Nanoseconds deadline = scale(*next, kNanosecondsPerSecond, kFrequency) + 1;
  if (!timer_.armed() || timer_.deadline() != deadline) timer_.arm(deadline);
}

uint32_t Pit8254::read_port(uint16_t port, unsigned /*size*/) {
  const unsigned index = port & 3;
  if (index == 3) return 0xff;  // The control word cannot be read.
  return counters_[index].read(pulse());
}

void Pit8254::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  update_irq();  // What is overdue happened before the write.
  const unsigned index = port & 3;
  if (index == 3) {
    write_control(static_cast<uint8_t>(value));
  } else {
    counters_[index].write(pulse(), static_cast<uint8_t>(value));
  }
  update_irq();
}

void Pit8254::write_control(uint8_t value) {
  const unsigned index = value >> 6;
  if (index == 3) return read_back(value);
  if ((value & 0x30) == 0) return counters_[index].latch_count(pulse());
  counters_[index].write_control(pulse(), value);
}

void Pit8254::read_back(uint8_t value) {
  for (unsigned i = 0; i < kCounters; ++i) {
    if ((value & (2u << i)) == 0) continue;
    if ((value & 0x20) == 0) counters_[i].latch_count(pulse());
    if ((value & 0x10) == 0) counters_[i].latch_status(pulse());
  }
}

bool Pit8254::output(unsigned counter) {
  return counters_[counter].output(pulse());
}

void Pit8254::set_gate(unsigned counter, bool level) {
  counters_[counter].set_gate(pulse(), level);
  if (counter == 0) update_irq();
}

void Pit8254::serialize(StateArchive& archive) {
  archive.section("pit8254", 1);
  for (PitCounter& counter : counters_) counter.serialize(archive);
  archive.field(missed_edges_);
  archive.timer(timer_);
}

}  // namespace vitrine::devices

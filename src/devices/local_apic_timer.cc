#include "devices/local_apic_timer.h"

#include <algorithm>
#include <utility>

namespace vitrine::devices {
namespace {

constexpr uint32_t kDivideBits = 0x0b;

}  // namespace

LocalApicTimer::LocalApicTimer(Clock& clock, std::function<void()> expired, TimeOfTsc time_of_tsc)
    : clock_(clock),
      expired_(std::move(expired)),
      time_of_tsc_(std::move(time_of_tsc)),
      timer_(clock, [this] { expire(); }) {}

void LocalApicTimer::reset() {
  timer_.cancel();
  mode_ = Mode::OneShot;
  interrupts_ = Interrupts::Masked;
  initial_count_ = divide_ = 0;
  tsc_deadline_ = expires_ = 0;
}

uint64_t LocalApicTimer::divisor() const {
  // "Divide Configuration Register": 000 divides by 2, …, 110 by 128, 111 by 1.
  const uint32_t code = (divide_ & 3) | (divide_ & 8) >> 1;
  return uint64_t{1} << ((code + 1) & 7);
}

void LocalApicTimer::configure(Mode mode, Interrupts interrupts) {
  if ((mode == Mode::TscDeadline) != (mode_ == Mode::TscDeadline)) {
    initial_count_ = 0;
    tsc_deadline_ = 0;
  }
  // A one-shot that has run out stays so; a periodic one goes on from where its grid is now.
  if (mode != mode_ && mode_ != Mode::TscDeadline && current_count() == 0) initial_count_ = 0;
  if (mode != mode_ && initial_count_ != 0) expires_ = clock_.now() + current_count() * divisor();
  mode_ = mode;
  interrupts_ = interrupts;
  arm();
}

void LocalApicTimer::set_initial_count(uint32_t count) {
  if (mode_ == Mode::TscDeadline) return;
  initial_count_ = count;
  expires_ = clock_.now() + period();
  arm();
}

uint32_t LocalApicTimer::current_count() const {
  if (initial_count_ == 0 || mode_ == Mode::TscDeadline) return 0;
  const Nanoseconds now = clock_.now();
  if (now >= expires_) {
    if (mode_ == Mode::OneShot) return 0;
    return initial_count_ - static_cast<uint32_t>((now - expires_) / divisor() % initial_count_);
  }
  const uint64_t left = (expires_ - now + divisor() - 1) / divisor();
  return static_cast<uint32_t>((left - 1) % initial_count_) + 1;
}

void LocalApicTimer::set_divide(uint32_t value) {
  const uint32_t left = current_count();
  divide_ = value & kDivideBits;
  if (left == 0) return;
  expires_ = clock_.now() + left * divisor();
  arm();
}

void LocalApicTimer::set_tsc_deadline(uint64_t tsc) {
  if (mode_ != Mode::TscDeadline) return;
  tsc_deadline_ = tsc;
  // One that has passed fires before the WRMSR has ended, not when the machine next looks at its timers.
  const bool passed = tsc != 0 && time_of_tsc_(tsc) <= clock_.now();
  if (!passed || interrupts_ == Interrupts::Masked) return arm();
  timer_.cancel();
  expire();
}

Nanoseconds LocalApicTimer::grid_point(Nanoseconds time) const {
  if (time <= expires_) return expires_;
  const Nanoseconds periods = (time - expires_ + period() - 1) / period();
  return expires_ + periods * period();
}

void LocalApicTimer::arm() {
  timer_.cancel();
  if (interrupts_ == Interrupts::Masked) return;
  if (mode_ == Mode::TscDeadline) {
    if (tsc_deadline_ != 0) timer_.arm(std::max(time_of_tsc_(tsc_deadline_), clock_.now()));
    return;
  }
  if (current_count() == 0) return;  // Stopped, or a one-shot that has run out.
  if (mode_ == Mode::Periodic) expires_ = grid_point(clock_.now() + 1);
  timer_.arm(expires_);
}

void LocalApicTimer::expire() {
  if (mode_ == Mode::Periodic && initial_count_ != 0) {
    expires_ = grid_point(clock_.now() + (period() < kShortestInterval ? kShortestInterval : 1));
    timer_.arm(expires_);
  }
  if (mode_ == Mode::TscDeadline) tsc_deadline_ = 0;
  expired_();
}

void LocalApicTimer::serialize(StateArchive& archive) {
  archive.section("local apic timer", 1);
  archive.fields(mode_, interrupts_, initial_count_, divide_, tsc_deadline_, expires_);
  archive.timer(timer_);
  if (!archive.loading()) return;
  divide_ &= kDivideBits;
  const bool sensible_mode = mode_ <= (has_tsc_deadline() ? Mode::TscDeadline : Mode::Periodic);
  if (!sensible_mode || interrupts_ > Interrupts::Open) {
    archive.reject("a local APIC's timer");
    reset();
  }
}

}  // namespace vitrine::devices

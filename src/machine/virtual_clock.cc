#include "machine/virtual_clock.h"

#include "base/check.h"

namespace vitrine::machine {

VirtualClock::VirtualClock(std::function<uint64_t()> executed, uint64_t nanoseconds_per_instruction)
    : executed_(std::move(executed)), rate_(nanoseconds_per_instruction) {
  CHECK(rate_ >= 1, "time must pass");
}

bool VirtualClock::skip_to_deadline() {
  const auto deadline = next_deadline();
  const Nanoseconds time = now();
  if (!deadline || *deadline <= time) return false;
  skipped_ += *deadline - time;
  return true;
}

uint64_t VirtualClock::instructions_until(Nanoseconds deadline) const {
  const Nanoseconds time = now();
  if (deadline <= time) return 0;
  return (deadline - time - 1) / rate_ + 1;
}

void VirtualClock::set(Nanoseconds now) {
  const Nanoseconds time = this->now();
  CHECK(now >= time, "time goes forward only");
  skipped_ += now - time;
}

}  // namespace vitrine::machine

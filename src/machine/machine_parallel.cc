// The machine's own thread while the vCPUs run in parallel: it holds the lock but while it waits, serves
// timers and the outside world, and sees to whatever vCPUs stopped for.
#include <algorithm>

#include "machine/machine.h"

namespace vitrine::machine {
namespace {

// Between two deadlines that are due both, so that the guest has the time to take the first one's interrupt.
constexpr Nanoseconds kCatchUpInterval = 50'000;

}  // namespace

void Machine::start_parallel() {
  FairLock* const lock = pc_->processors().lock();
  lock->lock();
  loop_->set_lock(lock);
  threads_ = std::make_unique<ProcessorThreads>(pc_->processors(), [this] { loop_->wake(); });
}

void Machine::end_parallel() {
  threads_.reset();
  loop_->set_lock(nullptr);
  pc_->processors().lock()->unlock();
}

void Machine::parallel_turn() {
  while (state_ == RunState::Running && !reset_requested_) {
    const auto slice = threads_->take_exit();
    if (!slice) break;
    threads_->park();
    if (still_matters(*slice)) handle_exit(*slice);
  }
  if (reset_requested_) {
    threads_->park();
    threads_->forget_exits();
    do_reset();
  }
  if (power_off_requested_) {
    threads_->park();
    power_off();
  }
  if (end_status_) return;
  if (state_ != RunState::Running || loop_->congested()) {
    threads_->park();
    loop_->wait(std::nullopt);
    return;
  }
  turn_time_ = clock_->now();
  clock_->run_due_timers();
  if (reset_requested_ || power_off_requested_ || end_status_ || state_ != RunState::Running) return;
  threads_->unpark();
  const auto deadline = clock_->next_deadline();
  if (!deadline) {
    loop_->wait(std::nullopt);
    return;
  }
  const Nanoseconds now = clock_->now();
  loop_->wait(*deadline > now ? *deadline - now : kCatchUpInterval);
}

// Two may stop at the same time. A debugger hears of the second when it lets the machine go on, if that is
// still where it was and the breakpoint stands.
bool Machine::still_matters(const Processors::Slice& slice) const {
  switch (slice.exit.reason) {
    case cpu::ExitReason::Stepped: return !stepping_.empty();
    case cpu::ExitReason::Breakpoint: {
      const cpu::CpuState& state = pc_->processors().vcpu(slice.vcpu).state();
      const VirtualAddress now(state.segments[x86::kCs].base + state.eip);
      return slice.exit.address == now &&
             std::ranges::find(stop_points_.breakpoints, now) != stop_points_.breakpoints.end();
    }
    default: return true;
  }
}

// Before anything looks at a vCPU or changes it, from the machine's thread; they go on after its turn.
void Machine::halt_processors() const {
  if (threads_) threads_->park();
}

void Machine::look_up() {
  if (threads_) {
    if (loop_->waiting()) loop_->wake();
  } else if (pc_) {
    pc_->processors().kick();
  }
}

void Machine::stop_soon() {
  if (threads_) threads_->stop();
  look_up();
}

}  // namespace vitrine::machine

#include "machine/processor_threads.h"

#include <sched.h>

#include <utility>

#include "base/check.h"
#include "translate/host_signals.h"

namespace vitrine::machine {
namespace {

bool concerns_machine(cpu::ExitReason reason) {
  switch (reason) {
    case cpu::ExitReason::BudgetSpent:
    case cpu::ExitReason::Kicked:
    case cpu::ExitReason::Halted: return false;
    case cpu::ExitReason::Shutdown:
    case cpu::ExitReason::Breakpoint:
    case cpu::ExitReason::Watchpoint:
    case cpu::ExitReason::Stepped: break;
  }
  return true;
}

// At a real-time priority threads of one priority do not preempt each other: vCPUs that compute would keep
// the machine's thread from serving their timers for ever. So they go one below it.
void yield_precedence() {
  int policy = ::sched_getscheduler(0);
  sched_param parameters{};
  if (policy != SCHED_FIFO && policy != SCHED_RR) return;
  if (::sched_getparam(0, &parameters) != 0) return;
  if (parameters.sched_priority > ::sched_get_priority_min(policy)) {
    --parameters.sched_priority;
  } else {
    policy = SCHED_OTHER;
    parameters.sched_priority = 0;
  }
  (void)::sched_setscheduler(0, policy, &parameters);
}

}  // namespace

ProcessorThreads::ProcessorThreads(Processors& processors, std::function<void()> look_up)
    : processors_(processors), lock_(*processors.lock()), look_up_(std::move(look_up)) {
  for (unsigned i = 0; i < processors_.count(); ++i) threads_.emplace_back([this, i] { run(i); });
}

ProcessorThreads::~ProcessorThreads() {
  park();
  ending_ = true;
  processors_.wake_all();
  lock_.unlock();
  for (std::thread& thread : threads_) thread.join();
  lock_.lock();
}

void ProcessorThreads::stop() {
  if (std::exchange(parked_, true)) return;
  processors_.kick_all();
}

void ProcessorThreads::park() {
  stop();
  while (running_ != 0) {
    const uint32_t seen = stopped_.load();
    lock_.unlock();
    stopped_.wait(seen);
    lock_.lock();
  }
}

void ProcessorThreads::unpark() {
  if (!std::exchange(parked_, false)) return;
  processors_.wake_all();
}

std::optional<Processors::Slice> ProcessorThreads::take_exit() {
  if (exits_.empty()) return std::nullopt;
  const Processors::Slice slice = exits_.front();
  exits_.pop_front();
  return slice;
}

void ProcessorThreads::run(unsigned vcpu) {
  const Result<void> prepared = translate::prepare_host_signals();
  CHECK(prepared.has_value(), "{}", prepared.error().message());
  yield_precedence();
  lock_.lock();
  while (!ending_) {
    if (parked_ || !processors_.runnable(vcpu)) {
      rest(vcpu);
      continue;
    }
    ++running_;
    const cpu::Exit exit = processors_.run_in_parallel(vcpu);
    --running_;
    if (concerns_machine(exit.reason)) {
      exits_.push_back({vcpu, exit});
      stop();
      look_up_();
    }
    if (parked_) {
      stopped_.fetch_add(1);
      stopped_.notify_all();
    } else {
      lock_.yield();
    }
  }
  lock_.unlock();
}

void ProcessorThreads::rest(unsigned vcpu) {
  std::atomic<uint32_t>& wakes = processors_.wakes(vcpu);
  const uint32_t seen = wakes.load();
  lock_.unlock();
  wakes.wait(seen);
  lock_.lock();
}

}  // namespace vitrine::machine

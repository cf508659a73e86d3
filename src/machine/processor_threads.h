// Threads for virtual processors that run in parallel, one for each, and how all of them are brought to a
// stop.
//
//   run ─► Vcpu::run: the machine's lock is held, but while translated code runs
//    ▲ │
//    │ └─► rest: halted, held by a debugger, or everybody is parked; woken by what could have changed that
//    └──────┘
//
// What only the machine's own thread can deal with (a triple fault, a breakpoint) stops everybody and waits
// for it. See docs/smp.md.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/fair_lock.h"
#include "machine/processors.h"

namespace vitrine::machine {

class ProcessorThreads {
 public:
  /// `look_up` is called with the lock, from a processor's thread: the machine's thread should look at
  /// take_exit(). The caller holds the lock. Everybody is parked.
  ProcessorThreads(Processors& processors, std::function<void()> look_up);
  /// Ends the threads. The caller holds the lock.
  ~ProcessorThreads();
  ProcessorThreads(const ProcessorThreads&) = delete;
  ProcessorThreads& operator=(const ProcessorThreads&) = delete;

  // All with the lock.

  /// Everybody stops soon, and stays so until unpark(). From any thread.
  void stop();
  /// As stop(), and waits, which gives the lock up for a while: from then on every vCPU is between two runs.
  /// From the machine's thread.
  void park();
  void unpark();
  /// What a vCPU has stopped everybody for, in order.
  [[nodiscard]] std::optional<Processors::Slice> take_exit();
  /// After a reset.
  void forget_exits() { exits_.clear(); }

 private:
  void run(unsigned vcpu);
  void rest(unsigned vcpu);

  Processors& processors_;
  FairLock& lock_;
  std::function<void()> look_up_;
  bool parked_ = true;
  bool ending_ = false;
  unsigned running_ = 0;              // vCPUs inside of Vcpu::run
  std::atomic<uint32_t> stopped_{0};  // changes when one comes out of it while somebody may wait for that
  std::deque<Processors::Slice> exits_;
  std::vector<std::thread> threads_;
};

}  // namespace vitrine::machine

// What a machine has counted and where its time went, put together from what its parts report:
// docs/counting.md.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "inspect/activity.h"
#include "inspect/activity_sampler.h"
#include "inspect/section.h"
#include "machine/pc.h"

namespace vitrine::machine {

class Statistics {
 public:
  /// `pc` must outlive it.
  explicit Statistics(const Pc& pc);

  /// From here on time is kept. Errors: the host gives no thread; then only counts are known.
  [[nodiscard]] Result<void> start() { return sampler_.start(); }

  /// What the machine's own thread is doing: Device (timers, host input and output), Waiting (a vCPU runs on
  /// this thread), Idle.
  [[nodiscard]] inspect::ActivityCell& thread() { return thread_; }

  /// A snapshot. With the machine's lock, if there is one.
  [[nodiscard]] inspect::Section gather();
  /// To standard error, without waiting for it.
  void show(const std::string& text) { sampler_.write(text); }

 private:
  void report_processor(unsigned index, inspect::ActivitySampler::Times times, inspect::Section& section);
  [[nodiscard]] Nanoseconds time_of_signals(const translate::Engine& engine, Nanoseconds guest);
  void report_devices(inspect::Section& section) const;

  const Pc& pc_;
  std::optional<Nanoseconds> signal_cost_;  // of the host's, once measured
  inspect::ActivityCell thread_{inspect::Activity::Device};
  inspect::ActivitySampler sampler_;  // last: its thread looks at the others
};

}  // namespace vitrine::machine

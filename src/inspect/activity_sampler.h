// Keeps time for those who have none: a thread that looks at every ActivityCell some thirty times a second,
// at irregular intervals, and books the time until it looks again to what it saw. So all times of one cell
// add up to the time for which it has been watched, exactly; how they are divided is as good as the number of
// samples. The same thread writes texts for whoever must not wait for a slow reader.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "inspect/activity.h"
#include "inspect/device_counters.h"
#include "inspect/section.h"

namespace vitrine::inspect {

class ActivitySampler {
 public:
  using Times = std::array<Spent, kActivities>;

  /// Intervals are between half of it and one and a half.
  static constexpr Nanoseconds kMeanInterval = 32'000'000;

  ActivitySampler() = default;
  /// Writes what is still to be written.
  ~ActivitySampler();
  ActivitySampler(const ActivitySampler&) = delete;
  ActivitySampler& operator=(const ActivitySampler&) = delete;

  // Before the first sample. What is given must outlive the sampler.
  void watch(const ActivityCell& cell);
  /// Asked for the device that is being accessed when a cell says Interpreter; that time is Activity::Device.
  void add_devices(const DeviceCounters& devices) { devices_.push_back(&devices); }

  /// Takes samples from now on. The thread has all signals blocked. Errors: the host gives no thread.
  [[nodiscard]] Result<void> start();
  /// One sample. `now` is not before that of the last one; time begins with the first.
  void sample(Nanoseconds now);

  struct Snapshot {
    Nanoseconds elapsed = 0;   ///< What each cell's times add up to.
    std::vector<Times> times;  ///< In the order of watch().
  };
  /// Up to the last sample.
  [[nodiscard]] Snapshot snapshot() const;

  /// To standard error, as soon as that takes it; without a thread, at once.
  void write(const std::string& text);

 private:
  struct Watched {
    const ActivityCell* cell;
    Activity seen = Activity::Waiting;
    DeviceCounter* device = nullptr;  // that it was at
    Times times{};
  };

  void take(Nanoseconds now);
  void run();
  [[nodiscard]] Nanoseconds next_interval();

  mutable std::mutex mutex_;  // everything below but the thread itself
  std::condition_variable wanted_;
  std::vector<Watched> watched_;
  std::vector<const DeviceCounters*> devices_;
  bool begun_ = false;
  Nanoseconds first_ = 0, last_ = 0;
  uint32_t seed_ = 1;
  bool ending_ = false;
  std::string text_;
  std::thread thread_;
};

}  // namespace vitrine::inspect

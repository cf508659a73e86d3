// Who was accessed how often: the counts behind a map of ports or of memory, by device.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "inspect/counter.h"

namespace vitrine::inspect {

/// Accesses that processors made to one device, each of a string instruction's too.
struct DeviceCounter {
  std::string name;
  const void* device = nullptr;
  uint64_t reads = 0, writes = 0;
  SharedCounter nanoseconds, samples;  ///< Booked by the sampler.
};

class DeviceCounters {
 public:
  /// The device's counter, which lives as long as this object: what was counted stays when the device has
  /// been mapped elsewhere. Null is nobody: accesses that no device answers.
  [[nodiscard]] DeviceCounter& of(const void* device, std::string_view name) {
    for (DeviceCounter& known : counters_)
      if (known.device == device) return known;
    DeviceCounter& made = counters_.emplace_back();
    made.name = name;
    made.device = device;
    return made;
  }
  [[nodiscard]] const std::deque<DeviceCounter>& all() const { return counters_; }

  /// Being accessed at this moment, or null. From any thread.
  [[nodiscard]] DeviceCounter* now() const { return now_.load(std::memory_order_relaxed); }

 private:
  friend class DeviceAccess;

  std::deque<DeviceCounter> counters_;
  std::atomic<DeviceCounter*> now_{nullptr};
};

/// While a device is being accessed.
class DeviceAccess {
 public:
  DeviceAccess(DeviceCounters& all, DeviceCounter& device) : all_(all) {
    all_.now_.store(&device, std::memory_order_relaxed);
  }
  ~DeviceAccess() { all_.now_.store(nullptr, std::memory_order_relaxed); }
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;

 private:
  DeviceCounters& all_;
};

}  // namespace vitrine::inspect

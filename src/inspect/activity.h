// What a virtual processor is doing at this moment: one byte, which whoever changes it sets with a plain
// store and a sampler on another thread looks at now and then (activity_sampler.h). That is all that keeping
// time costs. See docs/counting.md.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vitrine::inspect {

enum class Activity : uint8_t {
  Guest,        ///< Translated guest code runs, or the host delivers a signal that came from it.
  Interpreter,  ///< Guest instructions are interpreted.
  Device,       ///< …and one of them is at a device.
  Fill,         ///< A fault of translated code is looked into, a shadow entry filled.
  Switch,       ///< The guest has changed its page table or privilege: the window for it is found.
  Translate,    ///< Guest code is looked up, translated, linked.
  Deliver,      ///< An exception or interrupt goes through the guest's IDT.
  Monitor,      ///< The rest: ways in and out, the dispatcher.
  Waiting,      ///< For its turn, the machine's lock, or a debugger.
  Idle,         ///< Halted.
  Count
};
inline constexpr size_t kActivities = static_cast<size_t>(Activity::Count);

struct ActivityName {
  std::string_view key, title;
};
/// By Activity. The keys are those of the JSON report.
inline constexpr std::array<ActivityName, kActivities> kActivityNames = {{
    {"guest", "guest code, native"},
    {"interpreter", "guest code, interpreted"},
    {"device", "devices"},
    {"fill", "page faults looked into"},
    {"switch", "window switches"},
    {"translate", "finding and making code"},
    {"deliver", "exceptions, interrupts delivered"},
    {"monitor", "the rest of the monitor"},
    {"waiting", "waiting for its turn or the lock"},
    {"idle", "idle"},
}};

/// One writer, any readers.
class ActivityCell {
 public:
  explicit ActivityCell(Activity first = Activity::Waiting) : now_(first) {}

  [[nodiscard]] Activity now() const { return now_.load(std::memory_order_relaxed); }
  void set(Activity activity) { now_.store(activity, std::memory_order_relaxed); }

 private:
  std::atomic<Activity> now_;
};

/// For as long as it lives; what was before comes back.
class ActivityScope {
 public:
  ActivityScope(ActivityCell& cell, Activity activity) : cell_(cell), before_(cell.now()) {
    cell.set(activity);
  }
  ~ActivityScope() { cell_.set(before_); }
  ActivityScope(const ActivityScope&) = delete;
  ActivityScope& operator=(const ActivityScope&) = delete;

 private:
  ActivityCell& cell_;
  const Activity before_;
};

}  // namespace vitrine::inspect

// The breakpoints and watchpoints of a debugging session, as gdb's Z and z packets set and clear them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/addresses.h"
#include "debug/debug_target.h"

namespace vitrine::debug {

struct StopPoint {
  /// gdb's numbers: the digit after Z.
  enum class Kind : uint8_t {
    SoftwareBreakpoint = 0,
    HardwareBreakpoint = 1,
    WriteWatchpoint = 2,
    ReadWatchpoint = 3,
    AccessWatchpoint = 4,
  };
  static constexpr unsigned kKindCount = 5;

  Kind kind = Kind::SoftwareBreakpoint;
  VirtualAddress address;
  uint32_t size = 1;  ///< Bytes watched. Breakpoints: 1, always.

  [[nodiscard]] bool is_breakpoint() const {
    return kind == Kind::SoftwareBreakpoint || kind == Kind::HardwareBreakpoint;
  }
  bool operator==(const StopPoint&) const = default;
};

class StopPointSet {
 public:
  static constexpr size_t kMaxCount = 1024;

  enum class Insertion : uint8_t { Done, AlreadyThere, Full };
  Insertion insert(const StopPoint& point);
  /// What is not there is removed already.
  void remove(const StopPoint& point);
  void clear() { points_.clear(); }

  /// The kind of a breakpoint there. Where both kinds are set it is the software breakpoint.
  [[nodiscard]] std::optional<StopPoint::Kind> breakpoint_at(VirtualAddress address) const;
  /// The kind of the watchpoint that watches this byte; one that starts there before one that only covers it.
  [[nodiscard]] std::optional<StopPoint::Kind> watchpoint_at(VirtualAddress address) const;

  [[nodiscard]] StopPoints for_target() const;
  [[nodiscard]] size_t size() const { return points_.size(); }

 private:
  std::vector<StopPoint> points_;
};

}  // namespace vitrine::debug

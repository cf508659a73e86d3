#include "debug/stop_point_set.h"

#include <algorithm>

namespace vitrine::debug {
namespace {

cpu::Watchpoint::Kind watch_kind(StopPoint::Kind kind) {
  switch (kind) {
    case StopPoint::Kind::ReadWatchpoint: return cpu::Watchpoint::Kind::Read;
    case StopPoint::Kind::AccessWatchpoint: return cpu::Watchpoint::Kind::Access;
    default: return cpu::Watchpoint::Kind::Write;
  }
}

}  // namespace

StopPointSet::Insertion StopPointSet::insert(const StopPoint& point) {
  if (std::ranges::find(points_, point) != points_.end()) return Insertion::AlreadyThere;
  if (points_.size() >= kMaxCount) return Insertion::Full;
  points_.push_back(point);
  return Insertion::Done;
}

void StopPointSet::remove(const StopPoint& point) {
  std::erase(points_, point);
}

std::optional<StopPoint::Kind> StopPointSet::breakpoint_at(VirtualAddress address) const {
  std::optional<StopPoint::Kind> found;
  for (const StopPoint& point : points_) {
    if (!point.is_breakpoint() || point.address != address) continue;
    if (!found || point.kind == StopPoint::Kind::SoftwareBreakpoint) found = point.kind;
  }
  return found;
}

std::optional<StopPoint::Kind> StopPointSet::watchpoint_at(VirtualAddress address) const {
  std::optional<StopPoint::Kind> found;
  for (const StopPoint& point : points_) {
    if (point.is_breakpoint()) continue;
    if (point.address == address) return point.kind;
    if (address.value - point.address.value < point.size) found = point.kind;
  }
  return found;
}

StopPoints StopPointSet::for_target() const {
  StopPoints all;
  for (const StopPoint& point : points_) {
    if (point.is_breakpoint()) {
      // Both kinds at one place are one breakpoint to the processor.
      if (std::ranges::find(all.breakpoints, point.address) == all.breakpoints.end()) {
        all.breakpoints.push_back(point.address);
      }
    } else {
      all.watchpoints.push_back({point.address, point.size, watch_kind(point.kind)});
    }
  }
  return all;
}

}  // namespace vitrine::debug

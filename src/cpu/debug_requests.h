// What a debugger outside the guest asks of a virtual processor. Costs nothing while empty.
#pragma once

#include <cstdint>
#include <vector>

#include "base/addresses.h"

namespace vitrine::cpu {

/// A debugger's watchpoint on virtual addresses.
struct Watchpoint {
  enum class Kind : uint8_t { Write, Read, Access };
  VirtualAddress start;
  uint32_t size = 1;
  Kind kind = Kind::Write;
};

struct DebugRequests {
  std::vector<VirtualAddress> breakpoints;
  std::vector<Watchpoint> watchpoints;
  bool single_step = false;

  [[nodiscard]] bool empty() const { return breakpoints.empty() && watchpoints.empty() && !single_step; }
};

}  // namespace vitrine::cpu

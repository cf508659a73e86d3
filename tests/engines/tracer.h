// Watches translated code while it runs: a child process executes it, and this process steps it, one host
// instruction at a time, from the moment that the engine enters it until it leaves. Knows nothing of how the
// code came about, and trusts nothing but the addresses that the engine itself says.
//
// Before each step the instruction is decoded, and must not be one that enters the host's kernel; each of its
// memory operands, computed from the registers as they are, must lie in the window, or in the few pieces of
// the monitor's memory that translated code may touch (docs/confinement.md). After each step control must be
// in the code memory; or, at the end of the way out, where the engine was called from. Now and then all of
// the monitor's private memory is compared with what it was before.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "translate/engine.h"

namespace vitrine::engines {

struct TraceReport {
  std::string unavailable;   ///< Not empty: what the host does not allow.
  std::string violation;     ///< Not empty: what happened that must not, and where.
  uint64_t entries = 0;      ///< Times that translated code was entered.
  uint64_t steps = 0;        ///< Host instructions checked.
  uint64_t accesses = 0;     ///< Memory operands checked.
  uint64_t signals = 0;      ///< That came out of translated code.
  uint64_t comparisons = 0;  ///< Of all memory.
  uint64_t kicks = 0;        ///< Given on the way in.
  bool finished = false;     ///< The body came to its end.
};

enum class TraceKicks : uint8_t {
  None,
  OnTheWayIn,  ///< One at each second entry, at another instruction of the glue each time.
};

/// Calls `body`, which makes the engine's processor run, in a traced child. Until the first violation.
[[nodiscard]] TraceReport trace(const translate::Engine& engine, const std::function<void()>& body,
                                TraceKicks kicks = TraceKicks::None);

}  // namespace vitrine::engines

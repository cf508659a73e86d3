// Why a virtual processor stopped running.
#pragma once

#include <cstdint>

#include "base/addresses.h"

namespace vitrine::cpu {

enum class ExitReason : uint8_t {
  BudgetSpent,  ///< As many instructions as asked for have been executed.
  Kicked,       ///< Somebody wants the driver's attention: kick(), or a device changed a deadline.
  Halted,       ///< HLT (or waiting for INIT/SIPI): nothing to do until a signal arrives.
  Shutdown,     ///< Triple fault.
  Breakpoint,   ///< At Exit::address, an instruction with a debugger's breakpoint, not yet executed.
  Watchpoint,   ///< The instruction before EIP accessed Exit::address, which a debugger watches.
  Stepped,      ///< One instruction was executed for a debugger.
};

[[nodiscard]] constexpr const char* name(ExitReason reason) {
  switch (reason) {
    case ExitReason::BudgetSpent: return "budget spent";
    case ExitReason::Kicked: return "kicked";
    case ExitReason::Halted: return "halted";
    case ExitReason::Shutdown: return "shutdown";
    case ExitReason::Breakpoint: return "breakpoint";
    case ExitReason::Watchpoint: return "watchpoint";
    case ExitReason::Stepped: return "stepped";
  }
  return "";
}

struct Exit {
  ExitReason reason = ExitReason::BudgetSpent;
  VirtualAddress address;  ///< Breakpoint, Watchpoint.
};

}  // namespace vitrine::cpu

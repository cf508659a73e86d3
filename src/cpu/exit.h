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

struct Exit {
  ExitReason reason = ExitReason::BudgetSpent;
  VirtualAddress address;  ///< Breakpoint, Watchpoint.
};

}  // namespace vitrine::cpu

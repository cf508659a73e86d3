// What runs guest code without interpreting it: the interface that Vcpu has for it. The engine works on the
// same Core; whatever it does not want, the interpreter does. Implemented in translate/.
#pragma once

#include <cstdint>

#include "cpu/operation.h"

namespace vitrine::cpu {

struct Core;

/// What the processor has just forgotten of its look-aside buffer. SDM Vol. 3A, "Invalidation of TLBs and
/// Paging-Structure Caches".
enum class Invalidation : uint8_t {
  All,
  NonGlobal,  ///< A load of CR3.
  Page,
};

class NativeEngine {
 public:
  virtual ~NativeEngine() = default;

  enum class Outcome : uint8_t {
    Unsuitable,      ///< Nothing was done: the mode is the interpreter's.
    Advanced,        ///< Something happened: an event waits, core.fault is set (core.faulted), or both.
    OneInstruction,  ///< The next instruction is the interpreter's.
  };

  /// Runs from core.state, which is canonical before and after, until something else is wanted. No event is
  /// pending that could be taken.
  [[nodiscard]] virtual Outcome run(Core& core) = 0;

  /// `linear` matters for a page only.
  virtual void invalidated(Invalidation what, uint32_t linear) = 0;
  /// Brings core.state.fpu up to date and clears core.fpu_held, which run() may leave set.
  virtual void return_fpu(Core& core) = 0;
  /// After OneInstruction: what that was.
  virtual void interpreted(Operation operation) = 0;
  /// Where processors run in parallel: all others have stopped on return, and go on after the interpreter has
  /// done with the present instruction.
  virtual void stop_others() = 0;
  /// From other threads or signal handlers: makes run() return soon. core.attention says why.
  virtual void kick() = 0;
};

}  // namespace vitrine::cpu

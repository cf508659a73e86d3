// Somebody who wants to hear what a virtual processor does: the event log. Costs one test of a pointer where
// nobody listens.
#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/system.h"

namespace vitrine::cpu {

class Observer {
 public:
  virtual ~Observer() = default;
  /// An exception or interrupt is about to be delivered; `state` is canonical and as before the delivery.
  virtual void event(unsigned vcpu, const CpuState& state, const Event& event) = 0;
  /// The instruction at state.eip is about to be executed. Only asked for with wants_instructions(), which
  /// makes execution some twenty times slower.
  virtual void instruction(unsigned vcpu, const CpuState& state) = 0;
  [[nodiscard]] virtual bool wants_instructions() const = 0;
};

}  // namespace vitrine::cpu

// Somebody who wants to hear what a virtual processor does: the event log. Costs one test of a pointer where
// nobody listens.
#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/system.h"

namespace vitrine::cpu {

/// Something that the monitor does for a guest whose code runs natively, or learns of it.
struct MonitorAction {
  enum class Kind : uint8_t {
    Emulated,    ///< `operation` is about to be executed in the guest's stead; `by_signal` says how it came.
    Filled,      ///< A hidden page fault at `address`: so many `pages` have been filled.
    TrueFault,   ///< The guest's own page fault at `address`; it will be delivered.
    TableLoad,   ///< CR3 is loaded: `from`, `to`.
    ShadowDrop,  ///< Shadow entries were dropped, so many (`pages`) times a range of them.
    ShadowSwitch,  ///< Another window is the active one: that of page table `to` and the present privilege.
  };
  Kind kind = Kind::Emulated;
  bool by_signal = false;  ///< A signal of the host's, a real trap; else translated code jumped here.
  Operation operation = Operation::Invalid;
  uint32_t eip = 0;  ///< Of the instruction.
  uint32_t address = 0;
  char access = 'r';  ///< r, w or x.
  uint64_t pages = 0;
  uint32_t from = 0, to = 0;
};

class Observer {
 public:
  virtual ~Observer() = default;
  /// An exception or interrupt is about to be delivered; `state` is canonical and as before the delivery.
  virtual void event(unsigned vcpu, const CpuState& state, const Event& event) = 0;
  /// The instruction at state.eip is about to be executed. Only asked for with wants_instructions(), which
  /// makes execution some twenty times slower.
  virtual void instruction(unsigned vcpu, const CpuState& state) = 0;
  [[nodiscard]] virtual bool wants_instructions() const = 0;
  /// In the middle of native execution only state.cpl, cr3 and the like are up to date, not the registers.
  /// Possibly from the handler of a fault of translated code, which may allocate and write.
  virtual void acted(unsigned /*vcpu*/, const CpuState& /*state*/, const MonitorAction& /*action*/) {}
};

}  // namespace vitrine::cpu

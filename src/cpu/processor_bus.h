// What a virtual processor is connected to, beyond memory and I/O ports. The machine implements it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace vitrine::cpu {

class ProcessorBus {
 public:
  virtual ~ProcessorBus() = default;

  /// The INTA cycle: the vector of the interrupt to take now, or nothing when the request has gone meanwhile.
  [[nodiscard]] virtual std::optional<uint8_t> acknowledge_interrupt(unsigned vcpu) = 0;
  /// Ticks of the time-stamp counter since the machine was switched on, before state.tsc_offset.
  [[nodiscard]] virtual uint64_t time_stamp(unsigned vcpu) = 0;
  /// IA32_APIC_BASE was written. Returns false when the value is not acceptable (#GP).
  [[nodiscard]] virtual bool set_apic_base(unsigned vcpu, uint64_t value) = 0;
  /// IA32_TSC_DEADLINE.
  virtual void set_tsc_deadline(unsigned vcpu, uint64_t value) = 0;
  [[nodiscard]] virtual uint64_t tsc_deadline(unsigned vcpu) = 0;
  /// FERR#: an unmasked x87 exception with CR0.NE clear. Leads to IRQ 13.
  virtual void set_ferr(unsigned vcpu, bool level) = 0;
  /// Text for the machine's console, not through a device. False: there is none.
  [[nodiscard]] virtual bool write_console(std::span<const uint8_t> /*text*/) { return false; }
};

}  // namespace vitrine::cpu

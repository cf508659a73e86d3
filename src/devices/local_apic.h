// A processor's local APIC (xAPIC, version 14h, six local vector table entries).
//
// Documentation: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)".
// Registers: 4 KiB at the address in IA32_APIC_BASE (FEE00000h after reset), one APIC for each processor at
// the same
//   place: with several processors the builder's window leads to the one whose processor makes the access.
// Implemented: ID, TPR, PPR, APR, EOI, logical destination (flat and cluster), SVR, ISR, TMR, IRR, ESR, ICR
//   (all delivery modes, shorthands), timer (one-shot, periodic, TSC-deadline), LINT0, LINT1, error entry,
//   level-triggered EOI to the I/O APICs, software disable, IA32_APIC_BASE.
// Missing: x2APIC, CMCI, remote read, EOI broadcast suppression; nothing raises the thermal and performance
// entries. Ignored bits: LINT polarity (a wire here is high when it asks), focus checking; delivery status is
// always idle. Writes
//   of less than four bytes.
//
// Held while software-disabled: what is in IRR and ISR stays and is not presented; fixed messages are not
// taken; the LVT is masked.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/addresses.h"
#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/apic_bus.h"
#include "devices/irq_line.h"
#include "devices/local_apic_timer.h"
#include "devices/processor_signals.h"
#include "memory/physical_map.h"

namespace vitrine::devices {

class LocalApic final : public memory::MemoryDevice, public IrqSink, public ApicAgent, public Serializable {
 public:
  static constexpr uint64_t kDefaultBase = 0xfee00000;
  static constexpr uint64_t kWindowSize = 0x1000;
  static constexpr unsigned kLint0 = 0;  ///< As an IrqSink: from the PIC's INTR.
  static constexpr unsigned kLint1 = 1;  ///< The NMI pin.

  enum class Role : uint8_t { BootProcessor, ApplicationProcessor };

  struct Wiring {
    Clock& clock;
    ApicBus& bus;
    ProcessorSignals& processor;
    ExternalInterruptSource* pic = nullptr;   ///< Who answers for ExtINT, usually at the boot processor only.
    std::function<void()> base_changed = {};  ///< base() or enabled() is another: the window has to follow.
    LocalApicTimer::TimeOfTsc time_of_tsc = {};  ///< Empty: no TSC-deadline mode (CPUID must not show it).
  };

  LocalApic(Wiring wiring, uint8_t id, Role role);

  /// As after power-on: software-disabled, everything masked, at the default base.
  void reset();
  /// What a PC's firmware leaves behind: software-enabled, LINT0 as ExtINT, LINT1 as NMI ("virtual wire
  /// mode"). For starting a kernel without firmware.
  void enter_virtual_wire_mode();

  // For the processor.

  /// Whether INTR is high.
  [[nodiscard]] bool pending() const;
  /// Takes the highest pending interrupt: its vector, which is in service now; or the PIC's, after its INTA
  /// cycle; or, when nothing is left, the spurious vector. Always 0–255.
  int acknowledge();
  [[nodiscard]] uint64_t base_msr() const { return base_msr_; }
  /// Takes the base and the enable bit (11). The processor has checked reserved bits (#GP) before. Disabling
  /// loses the state; the wires LINT0 and LINT1 are INTR and NMI then.
  void set_base_msr(uint64_t value);
  [[nodiscard]] PhysicalAddress base() const { return PhysicalAddress(base_msr_ & ~uint64_t{0xfff}); }
  [[nodiscard]] bool enabled() const;
  /// IA32_TSC_DEADLINE.
  [[nodiscard]] uint64_t tsc_deadline() const { return timer_.tsc_deadline(); }
  void set_tsc_deadline(uint64_t tsc) { timer_.set_tsc_deadline(tsc); }

  // For the machine.

  [[nodiscard]] std::string_view name() const override { return "local-apic"; }
  [[nodiscard]] uint64_t read_memory(uint64_t offset, unsigned size) override;
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override;
  /// The identification and the version.
  [[nodiscard]] bool is_steady(uint64_t offset, unsigned size) const override;
  /// LINT0 and LINT1.
  void set_irq_line(unsigned line, bool level) override;

  [[nodiscard]] bool addressed_by(uint8_t destination, ApicDestinationMode mode) const override;
  [[nodiscard]] bool takes_interrupts() const override { return enabled() && software_enabled(); }
  [[nodiscard]] uint8_t processor_priority() const override;
  void accept(const ApicMessage& message) override;

  // For the monitor.

  [[nodiscard]] uint8_t id() const { return id_; }
  /// What the register at `offset` (a multiple of 16) reads as, without side effects; nothing if there is
  /// none.
  [[nodiscard]] std::optional<uint32_t> peek(uint64_t offset) const;
  /// Interrupts acknowledged: by this APIC, and through it by the PIC.
  [[nodiscard]] uint64_t delivered() const { return delivered_; }
  [[nodiscard]] uint64_t delivered_external() const { return delivered_external_; }

  void serialize(StateArchive& archive) override;

 private:
  enum Entry : unsigned { kTimer, kThermal, kPerformance, kLint0Entry, kLint1Entry, kError, kEntries };
  using Vectors = std::array<uint32_t, 8>;  // one bit each

  void reset_state();
  [[nodiscard]] bool software_enabled() const;
  [[nodiscard]] bool external_pending() const;
  [[nodiscard]] std::optional<uint8_t> deliverable() const;
  void request(uint8_t vector, ApicTrigger trigger);
  void update_intr();
  void end_of_interrupt();
  void send_command();
  [[nodiscard]] uint32_t writable_bits(unsigned entry) const;
  void write_entry(unsigned entry, uint32_t value);
  void write_spurious(uint32_t value);
  void configure_timer();
  void fire_entry(unsigned entry);
  void sample_lint(unsigned line, bool rising);
  void raise_error(uint32_t error);
  void write_register(uint64_t offset, uint32_t value);

  ApicBus& bus_;
  ProcessorSignals& processor_;
  ExternalInterruptSource* pic_;
  std::function<void()> base_changed_;
  const uint8_t initial_id_;
  const Role role_;
  LocalApicTimer timer_;

  uint64_t base_msr_ = 0;
  uint8_t id_ = 0;
  uint8_t task_priority_ = 0;
  uint8_t logical_id_ = 0;
  uint8_t destination_format_ = 0xf;
  uint32_t spurious_ = 0;
  uint32_t error_status_ = 0;
  uint32_t new_errors_ = 0;  // shown after the next write of ESR
  uint32_t command_low_ = 0;
  uint32_t command_high_ = 0;
  Vectors isr_{}, tmr_{}, irr_{};
  std::array<uint32_t, kEntries> entries_{};
  std::array<bool, 2> lint_levels_{};
  bool external_message_ = false;  // an ExtINT that came over the bus
  bool intr_ = false;              // as the processor was told
  uint64_t delivered_ = 0;
  uint64_t delivered_external_ = 0;
};

}  // namespace vitrine::devices

// Fans a global system interrupt out to the interrupt controllers, as the PC's board does: ISA IRQ n goes
// to input n of the 8259A pair and to pin n of the I/O APIC, except that IRQ 0 goes to pin 2 (the 8259A
// cascade leaves that pin free). Interrupts 16–23 reach the I/O APIC alone.
//
// Each wire that connect() gives out is a source of its own; the sources of one interrupt are ORed, so
// that devices can share it. See docs/interrupts.md.
#pragma once

#include <array>
#include <cstdint>

#include "base/state_archive.h"
#include "devices/irq_line.h"

namespace vitrine::devices {

class GsiRouter : public IrqSink, public Serializable {
 public:
  static constexpr unsigned kInterrupts = 24;
  static constexpr unsigned kIsaInterrupts = 16;

  /// `pic` takes lines 0–15, `io_apic` pins 0–23; either may be null.
  GsiRouter(IrqSink* pic, IrqSink* io_apic) : pic_(pic), io_apic_(io_apic) {}

  /// A new wire to an interrupt, at most 32 for each.
  [[nodiscard]] IrqLine connect(unsigned interrupt);
  /// A new wire to each ISA interrupt, for a chip that routes.
  [[nodiscard]] std::array<IrqLine, kIsaInterrupts> connect_isa();

  [[nodiscard]] bool level(unsigned interrupt) const { return levels_[interrupt] != 0; }

  /// `line` as connect() numbered it.
  void set_irq_line(unsigned line, bool level) override;
  /// The controllers save their own inputs: nothing is driven on load.
  void serialize(StateArchive& archive) override;

 private:
  IrqSink* pic_;
  IrqSink* io_apic_;
  std::array<unsigned, kInterrupts> sources_{};
  std::array<uint32_t, kInterrupts> levels_{};  // one bit a source
};

}  // namespace vitrine::devices

// The wires between a processor and what interrupts it: what a local APIC (or the PIC alone) tells the
// processor, and how the processor's acknowledgement finds its way to the PIC.
#pragma once

#include <cstdint>

namespace vitrine::devices {

/// Implemented by whoever runs the processor. Calls come at any time while devices are driven; none of them
/// may call back into the caller.
class ProcessorSignals {
 public:
  virtual ~ProcessorSignals() = default;
  /// INTR: a level. While it is high the processor fetches a vector (LocalApic::acknowledge) as soon as it
  /// takes interrupts.
  virtual void set_intr(bool level) = 0;
  /// One edge of NMI.
  virtual void raise_nmi() = 0;
  /// There is no system management mode: a processor may ignore it.
  virtual void raise_smi() = 0;
  /// INIT: reset without touching memory, caches or the FPU; then wait for startup(), unless it is the boot
  /// processor.
  virtual void init() = 0;
  /// The STARTUP message: begin in real mode at `vector` << 12. To be ignored unless waiting after init().
  virtual void startup(uint8_t vector) = 0;
};

/// Answers the INTA cycle with a vector: the PIC.
class ExternalInterruptSource {
 public:
  virtual ~ExternalInterruptSource() = default;
  virtual uint8_t acknowledge() = 0;
};

}  // namespace vitrine::devices

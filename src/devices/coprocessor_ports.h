// The PC's way of reporting x87 exceptions: FERR# of the processor becomes interrupt 13, and a write to port
// F0h takes it back.
//
// Documentation: PC AT technical reference, "Math Coprocessor Controls"; PIIX3 data sheet (290550),
// "Coprocessor
//   Error Register"; SDM Vol. 1, "MS-DOS Compatibility Sub-mode".
// Ports: F0h (clear busy) and F1h (coprocessor reset, which does no more than F0h here), one byte wide, write
// only. Implemented: the latch, IGNNE#. Missing: nothing.
#pragma once

#include <functional>
#include <utility>

#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class CoprocessorPorts final : public memory::PortDevice, public Serializable {
 public:
  static constexpr uint16_t kFirstPort = 0xf0;
  static constexpr unsigned kPorts = 2;

  /// `assert_ignne` tells the processor to go on in spite of the exception.
  CoprocessorPorts(IrqLine irq13, std::function<void()> assert_ignne)
      : irq13_(irq13), assert_ignne_(std::move(assert_ignne)) {}

  void reset() {
    ferr_ = latched_ = false;
    irq13_.lower();
  }
  /// The processor's pin. The interrupt is latched at its rising edge.
  void set_ferr(bool level) {
    if (level && !ferr_) {
      latched_ = true;
      irq13_.raise();
    }
    ferr_ = level;
  }

  [[nodiscard]] std::string_view name() const override { return "coprocessor"; }
  [[nodiscard]] uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return 0xff; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t /*value*/) override {
    latched_ = false;
    irq13_.lower();
    if (ferr_ && assert_ignne_) assert_ignne_();
  }

  void serialize(StateArchive& archive) override {
    archive.section("coprocessor ports", 1);
    archive.fields(ferr_, latched_);
  }

 private:
  IrqLine irq13_;
  std::function<void()> assert_ignne_;
  bool ferr_ = false;
  bool latched_ = false;
};

}  // namespace vitrine::devices

// The reset control register.
//
// Documentation: PIIX3 data sheet (290550), "RC - Reset Control Register".
// Port: CF9h, one byte wide. It lies inside the PCI configuration address register, whose dword accesses it
// must not
//   split: hand it to PciBus::set_reset_control instead of mapping it.
// Implemented: RCPU, SRST. Missing: a soft reset differs from a hard one only in what the callback makes of
// it. Ignored bits: all but 1 and 2.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/state_archive.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class ResetControl final : public memory::PortDevice, public Serializable {
 public:
  static constexpr uint16_t kPort = 0xcf9;
  /// Soft: INIT to the processor. Hard: the whole machine.
  enum class Kind : uint8_t { Soft, Hard };

  /// `reset` is called in the middle of an instruction: the reset is to be noted and done later.
  explicit ResetControl(std::function<void(Kind)> reset) : reset_(std::move(reset)) {}

  void reset() { value_ = 0; }
  [[nodiscard]] std::string_view name() const override { return "reset-control"; }
  [[nodiscard]] uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return value_; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) override;

  void serialize(StateArchive& archive) override;

 private:
  static constexpr uint8_t kSystemReset = 0x02;  // SRST: which kind
  static constexpr uint8_t kResetCpu = 0x04;     // RCPU: 0 to 1 starts it

  std::function<void(Kind)> reset_;
  uint8_t value_ = 0;
};

}  // namespace vitrine::devices

// The PC's two system control ports.
//
// Documentation: PIIX3 data sheet (290550), "NMI Status and Control" (61h) and "Port 92"; PC AT technical
// reference. Ports: 61h and 92h, one byte wide. Implemented: 61h: gate of timer counter 2, speaker data, the
// two NMI enables (remembered), refresh toggle, counter 2's
//   output. 92h: fast A20 and fast reset.
// Missing: parity and channel check never happen. Nobody hears the speaker.
// Ignored bits: 61h bits 7–4 and 92h bits 7–2 when written.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/pit8254.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class SystemControlPorts final : public memory::PortDevice, public Serializable {
 public:
  static constexpr uint16_t kPortB = 0x61;
  static constexpr uint16_t kPort92 = 0x92;

  /// What port 92h does to the machine. Both may be called in the middle of an instruction: a reset is to be
  /// noted and done later. On the chip, A20 is open when either port 92h or the keyboard controller opens it.
  struct Actions {
    std::function<void(bool open)> set_a20;
    std::function<void()> reset;
  };

  SystemControlPorts(Clock& clock, Pit8254& pit, Actions actions);

  /// As after power-on: gate closed, bits zero. Does not call the actions.
  void reset();
  [[nodiscard]] std::string_view name() const override { return "system-control"; }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;

  [[nodiscard]] bool fast_a20() const;
  /// The speaker's cone moves with counter 2.
  [[nodiscard]] bool speaker_on() const;

  void serialize(StateArchive& archive) override;

 private:
  Clock& clock_;
  Pit8254& pit_;
  Actions actions_;
  uint8_t port_b_ = 0;
  uint8_t port_92_ = 0;
};

}  // namespace vitrine::devices

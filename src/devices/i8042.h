// The keyboard controller with its two ports, one for a keyboard and one for a mouse; on a PC it also drives
// the processor's reset pin and the A20 gate.
//
// Documentation: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller";
//   Intel UPI-41/42.
// Implemented: ports 60h and 64h; command byte and internal RAM (20h–3Fh, 60h–7Fh); A4, A7–AB, AD, AE, C0,
// D0–D4,
//   DD/DF, E0, F0–FF; translation of set 2 to set 1; interrupts 1 and 12.
// Missing: the password commands (A4 says there is none), diagnostic dump.
// Ignored: time-outs and parity errors; bytes take no time on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "devices/ps2_device.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class I8042 : public memory::PortDevice, public Serializable {
 public:
  /// What the controller's output port drives.
  struct Outputs {
    std::function<void()> reset;    ///< The processor's reset pin was pulsed.
    std::function<void(bool)> a20;  ///< The A20 gate was opened (true) or closed.
  };
  struct Lines {
    IrqLine keyboard;  ///< ISA interrupt 1
    IrqLine mouse;     ///< ISA interrupt 12
  };

  /// Maps itself at 60h and 64h. Either device may be null: nobody answers there.
  I8042(memory::PortMap& ports, Lines lines, Outputs outputs, Ps2Device* keyboard, Ps2Device* mouse);
  ~I8042() override;

  /// RST#, which keyboard and mouse do not see. Opens A20.
  void reset();

  [[nodiscard]] std::string_view name() const override { return "i8042"; }
  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  /// The controller alone; keyboard and mouse are saved by whoever owns them.
  void serialize(StateArchive& archive) override;

 private:
  enum class Source : uint8_t { Keyboard, Mouse };

  void write_command(uint8_t command);
  void write_data(uint8_t value);
  void write_argument(uint8_t command, uint8_t value);
  void write_command_byte(uint8_t value);
  void write_output_port(uint8_t value);
  [[nodiscard]] uint8_t output_port() const;
  void pulse(uint8_t command);
  void send_to_keyboard(uint8_t value);
  void send_to_mouse(uint8_t value);
  /// Puts a byte of the controller's own where the guest will read it next.
  void answer(uint8_t value, Source source = Source::Keyboard);
  void fill();
  [[nodiscard]] bool fill_once();
  void present(uint8_t value, Source source);
  void update_interrupts();
  [[nodiscard]] uint8_t& command_byte() { return ram_[0]; }
  [[nodiscard]] uint8_t command_byte() const { return ram_[0]; }

  memory::PortMap& ports_;
  Lines lines_;
  Outputs outputs_;
  Ps2Device* keyboard_;
  Ps2Device* mouse_;

  std::array<uint8_t, 32> ram_{};
  uint8_t status_ = 0;
  uint8_t output_ = 0;           // the output buffer, valid while the status says so
  uint8_t pending_command_ = 0;  // waits for its argument at 60h, or 0
  uint8_t output_port_ = 0;
  bool break_prefix_ = false;  // F0h came from the keyboard and is being translated
  bool filling_ = false;       // not state: guards against a device that answers while it is asked
  ByteQueue<16> keyboard_answers_;
  ByteQueue<16> mouse_answers_;
};

}  // namespace vitrine::devices

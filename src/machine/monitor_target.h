// What the monitor wants to know of a machine and to do to it. The machine implements it; the monitor and its
// tests need nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/addresses.h"
#include "base/clock.h"
#include "base/result.h"
#include "cpu/cpu_state.h"
#include "devices/ps2_keyboard.h"
#include "devices/vga_text.h"
#include "memory/physical_map.h"
#include "paging/shadow_spaces.h"

namespace vitrine::machine {

enum class RunState : uint8_t {
  Running,
  Paused,    ///< By `stop`, -S or a debugger.
  Shutdown,  ///< The guest has powered off and the machine was kept.
};

/// A picture of the screen: 24-bit RGB, rows from the top, no padding.
struct ScreenImage {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> rgb;
};

struct DisassembledInstruction {
  uint32_t length = 0;  ///< In bytes, at least 1.
  std::string text;
};

/// A part of the machine that describes itself in a few lines.
enum class Subject : uint8_t { Pic, Irq, Pci, Block, Chardev, Roms, Gdb, Balloon, Statistics, Sandbox };

class MonitorTarget {
 public:
  virtual ~MonitorTarget() = default;

  // The machine.
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual RunState run_state() const = 0;
  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual void reset() = 0;
  /// The power button is pressed: a guest with ACPI powers off by itself.
  virtual void press_power_button() = 0;
  /// Ends the machine in order; takes effect after the command.
  virtual void quit() = 0;
  [[nodiscard]] virtual Clock& clock() = 0;

  // Processors. Called between runs only.
  [[nodiscard]] virtual unsigned cpu_count() const = 0;
  [[nodiscard]] virtual const cpu::CpuState& cpu_state(unsigned cpu) const = 0;
  /// No side effects on the guest; false if any byte is not mapped.
  [[nodiscard]] virtual bool read_virtual(unsigned cpu, VirtualAddress address,
                                          std::span<uint8_t> data) const = 0;
  [[nodiscard]] virtual std::optional<PhysicalAddress> translate(unsigned cpu,
                                                                 VirtualAddress address) const = 0;
  /// The instruction at the start of `code`, which lies at `address`; nullopt: no disassembler, or no
  /// instruction.
  [[nodiscard]] virtual std::optional<DisassembledInstruction> disassemble(
      unsigned /*cpu*/, uint32_t /*address*/, std::span<const uint8_t> /*code*/) const {
    return std::nullopt;
  }

  /// Null: guest code is interpreted.
  [[nodiscard]] virtual const paging::ShadowSpaces* shadow_spaces(unsigned /*cpu*/) const { return nullptr; }

  // Memory and ports.
  [[nodiscard]] virtual const memory::PhysicalMap& physical_map() const = 0;
  [[nodiscard]] virtual uint32_t read_port(uint16_t port, unsigned size) = 0;
  virtual void write_port(uint16_t port, unsigned size, uint32_t value) = 0;

  // Input.
  virtual void key_event(devices::Key key, devices::KeyAction action) = 0;
  virtual void mouse_move(int dx, int dy, int dz) = 0;
  /// Bits: 1 left, 2 middle, 4 right.
  virtual void mouse_buttons(uint8_t buttons) = 0;

  // Output.
  [[nodiscard]] virtual Result<ScreenImage> screenshot() = 0;
  /// nullopt: not in a text mode, or no display.
  [[nodiscard]] virtual std::optional<devices::VgaText> text_screen() = 0;

  /// How much memory the guest should do with, in MiB, from 1 on; more than there is means all of it.
  [[nodiscard]] virtual Result<void> set_balloon(uint64_t /*megabytes*/) {
    return std::unexpected(
        Error{"this machine has no balloon", "", 0, "start with -device virtio-balloon-pci"});
  }

  /// Lines, each ended; empty when the machine has no such part.
  [[nodiscard]] virtual std::string describe(Subject subject) const = 0;
};

}  // namespace vitrine::machine

// A port that ends the machine with an exit status: how tests running inside a guest report.
//
// Documentation: QEMU's isa-debug-exit, as its users know it: a write of `value` makes the emulator exit with
//   (value << 1) | 1, so that 0 stays for an ordinary end.
// Ports: 1, 2 or 4 of them from the base that the builder chooses (F4h and 4 by custom, 501h and 2 by
// default), mapped
//   with that width.
// Implemented: writes of any width; reads give 0.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "memory/port_map.h"

namespace vitrine::devices {

/// Has no state to save.
class DebugExit final : public memory::PortDevice {
 public:
  /// `exit` is told the status; a process can show its low eight bits only. It is called in the middle of an
  /// instruction, and may return: the machine is to stop soon after.
  explicit DebugExit(std::function<void(uint32_t status)> exit) : exit_(std::move(exit)) {}

  [[nodiscard]] std::string_view name() const override { return "isa-debug-exit"; }
  [[nodiscard]] uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return 0; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) override {
    if (exit_) exit_(value << 1 | 1);
  }

 private:
  std::function<void(uint32_t)> exit_;
};

}  // namespace vitrine::devices

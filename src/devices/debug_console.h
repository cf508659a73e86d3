// The console port of firmware and of debugging kernels.
//
// Documentation: QEMU's isa-debugcon and Bochs's port E9h, as their users know them.
// Ports: one, at 402h (SeaBIOS, OVMF) or E9h, one byte wide.
// Implemented: each byte written goes out at once; reading gives E9h, which tells a guest that the port is
// there. Missing: input. Ignored bits: none.
#pragma once

#include <cstdint>

#include "devices/character_backend.h"
#include "memory/port_map.h"

namespace vitrine::devices {

/// Has no state to save.
class DebugConsole final : public memory::PortDevice {
 public:
  static constexpr uint8_t kPresent = 0xe9;

  /// `backend` may be null: then the bytes are lost. It must outlive the console.
  explicit DebugConsole(CharacterBackend* backend) : backend_(backend) {}

  [[nodiscard]] std::string_view name() const override { return "isa-debugcon"; }
  [[nodiscard]] uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return kPresent; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) override {
    const auto byte = static_cast<uint8_t>(value);
    if (backend_ != nullptr) backend_->send({&byte, 1});
  }

 private:
  CharacterBackend* backend_;
};

}  // namespace vitrine::devices

// The diagnostic port that firmware writes its progress to, and that others write to for the sake of the
// delay.
//
// Documentation: PC AT technical reference, "Manufacturing test port".
// Port: 80h, one byte wide.
// Implemented: remembers the last code; reading gives it back. Nothing is missing.
#pragma once

#include <cstdint>

#include "base/state_archive.h"
#include "memory/port_map.h"

namespace vitrine::devices {

class PostCode final : public memory::PortDevice, public Serializable {
 public:
  static constexpr uint16_t kPort = 0x80;

  [[nodiscard]] std::string_view name() const override { return "post-code"; }
  [[nodiscard]] uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return code_; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) override {
    code_ = static_cast<uint8_t>(value);
    ++writes_;
  }

  /// The last code, and how many there were.
  [[nodiscard]] uint8_t code() const { return code_; }
  [[nodiscard]] uint64_t writes() const { return writes_; }

  void serialize(StateArchive& archive) override {
    archive.section("post code", 1);
    archive.fields(code_, writes_);
  }

 private:
  uint8_t code_ = 0;
  uint64_t writes_ = 0;
};

}  // namespace vitrine::devices

#include "devices/reset_control.h"

namespace vitrine::devices {

void ResetControl::write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) {
  // "RCPU": the kind is what SRST was set to before, or with, the change from 0 to 1.
  const auto old = std::exchange(value_, static_cast<uint8_t>(value & (kSystemReset | kResetCpu)));
  if ((value_ & ~old & kResetCpu) == 0 || !reset_) return;
  reset_((value_ & kSystemReset) != 0 ? Kind::Hard : Kind::Soft);
}

void ResetControl::serialize(StateArchive& archive) {
  archive.section("reset control", 1);
  archive.field(value_);
  value_ &= kSystemReset | kResetCpu;
}

}  // namespace vitrine::devices

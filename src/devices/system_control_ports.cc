#include "devices/system_control_ports.h"

namespace vitrine::devices {
namespace {

// Port 61h.
constexpr uint8_t kGate2 = 0x01;
constexpr uint8_t kSpeakerData = 0x02;
constexpr uint8_t kWritableB = 0x0f;
constexpr uint8_t kRefreshToggle = 0x10;
constexpr uint8_t kOutput2 = 0x20;
// Port 92h.
constexpr uint8_t kFastReset = 0x01;
constexpr uint8_t kFastA20 = 0x02;

// Memory is refreshed at every 18th pulse of the timer's clock, about 15 microseconds.
constexpr uint64_t kRefreshPulses = 18;

}  // namespace

SystemControlPorts::SystemControlPorts(Clock& clock, Pit8254& pit, Actions actions)
    : clock_(clock), pit_(pit), actions_(std::move(actions)) {
  pit_.set_gate(2, false);
}

void SystemControlPorts::reset() {
  port_b_ = port_92_ = 0;
  pit_.set_gate(2, false);
}

uint32_t SystemControlPorts::read_port(uint16_t port, unsigned /*size*/) {
  if (port == kPort92) return port_92_;
  const uint64_t refreshes = scale(clock_.now(), Pit8254::kFrequency, kNanosecondsPerSecond * kRefreshPulses);
  return port_b_ | ((refreshes & 1) != 0 ? kRefreshToggle : 0u) | (pit_.output(2) ? kOutput2 : 0u);
}

void SystemControlPorts::write_port(uint16_t port, unsigned /*size*/, uint32_t value) {
  if (port != kPort92) {
    port_b_ = value & kWritableB;
    pit_.set_gate(2, (value & kGate2) != 0);
    return;
  }
  const auto old = std::exchange(port_92_, static_cast<uint8_t>(value & (kFastA20 | kFastReset)));
  if (((old ^ value) & kFastA20) != 0 && actions_.set_a20) actions_.set_a20(fast_a20());
  // "Port 92": the reset comes with the change from 0 to 1.
  if ((value & ~old & kFastReset) != 0 && actions_.reset) actions_.reset();
}

bool SystemControlPorts::fast_a20() const {
  return (port_92_ & kFastA20) != 0;
}

bool SystemControlPorts::speaker_on() const {
  return (port_b_ & (kGate2 | kSpeakerData)) == (kGate2 | kSpeakerData);
}

void SystemControlPorts::serialize(StateArchive& archive) {
  archive.section("system control ports", 1);
  archive.fields(port_b_, port_92_);
  port_b_ &= kWritableB;
  port_92_ &= kFastA20 | kFastReset;
}

}  // namespace vitrine::devices

#include "devices/gsi_router.h"

#include "base/check.h"

namespace vitrine::devices {
namespace {

// A line number holds the interrupt in the low bits and the source above.
constexpr unsigned kSourceShift = 5;
constexpr unsigned kMaxSources = 32;

constexpr unsigned io_apic_pin(unsigned interrupt) {
  return interrupt == 0 ? 2 : interrupt;
}

}  // namespace

IrqLine GsiRouter::connect(unsigned interrupt) {
  CHECK(interrupt < kInterrupts && sources_[interrupt] < kMaxSources, "interrupt {}", interrupt);
  return IrqLine(*this, interrupt | sources_[interrupt]++ << kSourceShift);
}

std::array<IrqLine, GsiRouter::kIsaInterrupts> GsiRouter::connect_isa() {
  std::array<IrqLine, kIsaInterrupts> lines;
  for (unsigned i = 0; i < kIsaInterrupts; ++i) lines[i] = connect(i);
  return lines;
}

void GsiRouter::set_irq_line(unsigned line, bool level) {
  const unsigned interrupt = line & ((1u << kSourceShift) - 1);
  const unsigned source = line >> kSourceShift;
  CHECK(interrupt < kInterrupts && source < sources_[interrupt], "line {}", line);
  const uint32_t bit = uint32_t{1} << source;
  levels_[interrupt] = level ? levels_[interrupt] | bit : levels_[interrupt] & ~bit;
  const bool driven = levels_[interrupt] != 0;
  if (interrupt < kIsaInterrupts && pic_ != nullptr) pic_->set_irq_line(interrupt, driven);
  // Pin 2 belongs to IRQ 0; IRQ 2 is the cascade and is no device's.
  if (interrupt != 2 && io_apic_ != nullptr) io_apic_->set_irq_line(io_apic_pin(interrupt), driven);
}

void GsiRouter::serialize(StateArchive& archive) {
  archive.section("gsi-router", 1);
  archive.field(levels_);
  for (unsigned i = 0; i < kInterrupts; ++i) {
    const uint64_t known = (uint64_t{1} << sources_[i]) - 1;
    if ((levels_[i] & ~known) != 0) {
      archive.reject("an interrupt source that does not exist");
      levels_[i] &= static_cast<uint32_t>(known);
    }
  }
}

}  // namespace vitrine::devices

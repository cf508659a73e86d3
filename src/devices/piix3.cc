#include "devices/piix3.h"

#include "base/check.h"
#include "devices/pci_bus.h"

namespace vitrine::devices {
namespace {

constexpr unsigned kPirqRoute = 0x60;
constexpr uint8_t kRouteDisabled = 0x80;
constexpr uint8_t kRouteBits = 0x8f;

// PIIX3, "PIRQRC[A:D]": interrupts 0, 1, 2, 8 and 13 are reserved.
constexpr uint16_t kRoutable = 0xdef8;

struct Register {
  uint8_t offset;
  uint8_t initial;
  uint8_t write_mask;
};

// The data sheet's defaults.
constexpr Register kRegisters[] = {
    {0x4c, 0x4d, 0xff},                            // IORT: ISA I/O recovery
    {0x4e, 0x03, 0xff},       {0x4f, 0x00, 0x01},  // XBCS: X-bus chip select
    {0x60, 0x80, kRouteBits}, {0x61, 0x80, kRouteBits}, {0x62, 0x80, kRouteBits}, {0x63, 0x80, kRouteBits},
    {0x69, 0x02, 0xfe},                            // TOM: top of memory for ISA masters
    {0x6a, 0x00, 0xd1},       {0x6b, 0x00, 0x00},  // MSTAT
    {0x70, 0x80, 0xef},       {0x71, 0x00, 0x00},  // MBIRQ0
    {0x76, 0x0c, 0x87},       {0x77, 0x0c, 0x87},  // MBDMA
    {0x78, 0x02, 0xff},       {0x79, 0x00, 0xff},  // PCSC
    {0x80, 0x00, 0x7f},                            // APICBASE
    {0x82, 0x00, 0x0f},                            // DLC
    {0xa0, 0x08, 0x1f},                            // SMICNTL
    {0xa2, 0x00, 0xff},       {0xa3, 0x00, 0x01},  // SMIEN
    {0xa4, 0x00, 0xff},       {0xa5, 0x00, 0xff},       {0xa6, 0x00, 0xff},       {0xa7, 0x00, 0xff},  // SEE
    {0xa8, 0x0f, 0xff},                                                                                // FTMR
    {0xac, 0x00, 0xff},       {0xae, 0x00, 0xff},  // CTLTMR, CTHTMR
};

}  // namespace

Piix3::Piix3(const std::array<IrqLine, kIsaInterrupts>& isa)
    : PciDevice({.vendor = 0x8086,
                 .device = 0x7000,
                 .class_code = 0x060100,
                 .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100},
                PciFunctions::Multiple),
      isa_(isa) {
  // Defaults: I/O, memory and master always enabled; medium DEVSEL# timing.
  set_config16(pci::kCommand, pci::kCommandIo | pci::kCommandMemory | pci::kCommandMaster);
  set_write_mask16(pci::kCommand, pci::kCommandSerr);
  set_config16(pci::kStatus, 0x0200);
  for (const Register& each : kRegisters) {
    set_config8(each.offset, each.initial);
    set_write_mask8(each.offset, each.write_mask);
  }
}

Piix3::~Piix3() {
  if (PciBus* on = bus()) on->connect_pirqs({});
}

std::array<IrqLine, Piix3::kPirqs> Piix3::pirqs() {
  std::array<IrqLine, kPirqs> lines;
  for (unsigned i = 0; i < kPirqs; ++i) lines[i] = IrqLine(*this, i);
  return lines;
}

void Piix3::set_irq_line(unsigned line, bool level) {
  CHECK(line < kPirqs);
  if (levels_[line] == level) return;
  levels_[line] = level;
  update();
}

// PCI interrupts are level triggered and may share: an ISA interrupt is high while any line routed to it is.
void Piix3::update() {
  uint16_t wanted = 0;
  for (unsigned i = 0; i < kPirqs; ++i) {
    const uint8_t route = config8(kPirqRoute + i);
    const auto bit = static_cast<uint16_t>(1u << (route & 0x0f));
    if (levels_[i] && (route & kRouteDisabled) == 0 && (bit & kRoutable) != 0) wanted |= bit;
  }
  const uint16_t changed = wanted ^ driven_;
  driven_ = wanted;
  for (unsigned i = 0; i < kIsaInterrupts; ++i) {
    if ((changed >> i & 1) != 0) isa_[i].set((wanted >> i & 1) != 0);
  }
}

void Piix3::config_written(unsigned, unsigned) {
  update();
}

void Piix3::reset_device() {
  for (const Register& each : kRegisters) set_config8(each.offset, each.initial);
  update();
}

void Piix3::serialize_device(StateArchive& archive) {
  archive.section("piix3", 1);
  archive.field(levels_);
  update();
}

}  // namespace vitrine::devices

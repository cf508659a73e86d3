// What the monitor asks of the machine.
#include <fmt/format.h>

#include <algorithm>

#include "cpu/disassembler.h"
#include "devices/vga_renderer.h"
#include "devices/vga_text.h"
#include "machine/machine.h"
#include "memory/host_pages.h"

namespace vitrine::machine {

const cpu::CpuState& Machine::cpu_state(unsigned cpu) const {
  halt_processors();
  return pc_->processors().vcpu(cpu).state();
}

bool Machine::read_virtual(unsigned cpu, VirtualAddress address, std::span<uint8_t> data) const {
  halt_processors();
  return pc_->processors().vcpu(cpu).debug_read(address, data);
}

std::optional<PhysicalAddress> Machine::translate(unsigned cpu, VirtualAddress address) const {
  halt_processors();
  return pc_->processors().vcpu(cpu).debug_translate(address);
}

std::optional<DisassembledInstruction> Machine::disassemble(unsigned cpu, uint32_t address,
                                                            std::span<const uint8_t> code) const {
  if (code.empty()) return std::nullopt;
  constexpr uint32_t kDefaultSize32 = 1u << 22;
  const bool wide = (cpu_state(cpu).segments[x86::kCs].attributes & kDefaultSize32) != 0;
  const cpu::Disassembly text =
      cpu::disassemble(code, address, wide ? cpu::CodeSize::Bits32 : cpu::CodeSize::Bits16);
  return DisassembledInstruction{text.length, text.text};
}

const paging::ShadowSpaces* Machine::shadow_spaces(unsigned cpu) const {
  halt_processors();
  const Processors& processors = pc_->processors();
  if (processors.lockstep() != nullptr) return &processors.lockstep()->follower().engine().shadow();
  return processors.engine(cpu) == nullptr ? nullptr : &processors.engine(cpu)->shadow();
}

uint32_t Machine::read_port(uint16_t port, unsigned size) {
  return pc_->ports().read(port, size);
}

void Machine::write_port(uint16_t port, unsigned size, uint32_t value) {
  pc_->ports().write(port, size, value);
}

void Machine::press_power_button() {
  if (devices::Piix4Pm* pm = pc_->power_management()) pm->press_power_button();
}

void Machine::key_event(devices::Key key, devices::KeyAction action) {
  // False: the guest does not read its keyboard, and the key is lost as on a real one.
  (void)pc_->keyboard().key(key, action);
}

void Machine::mouse_move(int dx, int dy, int dz) {
  pc_->mouse().move(dx, -dy, dz);
}

void Machine::mouse_buttons(uint8_t buttons) {
  using devices::MouseButton;
  pc_->mouse().set_button(MouseButton::Left, (buttons & 1) != 0);
  pc_->mouse().set_button(MouseButton::Middle, (buttons & 2) != 0);
  pc_->mouse().set_button(MouseButton::Right, (buttons & 4) != 0);
}

Result<ScreenImage> Machine::screenshot() {
  devices::Vga* vga = pc_->vga();
  if (vga == nullptr)
    return std::unexpected(Error{"there is no screen", "", 0, "the machine was started with -vga none"});
  const memory::RamBlock& memory = vga->video_memory();
  const devices::VgaImage image =
      devices::VgaRenderer(vga->state(), {memory.data(), memory.size()}, vga->frame()).render();
  ScreenImage screen{image.width, image.height, {}};
  screen.rgb.reserve(image.pixels.size() * 3);
  for (const uint32_t pixel : image.pixels) {
    for (const unsigned shift : {16, 8, 0}) screen.rgb.push_back(static_cast<uint8_t>(pixel >> shift));
  }
  return screen;
}

std::optional<devices::VgaText> Machine::text_screen() {
  devices::Vga* vga = pc_->vga();
  if (vga == nullptr) return std::nullopt;
  const memory::RamBlock& memory = vga->video_memory();
  devices::VgaText text = devices::read_vga_text(vga->state(), {memory.data(), memory.size()});
  if (text.lines.empty()) return std::nullopt;
  return text;
}

namespace {

std::string describe_pic(const char* name, const devices::Pic8259a::Snapshot& pic) {
  return fmt::format("{}: irr={:02x} imr={:02x} isr={:02x} level={:02x} base={:02x} lowest={}{}{}{}{}\n",
                     name, pic.irr, pic.imr, pic.isr, pic.level_triggered, pic.vector_base,
                     pic.lowest_priority, pic.auto_eoi ? " auto-eoi" : "",
                     pic.special_mask ? " special-mask" : "",
                     pic.special_fully_nested ? " special-fully-nested" : "", pic.intr ? " INTR" : "");
}

std::string describe_interrupt_controllers(const Pc& pc) {
  std::string text =
      describe_pic("pic0", pc.pic().master().snapshot()) + describe_pic("pic1", pc.pic().slave().snapshot());
  if (pc.io_apic() == nullptr) return text;
  text += fmt::format("ioapic: id={}\n", pc.io_apic()->id());
  for (unsigned pin = 0; pin < devices::IoApic::kPins; ++pin) {
    const uint64_t entry = pc.io_apic()->entry(pin);
    if ((entry & devices::IoApic::kMasked) != 0) continue;
    text += fmt::format("  pin {:2}: vector={:02x} {} {} destination={:02x}{}{}\n", pin, entry & 0xff,
                        (entry & devices::IoApic::kLevelTriggered) != 0 ? "level" : "edge",
                        (entry & devices::IoApic::kLogical) != 0 ? "logical" : "physical", entry >> 56,
                        (entry & devices::IoApic::kRemoteIrr) != 0 ? " remote-irr" : "",
                        pc.io_apic()->level(pin) ? " high" : "");
  }
  return text;
}

std::string describe_interrupt_counts(const Pc& pc) {
  std::string text;
  for (unsigned line = 0; line < devices::PicPair::kLines; ++line) {
    if (const uint64_t count = pc.pic().delivered()[line])
      text += fmt::format("pic    {:2}: {}\n", line, count);
  }
  if (pc.io_apic() == nullptr) return text;
  for (unsigned pin = 0; pin < devices::IoApic::kPins; ++pin) {
    if (const uint64_t count = pc.io_apic()->delivered()[pin])
      text += fmt::format("ioapic {:2}: {}\n", pin, count);
  }
  for (unsigned i = 0; i < pc.processors().count(); ++i) {
    text += fmt::format("lapic  {:2}: {}\n", i, pc.processors().apic(i).delivered());
  }
  return text;
}

std::string describe_pci(const Pc& pc) {
  std::string text;
  if (pc.pci() == nullptr) return text;
  for (unsigned slot = 0; slot < devices::PciBus::kSlots; ++slot) {
    for (unsigned function = 0; function < devices::PciBus::kFunctions; ++function) {
      devices::PciDevice* device = pc.pci()->find(slot, function);
      if (device == nullptr) continue;
      text +=
          fmt::format("{:02x}.{}: {:04x}:{:04x} class {:06x}\n", slot, function, device->read_config(0, 2),
                      device->read_config(2, 2), device->read_config(8, 4) >> 8);
      for (unsigned bar = 0; bar <= devices::PciDevice::kRomBar; ++bar) {
        if (const auto address = device->bar_address(bar))
          text += fmt::format("      BAR {}: {:#x}\n", bar, *address);
      }
      if (device->interrupt_pin() != 0) {
        text += fmt::format("      INT{}#, line {}{}\n", static_cast<char>('A' + device->interrupt_pin() - 1),
                            device->read_config(devices::pci::kInterruptLine, 1),
                            device->interrupt_asserted() ? ", asserted" : "");
      }
    }
  }
  return text;
}

constexpr uint64_t kMegabyte = uint64_t{1} << 20;

// The first line is what other programs' monitors print.
std::string describe_balloon(Pc& pc) {
  const devices::VirtioBalloon* balloon = pc.balloon();
  if (balloon == nullptr) return {};
  const auto megabytes = [](uint64_t bytes) { return (bytes + kMegabyte - 1) / kMegabyte; };
  const auto without = [&](uint64_t pages) {
    return megabytes(pc.ram().size() - std::min(pages * kPageSize, pc.ram().size()));
  };
  return fmt::format("balloon: actual={}\nasked for {} of {} MB; the host holds {} MB for the guest\n",
                     without(balloon->held()), without(balloon->asked_for()), megabytes(pc.ram().size()),
                     megabytes(memory::resident_bytes(pc.ram())));
}

}  // namespace

Result<void> Machine::set_balloon(uint64_t megabytes) {
  devices::VirtioBalloon* balloon = pc_->balloon();
  if (balloon == nullptr) return MonitorTarget::set_balloon(megabytes);
  const uint64_t size = pc_->ram().size();
  const uint64_t wanted = std::min(megabytes, size / kMegabyte + 1) * kMegabyte;
  balloon->ask_for(static_cast<uint32_t>((size - std::min(wanted, size)) / kPageSize));
  return {};
}

std::string Machine::describe(Subject subject) const {
  switch (subject) {
    case Subject::Pic: return describe_interrupt_controllers(*pc_);
    case Subject::Irq: return describe_interrupt_counts(*pc_);
    case Subject::Pci: return describe_pci(*pc_);
    case Subject::Block: return pc_->describe_drives();
    case Subject::Chardev: return characters_->describe();
    case Subject::Roms: return roms_;
    case Subject::Balloon: return describe_balloon(*pc_);
    case Subject::Statistics: return inspect::to_table(statistics_->gather());
    case Subject::Sandbox: return confinement_;
    case Subject::Gdb: return gdb_ ? gdb_->describe() : std::string();
  }
  return {};
}

}  // namespace vitrine::machine

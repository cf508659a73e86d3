#include "machine/event_recorder.h"

#include <fmt/format.h>

#include <array>

#include "cpu/disassembler.h"
#include "x86/registers.h"
#include "x86/vectors.h"

namespace vitrine::machine {
namespace {

constexpr size_t kLongestInstruction = 15;
constexpr uint32_t kDefaultSize32 = 1u << 22;  // D of the code segment, in CpuState's form of attributes

const char* kind_name(cpu::EventKind kind) {
  switch (kind) {
    case cpu::EventKind::Fault: return "fault";
    case cpu::EventKind::Trap: return "trap";
    case cpu::EventKind::ExternalInterrupt: return "interrupt";
    case cpu::EventKind::Nmi: return "nmi";
    case cpu::EventKind::SoftwareInterrupt: return "int n";
    case cpu::EventKind::SoftwareException: return "int3/into";
    case cpu::EventKind::PrivilegedSoftwareException: return "int1";
  }
  return "";
}

}  // namespace

EventRecorder::EventRecorder(EventLog& log, Pc& pc) : log_(log), pc_(pc) {
  if (log.enabled(LogItem::Interrupt) || log.enabled(LogItem::Instruction) || log.enabled(LogItem::Trap)) {
    for (unsigned i = 0; i < pc.processors().count(); ++i) pc.processors().vcpu(i).set_observer(this);
  }
  if (log.enabled(LogItem::UnmappedPort)) pc.ports().set_unmapped_listener(this);
  if (log.enabled(LogItem::UnmappedMemory)) pc.memory().set_unmapped_listener(this);
}

EventRecorder::~EventRecorder() {
  for (unsigned i = 0; i < pc_.processors().count(); ++i) pc_.processors().vcpu(i).set_observer(nullptr);
  pc_.ports().set_unmapped_listener(nullptr);
  pc_.memory().set_unmapped_listener(nullptr);
}

// One sequence for everything, so that it shows what led to what. docs/counting.md says what each line means.
template <typename... Arguments>
void EventRecorder::write_trap(unsigned vcpu, const cpu::CpuState& state, uint32_t eip,
                               fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  log_.write("trap: {} vcpu {} {} {:08x} {}", ++traps_, vcpu, state.cpl == 0 ? "kernel" : "user", eip,
             fmt::format(format, std::forward<Arguments>(arguments)...));
}

void EventRecorder::acted(unsigned vcpu, const cpu::CpuState& state, const cpu::MonitorAction& action) {
  if (!log_.enabled(LogItem::Trap)) return;
  using Kind = cpu::MonitorAction::Kind;
  const char* const way = action.by_signal ? "signal" : "jump";
  switch (action.kind) {
    case Kind::Emulated: {
      const std::string text = describe_instruction(pc_.processors().vcpu(vcpu), state);
      return write_trap(vcpu, state, action.eip, "emulate by {}: {}", way, text.substr(text.find(' ') + 1));
    }
    case Kind::Filled:
      return write_trap(vcpu, state, action.eip, "fill by {}: {} {:08x} pages {}", way, action.access,
                        action.address, action.pages);
    case Kind::TrueFault:
      return write_trap(vcpu, state, action.eip, "true-fault by {}: {} {:08x}", way, action.access,
                        action.address);
    case Kind::TableLoad:
      return write_trap(vcpu, state, action.eip, "guest-table {:08x} to {:08x}", action.from, action.to);
    case Kind::ShadowDrop: return write_trap(vcpu, state, action.eip, "shadow-drop ranges {}", action.pages);
    case Kind::ShadowSwitch:
      return write_trap(vcpu, state, action.eip, "shadow-switch to {:08x} {}", action.to,
                        state.cpl == 0 ? "kernel" : "user");
  }
}

void EventRecorder::event(unsigned vcpu, const cpu::CpuState& state, const cpu::Event& event) {
  if (log_.enabled(LogItem::Trap))
    write_trap(vcpu, state, state.eip, "deliver {} {:02x}", kind_name(event.kind),
               static_cast<unsigned>(event.vector));
  if (!log_.enabled(LogItem::Interrupt)) return;
  std::string detail;
  const bool is_fault = event.kind == cpu::EventKind::Fault;
  if (is_fault && x86::pushes_error_code(event.vector))
    detail += fmt::format(" error {:04x}", event.error_code);
  if (is_fault && event.vector == x86::Vector::PageFault)
    detail += fmt::format(" address {:08x}", event.address);
  log_.write("int: vcpu {} {} {:02x}{} at {:04x}:{:08x} cpl {} ss:esp {:04x}:{:08x} eax {:08x} eflags {:08x}",
             vcpu, kind_name(event.kind), static_cast<unsigned>(event.vector), detail,
             state.segments[x86::kCs].selector, state.eip, state.cpl, state.segments[x86::kSs].selector,
             state.gpr[x86::kEsp], state.gpr[x86::kEax], state.eflags);
}

void EventRecorder::instruction(unsigned vcpu, const cpu::CpuState& state) {
  log_.write("in_asm: vcpu {} {}", vcpu, describe_instruction(pc_.processors().vcpu(vcpu), state));
}

void EventRecorder::unmapped_port(uint16_t port, unsigned size, memory::AccessDirection direction,
                                  uint32_t value) {
  if (direction == memory::AccessDirection::Read) {
    log_.write("unimp_port: read {} at {:04x}", size, port);
  } else {
    log_.write("unimp_port: write {} at {:04x}: {:x}", size, port, value);
  }
}

void EventRecorder::unmapped_memory(uint64_t address, unsigned size, memory::AccessDirection direction,
                                    uint64_t value) {
  if (direction == memory::AccessDirection::Read) {
    log_.write("unimp_mem: read {} at {:09x}", size, address);
  } else {
    log_.write("unimp_mem: write {} at {:09x}: {:x}", size, address, value);
  }
}

std::string describe_instruction(const cpu::Vcpu& vcpu, const cpu::CpuState& state) {
  const cpu::SegmentRegister& cs = state.segments[x86::kCs];
  const std::string where = fmt::format("{:04x}:{:08x}", cs.selector, state.eip);
  std::array<uint8_t, kLongestInstruction> code{};
  const VirtualAddress start(cs.base + state.eip);
  size_t size = code.size();
  if (!vcpu.debug_read(start, code)) {
    size = std::min<size_t>(size, kPageSize - start.page_offset());
    if (!vcpu.debug_read(start, std::span(code).first(size))) return where + " not mapped";
  }
  const bool wide = (cs.attributes & kDefaultSize32) != 0;
  const cpu::Disassembly text = cpu::disassemble(std::span(code).first(size), state.eip,
                                                 wide ? cpu::CodeSize::Bits32 : cpu::CodeSize::Bits16);
  return fmt::format("{} {:02x} {}", where, fmt::join(std::span(code).first(text.length), " "), text.text);
}

}  // namespace vitrine::machine

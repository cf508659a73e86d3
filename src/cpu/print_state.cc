#include "cpu/print_state.h"

#include <fmt/format.h>

#include <iterator>

#include "x86/descriptors.h"
#include "x86/flags.h"

namespace vitrine::cpu {

namespace {

// One letter for each flag that is set, in the order of the bits.
std::string flag_letters(uint32_t eflags) {
  struct Letter {
    uint32_t bit;
    char letter;
  };
  constexpr Letter kLetters[] = {{x86::kOf, 'O'}, {x86::kDf, 'D'}, {x86::kIf, 'I'},
                                 {x86::kTf, 'T'}, {x86::kSf, 'S'}, {x86::kZf, 'Z'},
                                 {x86::kAf, 'A'}, {x86::kPf, 'P'}, {x86::kCf, 'C'}};
  std::string text;
  for (const auto& [bit, letter] : kLetters) text += (eflags & bit) != 0 ? letter : '-';
  return text;
}

std::string segment_kind(uint32_t attributes) {
  if (!x86::is_present(attributes)) return "not present";
  const unsigned level = x86::dpl(attributes);
  if (x86::is_system(attributes))
    return fmt::format("DPL={} system type {}", level, x86::type_of(attributes));
  const char* width = x86::is_big(attributes) ? "32" : "16";
  if (x86::is_code(attributes)) {
    return fmt::format("DPL={} CS{} [{}{}{}]", level, width, x86::is_conforming(attributes) ? 'C' : '-',
                       x86::is_readable(attributes) ? 'R' : '-',
                       (attributes & x86::kAttributeAccessed) != 0 ? 'A' : '-');
  }
  return fmt::format("DPL={} DS{} [{}{}{}]", level, width, x86::is_expand_down(attributes) ? 'E' : '-',
                     x86::is_writable(attributes) ? 'W' : '-',
                     (attributes & x86::kAttributeAccessed) != 0 ? 'A' : '-');
}

std::string segment_line(const char* name, const SegmentRegister& segment) {
  return fmt::format("{:<3} ={:04x} {:08x} {:08x} {:08x} {}\n", name, segment.selector, segment.base,
                     segment.limit, segment.attributes, segment_kind(segment.attributes));
}

}  // namespace

std::string print_state(const CpuState& state) {
  std::string text;
  const auto line = [&](auto format, const auto&... values) {
    fmt::format_to(std::back_inserter(text), fmt::runtime(format), values...);
  };
  const auto& gpr = state.gpr;
  line("EAX={:08x} EBX={:08x} ECX={:08x} EDX={:08x}\n", gpr[x86::kEax], gpr[x86::kEbx], gpr[x86::kEcx],
       gpr[x86::kEdx]);
  line("ESI={:08x} EDI={:08x} EBP={:08x} ESP={:08x}\n", gpr[x86::kEsi], gpr[x86::kEdi], gpr[x86::kEbp],
       gpr[x86::kEsp]);
  line("EIP={:08x} EFL={:08x} [{}] CPL={} {}{}{}{}\n", state.eip, state.eflags, flag_letters(state.eflags),
       state.cpl, activity_name(state.activity), state.interrupt_shadow ? ", interrupt shadow" : "",
       state.nmi_blocked ? ", NMI blocked" : "", state.interrupt_held ? ", interrupt held" : "");
  constexpr const char* kNames[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
  for (unsigned n = 0; n < x86::kSegmentCount; ++n) text += segment_line(kNames[n], state.segments[n]);
  text += segment_line("LDT", state.ldtr);
  text += segment_line("TR", state.tr);
  line("GDT=     {:08x} {:08x}\n", state.gdtr.base, state.gdtr.limit);
  line("IDT=     {:08x} {:08x}\n", state.idtr.base, state.idtr.limit);
  line("CR0={:08x} CR2={:08x} CR3={:08x} CR4={:08x}\n", state.cr0, state.cr2, state.cr3, state.cr4);
  line("DR0={:08x} DR1={:08x} DR2={:08x} DR3={:08x}\n", state.dr[0], state.dr[1], state.dr[2], state.dr[3]);
  line("DR6={:08x} DR7={:08x} EFER={:016x}\n", state.dr6, state.dr7, state.efer);
  return text;
}

std::string print_state_with_fpu(const CpuState& state) {
  std::string text = print_state(state);
  const auto out = std::back_inserter(text);
  const FloatingPointState& fpu = state.fpu;
  fmt::format_to(out, "FCW={:04x} FSW={:04x} [ST={}] FTW={:04x} MXCSR={:08x}\n", fpu.control, fpu.status,
                 fpu.status >> 11 & 7, fpu.tag, fpu.mxcsr);
  const auto bytes = [&](const char* name, unsigned number, const auto& value, unsigned size) {
    fmt::format_to(out, "{}{}=", name, number);
    for (unsigned n = size; n > 0; --n) fmt::format_to(out, "{:02x}", value[n - 1]);
    text += number % 2 == 1 ? '\n' : ' ';
  };
  for (unsigned n = 0; n < 8; ++n) bytes("R", n, fpu.registers[n], 10);
  for (unsigned n = 0; n < 8; ++n) bytes("XMM0", n, fpu.xmm[n], 16);
  return text;
}

}  // namespace vitrine::cpu

#include "lockstep/comparison.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>
#include <type_traits>

namespace vitrine::lockstep {
namespace {

using cpu::CpuState;

constexpr unsigned kWordsShown = 16;

// Calls visit(name, in a, in b) for each field, in the order in which a person wants to know.
template <typename Visit>
void for_each_field(const CpuState& a, const CpuState& b, Visit&& visit) {
  static constexpr const char* kGpr[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  static constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  visit("eip", a.eip, b.eip);
  visit("eflags", a.eflags, b.eflags);
  for (unsigned n = 0; n < x86::kGprCount; ++n) visit(kGpr[n], a.gpr[n], b.gpr[n]);
  const auto segment = [&](const char* name, const cpu::SegmentRegister& x, const cpu::SegmentRegister& y) {
    visit(name, x.selector, y.selector);
    visit(name, x.attributes, y.attributes);
    visit(name, x.base, y.base);
    visit(name, x.limit, y.limit);
  };
  for (unsigned n = 0; n < x86::kSegmentCount; ++n) segment(kSegments[n], a.segments[n], b.segments[n]);
  segment("ldtr", a.ldtr, b.ldtr);
  segment("tr", a.tr, b.tr);
  visit("gdtr base", a.gdtr.base, b.gdtr.base);
  visit("gdtr limit", a.gdtr.limit, b.gdtr.limit);
  visit("idtr base", a.idtr.base, b.idtr.base);
  visit("idtr limit", a.idtr.limit, b.idtr.limit);
  visit("cpl", a.cpl, b.cpl);
  visit("cr0", a.cr0, b.cr0);
  visit("cr2", a.cr2, b.cr2);
  visit("cr3", a.cr3, b.cr3);
  visit("cr4", a.cr4, b.cr4);
  for (unsigned n = 0; n < 4; ++n) visit("pdpte", a.pdptes[n], b.pdptes[n]);
  for (unsigned n = 0; n < 4; ++n) visit("dr", a.dr[n], b.dr[n]);
  visit("dr6", a.dr6, b.dr6);
  visit("dr7", a.dr7, b.dr7);
  visit("efer", a.efer, b.efer);
  visit("apic_base", a.apic_base, b.apic_base);
  visit("tsc_offset", a.tsc_offset, b.tsc_offset);
  visit("sysenter_cs", a.sysenter_cs, b.sysenter_cs);
  visit("sysenter_esp", a.sysenter_esp, b.sysenter_esp);
  visit("sysenter_eip", a.sysenter_eip, b.sysenter_eip);
  visit("pat", a.pat, b.pat);
  visit("xcr0", a.xcr0, b.xcr0);
  visit("mtrr_def_type", a.mtrr_def_type, b.mtrr_def_type);
  for (unsigned n = 0; n < a.mtrr_fixed.size(); ++n) visit("mtrr_fixed", a.mtrr_fixed[n], b.mtrr_fixed[n]);
  for (unsigned n = 0; n < a.mtrr_variable.size(); ++n)
    visit("mtrr_variable", a.mtrr_variable[n], b.mtrr_variable[n]);
  visit("misc_enable", a.misc_enable, b.misc_enable);
  visit("microcode_version", a.microcode_version, b.microcode_version);
  visit("tsc_aux", a.tsc_aux, b.tsc_aux);
  visit("activity", static_cast<unsigned>(a.activity), static_cast<unsigned>(b.activity));
  visit("interrupt shadow", unsigned{a.interrupt_shadow}, unsigned{b.interrupt_shadow});
  visit("nmi blocked", unsigned{a.nmi_blocked}, unsigned{b.nmi_blocked});
  visit("nmis pending", unsigned{a.nmis_pending}, unsigned{b.nmis_pending});
  visit("shared page", a.shared_page, b.shared_page);
  visit("interrupt held", unsigned{a.interrupt_held}, unsigned{b.interrupt_held});
  visit("x87 control", a.fpu.control, b.fpu.control);
  visit("x87 status", a.fpu.status, b.fpu.status);
  visit("x87 tag", a.fpu.tag, b.fpu.tag);
  visit("mxcsr", a.fpu.mxcsr, b.fpu.mxcsr);
  const auto bytes = [&](const char* name, const auto& x, const auto& y, size_t size) {
    for (unsigned n = 0; n < x.size(); ++n) {
      uint64_t low[2] = {}, high[2] = {};
      std::memcpy(&low[0], x[n].data(), 8);
      std::memcpy(&low[1], y[n].data(), 8);
      std::memcpy(&high[0], x[n].data() + 8, size - 8);
      std::memcpy(&high[1], y[n].data() + 8, size - 8);
      visit(name, low[0], low[1]);
      visit(name, high[0], high[1]);
    }
  };
  bytes("x87 register", a.fpu.registers, b.fpu.registers, 10);
  bytes("xmm", a.fpu.xmm, b.fpu.xmm, 16);
  bytes("ymm", a.fpu.ymm_high, b.fpu.ymm_high, 16);
}

std::string_view bytes_of(const CpuState& state) {
  return {reinterpret_cast<const char*>(&state), sizeof state};
}

}  // namespace

bool same_state(const CpuState& a, const CpuState& b) {
  // Nearly always. If not, it may be in what is not compared, or between the fields.
  static_assert(std::is_trivially_copyable_v<CpuState>);
  if (bytes_of(a) == bytes_of(b)) return true;
  bool same = true;
  for_each_field(a, b, [&](const char* /*name*/, auto x, auto y) { same = same & (x == y); });
  return same;
}

std::string describe_difference(const CpuState& interpreter, const CpuState& translator) {
  std::string text;
  for_each_field(interpreter, translator, [&](const char* name, auto x, auto y) {
    if (x != y) text += fmt::format("  {:<18} {:>18x} {:>18x}\n", name, x, y);
  });
  return text;
}

std::string describe_difference(uint64_t address, std::span<const uint8_t> interpreter,
                                std::span<const uint8_t> translator) {
  std::string text;
  unsigned shown = 0;
  for (size_t at = 0; at + 4 <= interpreter.size() && shown < kWordsShown; at += 4) {
    uint32_t x = 0, y = 0;
    std::memcpy(&x, interpreter.data() + at, 4);
    std::memcpy(&y, translator.data() + at, 4);
    if (x == y) continue;
    text += fmt::format("  {:<18} {:>18x} {:>18x}\n", fmt::format("[{:08x}]", address + at), x, y);
    ++shown;
  }
  return text;
}

}  // namespace vitrine::lockstep

// See verifier.h.
#include "engines/verifier.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "paging/rights_map.h"
#include "paging/shadow_window.h"
#include "translate/guest_context.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using translate::GuestContext;
using translate::Unit;

struct Decoded {
  uint32_t at = 0;  ///< Offset in code memory.
  ZydisDecodedInstruction i{};
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]{};

  [[nodiscard]] std::span<const ZydisDecodedOperand> all() const { return {operands, i.operand_count}; }
  [[nodiscard]] uint32_t end() const { return at + i.length; }
};

bool one_of(unsigned value, std::initializer_list<unsigned> list) {
  return std::ranges::find(list, value) != list.end();
}

// What a unit may consist of. The categories are Zydis' (Intel XED's); what in them is too much is refused by
// name.
bool permitted_category(const ZydisDecodedInstruction& i) {
  return one_of(i.meta.category,
                {ZYDIS_CATEGORY_BINARY,   ZYDIS_CATEGORY_LOGICAL,    ZYDIS_CATEGORY_DATAXFER,
                 ZYDIS_CATEGORY_ROTATE,   ZYDIS_CATEGORY_SHIFT,      ZYDIS_CATEGORY_BITBYTE,
                 ZYDIS_CATEGORY_CMOV,     ZYDIS_CATEGORY_SETCC,      ZYDIS_CATEGORY_CONVERT,
                 ZYDIS_CATEGORY_COND_BR,  ZYDIS_CATEGORY_UNCOND_BR,  ZYDIS_CATEGORY_CALL,
                 ZYDIS_CATEGORY_RET,      ZYDIS_CATEGORY_STRINGOP,   ZYDIS_CATEGORY_FLAGOP,
                 ZYDIS_CATEGORY_X87_ALU,  ZYDIS_CATEGORY_FCMOV,      ZYDIS_CATEGORY_SSE,
                 ZYDIS_CATEGORY_MMX,      ZYDIS_CATEGORY_SEMAPHORE,  ZYDIS_CATEGORY_NOP,
                 ZYDIS_CATEGORY_WIDENOP,  ZYDIS_CATEGORY_BMI2,       ZYDIS_CATEGORY_BMI1,
                 ZYDIS_CATEGORY_LZCNT,    ZYDIS_CATEGORY_LOGICAL_FP, ZYDIS_CATEGORY_DECIMAL,
                 ZYDIS_CATEGORY_MISC,     ZYDIS_CATEGORY_PCLMULQDQ,  ZYDIS_CATEGORY_AES,
                 ZYDIS_CATEGORY_PUSH,     ZYDIS_CATEGORY_POP,        ZYDIS_CATEGORY_SHA,
                 ZYDIS_CATEGORY_GFNI,     ZYDIS_CATEGORY_AVX,        ZYDIS_CATEGORY_AVX2,
                 ZYDIS_CATEGORY_VFMA,     ZYDIS_CATEGORY_AVX2GATHER, ZYDIS_CATEGORY_BROADCAST,
                 ZYDIS_CATEGORY_ADOX_ADCX});
}

bool refused_mnemonic(unsigned mnemonic) {
  return one_of(
      mnemonic,
      {ZYDIS_MNEMONIC_FXSAVE, ZYDIS_MNEMONIC_FXSAVE64, ZYDIS_MNEMONIC_FXRSTOR, ZYDIS_MNEMONIC_FXRSTOR64,
       ZYDIS_MNEMONIC_FNSAVE, ZYDIS_MNEMONIC_FRSTOR, ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FLDENV,
       ZYDIS_MNEMONIC_MASKMOVQ, ZYDIS_MNEMONIC_MASKMOVDQU, ZYDIS_MNEMONIC_CPUID, ZYDIS_MNEMONIC_MONITOR,
       ZYDIS_MNEMONIC_MWAIT, ZYDIS_MNEMONIC_XLAT, ZYDIS_MNEMONIC_ENTER, ZYDIS_MNEMONIC_LEAVE,
       ZYDIS_MNEMONIC_CLFLUSH, ZYDIS_MNEMONIC_RDPID, ZYDIS_MNEMONIC_RDTSCP});
}

unsigned large(ZydisRegister reg) {
  return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
}
bool general(ZydisRegister reg) {
  const ZydisRegisterClass kind = ZydisRegisterGetClass(reg);
  return one_of(kind,
                {ZYDIS_REGCLASS_GPR8, ZYDIS_REGCLASS_GPR16, ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_GPR64});
}
/// XMM0–XMM7 or YMM0–YMM7.
bool of_guest(ZydisRegister reg) {
  return (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM7) ||
         (reg >= ZYDIS_REGISTER_YMM0 && reg <= ZYDIS_REGISTER_YMM7);
}
bool monitors(ZydisRegister reg) {
  return one_of(large(reg), {ZYDIS_REGISTER_RSP, ZYDIS_REGISTER_R11, ZYDIS_REGISTER_R12, ZYDIS_REGISTER_R13,
                             ZYDIS_REGISTER_R14});
}

/// Fields of the context that translated code may change: IF, and what counts instructions.
bool may_be_written(int64_t field, unsigned size) {
  const auto within = [&](size_t begin, size_t bytes) {
    const auto at = static_cast<uint64_t>(field);
    return at >= begin && at + size <= begin + bytes;
  };
  if (within(offsetof(GuestContext, selectors), sizeof(GuestContext::selectors)) ||
      within(offsetof(GuestContext, loaded), sizeof(GuestContext::loaded)) ||
      (size == 4 && within(offsetof(GuestContext, checks_left), sizeof(GuestContext::checks_left))))
    return true;
  constexpr size_t kFields[] = {
      offsetof(GuestContext, interrupt_flag), offsetof(GuestContext, instructions_left),
      offsetof(GuestContext, repeat_blocked), offsetof(GuestContext, repeat_running),
      offsetof(GuestContext, repeat_left),    offsetof(GuestContext, interrupt_flag_before),
      offsetof(GuestContext, shadow_cast),    offsetof(GuestContext, shadowed),
      offsetof(GuestContext, shadowed_by)};
  return size == 4 && std::ranges::find(kFields, static_cast<size_t>(field)) != std::end(kFields);
}

/// How far displacements reach from an address in the window, and by how much RET moves r15 beyond it.
constexpr int64_t kReach = 64 << 10, kRelease = 0xffff + 4;
static_assert(2 * kReach + kRelease < int64_t{paging::ShadowWindow::kGuard});

class Verifier {
 public:
  explicit Verifier(const translate::Engine& engine) : cache_(engine.cache()) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  std::string run() {
    collect();
    for (const Unit* unit : units_) verify(*unit);
    std::string text;
    for (const auto& [what, example] : found_) text += fmt::format("{}: {}\n", what, example);
    return text;
  }

 private:
  // The first comes behind the glue.
  void collect() {
    using translate::TranslationCache;
    for (uint32_t at = 0; at < cache_.used();) {
      const Unit* unit = cache_.unit_at(at);
      if (unit == nullptr) {
        at = TranslationCache::unit_behind(at + 1);
        continue;
      }
      if (units_.empty()) floor_ = unit->begin;
      units_.push_back(unit);
      for (const auto& boundary : unit->boundaries)
        if (boundary.is_entry()) boundaries_.insert(boundary.host);
      for (const auto& entry : unit->entries) boundaries_.insert(entry.host);
      if (unit->called != 0) boundaries_.insert(unit->called);
      for (const auto& boundary : unit->boundaries) all_boundaries_.insert(boundary.host);
      at = TranslationCache::unit_behind(unit->end);
    }
  }

  void complain(const std::string& what, const Decoded& d) {
    if (found_.contains(what)) return;
    char text[128] = "";
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (d.i.length != 0)
      ZydisFormatterFormatInstruction(&formatter, &d.i, d.operands, d.i.operand_count_visible, text,
                                      sizeof text, d.at, nullptr);
    std::string bytes;
    for (unsigned n = 0; n < std::max<unsigned>(d.i.length, 1); ++n)
      bytes += fmt::format("{:02x} ", *cache_.memory().executable(d.at + n));
    found_[what] = fmt::format("{}({})", bytes, text);
  }

  void verify(const Unit& unit) {
    code_.clear();
    called_ = unit.called;
    is_entry_ = unit.boundaries.empty();
    std::set<uint32_t> starts;
    for (uint32_t at = unit.begin; at < unit.end;) {
      Decoded d;
      d.at = at;
      const auto status =
          ZydisDecoderDecodeFull(&decoder_, cache_.memory().executable(at), unit.end - at, &d.i, d.operands);
      if (!ZYAN_SUCCESS(status)) {
        d.i.length = 0;
        return complain("not an instruction", d);
      }
      starts.insert(at);
      code_.push_back(d);
      at = d.end();
    }
    for (const auto& boundary : unit.boundaries) {
      // The last instructions of a unit may have become nothing.
      if (!starts.contains(boundary.host)) complain("boundary within an instruction", code_.back());
    }
    for (size_t n = 0; n < code_.size(); ++n) verify(n, starts);
    if (!code_.empty() &&
        !one_of(code_.back().i.meta.category, {ZYDIS_CATEGORY_UNCOND_BR, ZYDIS_CATEGORY_RET}) &&
        code_.back().i.mnemonic != ZYDIS_MNEMONIC_HLT)
      complain("runs off its end", code_.back());
  }

  void verify(size_t n, const std::set<uint32_t>& starts) {
    const Decoded& d = code_[n];
    if (d.i.mnemonic == ZYDIS_MNEMONIC_HLT) return;  // PrivilegedPolicy::Trap
    if (!permitted_category(d.i)) return complain("category", d);
    if (refused_mnemonic(d.i.mnemonic)) return complain("refused", d);
    if (d.i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && d.i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
      complain("encoding", d);
    if (own_table_jump(n)) return;
    if (one_of(d.i.meta.category, {ZYDIS_CATEGORY_UNCOND_BR, ZYDIS_CATEGORY_COND_BR, ZYDIS_CATEGORY_CALL}))
      return verify_branch(d, starts);
    if (d.i.meta.category == ZYDIS_CATEGORY_RET) {
      if (d.i.opcode != 0xc3 || d.i.length != 1) complain("return", d);
      return;
    }
    if (d.i.meta.category == ZYDIS_CATEGORY_STRINGOP) return verify_string(n);
    if (own_stack(n)) return;
    for (const ZydisDecodedOperand& operand : d.all()) {
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) verify_memory(n, operand);
      if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) verify_register(n, operand);
    }
  }

  // PEXT, PDEP, SARX, SHRX on scratch registers; SARX takes its operand from one of the guest's.
  static bool own_vex(const Decoded& d) {
    if (!one_of(d.i.mnemonic,
                {ZYDIS_MNEMONIC_PEXT, ZYDIS_MNEMONIC_PDEP, ZYDIS_MNEMONIC_SARX, ZYDIS_MNEMONIC_SHRX}))
      return false;
    return std::ranges::all_of(d.all(), [](const ZydisDecodedOperand& operand) {
      return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.size == 32;
    });
  }

  void verify_branch(const Decoded& d, const std::set<uint32_t>& starts) {
    const ZydisDecodedOperand& target = d.operands[0];
    if (target.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !target.imm.is_relative ||
        d.i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
      return complain("indirect or far", d);
    const auto to = static_cast<uint32_t>(d.end() + static_cast<uint32_t>(target.imm.value.s));
    const bool entry = is_entry_ && all_boundaries_.contains(to);
    const bool there = starts.contains(to) || boundaries_.contains(to) || to < floor_ || entry;
    if (!there) complain("branch to nowhere", d);
  }

  [[nodiscard]] bool is(size_t n, std::initializer_list<uint8_t> bytes) const {
    if (n >= code_.size() || code_[n].i.length != bytes.size()) return false;
    return std::equal(bytes.begin(), bytes.end(), cache_.memory().executable(code_[n].at));
  }

  // pushfq; pop r8 — and — pdep r8d, r8d, r10d; push r8; popfq, behind mov r10d with the flags that are the
  // host's.
  [[nodiscard]] bool own_stack(size_t n) const {
    if (is(n, {0x9c})) return is(n + 1, {0x41, 0x58});
    if (is(n, {0x41, 0x58})) return n > 0 && is(n - 1, {0x9c});
    if (is(n, {0x41, 0x50})) return is(n + 1, {0x9d});
    if (!is(n, {0x9d})) return false;
    constexpr uint32_t kMask = 0xcd5;
    static_assert((x86::kArithmeticFlags | x86::kDf) == kMask);
    return n >= 4 && is(n - 1, {0x41, 0x50}) && is(n - 2, {0xc4, 0x42, 0x3b, 0xf5, 0xc2}) &&
           is(n - 4, {0x41, 0xba, kMask & 0xff, kMask >> 8, 0, 0});
  }

  // The jump by the table of targets: mov r9d, [r13 + r8 * 4]; lea r10, [rip + x], which is offset 0 of code
  // memory; lea r9, [r9 + r10]; jmp r9 or call r9. `n` is any of the four.
  [[nodiscard]] bool own_table_jump(size_t n) const {
    for (size_t first = n < 3 ? 0 : n - 3; first <= n && first + 3 < code_.size(); ++first) {
      const Decoded& base = code_[first + 1];
      const uint8_t* const bytes = cache_.memory().executable(base.at);
      const bool load = is(first, {0x47, 0x8b, 0x4c, 0x85, 0x00});
      const bool origin = base.i.length == 7 && bytes[0] == 0x4c && bytes[1] == 0x8d && bytes[2] == 0x15 &&
                          base.end() + static_cast<uint32_t>(base.i.raw.disp.value) == 0;
      if (load && origin && is(first + 2, {0x4f, 0x8d, 0x0c, 0x11}) &&
          (is(first + 3, {0x41, 0xff, 0xe1}) || is(first + 3, {0x41, 0xff, 0xd1})))
        return true;
    }
    return false;
  }

  void verify_string(size_t n) {
    const Decoded& d = code_[n];
    if ((d.i.attributes & ZYDIS_ATTRIB_HAS_SEGMENT) != 0 || d.i.address_width != 64 || (d.i.raw.rex.W != 0))
      complain("string prefixes", d);
    for (const bool source : {true, false}) {
      const ZydisRegister wanted = source ? ZYDIS_REGISTER_RSI : ZYDIS_REGISTER_RDI;
      const auto loads = [&](size_t at) {
        return source ? is(at, {0x4a, 0x8d, 0x34, 0x1e}) : is(at, {0x4a, 0x8d, 0x3c, 0x1f});
      };
      const auto cuts = [&](size_t at) { return source ? is(at, {0x89, 0xf6}) : is(at, {0x89, 0xff}); };
      const bool used = std::ranges::any_of(d.all(), [&](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == wanted;
      });
      if (!used) continue;
      const auto near = [&](int step, const auto& wanted_there) {
        for (size_t at = n + static_cast<size_t>(step); at < code_.size(); at += static_cast<size_t>(step)) {
          if (wanted_there(at)) return true;
          if (!part_of_string(at)) return false;
        }
        return false;
      };
      if (!near(-1, loads) || !near(1, cuts)) complain("string pointer", d);
    }
  }
  // What stands between the loading of the pointers and their cutting off, besides the string instructions:
  // another pointer's loading, and the loop that counts ECX down.
  [[nodiscard]] bool part_of_string(size_t n) const {
    const Decoded& d = code_[n];
    const bool counts =
        is(n, {0x41, 0x89, 0xc9}) || is(n, {0x44, 0x89, 0xc9}) || is(n, {0x8d, 0x49, 0xff}) ||
        is(n, {0xc4, 0xc2, 0x2b, 0xf7, 0xc9}) ||
        (d.i.mnemonic == ZYDIS_MNEMONIC_MOV && d.operands[0].reg.value == ZYDIS_REGISTER_R10D &&
         d.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE);
    const bool pointer = is(n, {0x4a, 0x8d, 0x34, 0x1e}) || is(n, {0x4a, 0x8d, 0x3c, 0x1f}) ||
                         is(n, {0x89, 0xf6}) || is(n, {0x89, 0xff});
    return counts || pointer || d.i.meta.category == ZYDIS_CATEGORY_STRINGOP ||
           d.i.mnemonic == ZYDIS_MNEMONIC_JRCXZ || d.i.mnemonic == ZYDIS_MNEMONIC_JMP;
  }

  [[nodiscard]] bool loads_field(size_t n, ZydisRegister into, uint32_t first, uint32_t last) const {
    const Decoded& d = code_[n];
    return d.i.mnemonic == ZYDIS_MNEMONIC_MOV && d.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           d.operands[0].reg.value == into && d.operands[1].type == ZYDIS_OPERAND_TYPE_MEMORY &&
           d.operands[1].mem.base == ZYDIS_REGISTER_R14 && d.operands[1].mem.index == ZYDIS_REGISTER_NONE &&
           d.operands[1].mem.disp.value >= first && d.operands[1].mem.disp.value <= last;
  }
  [[nodiscard]] bool loads_code_map(size_t n) const {
    return loads_field(n, ZYDIS_REGISTER_R10, offsetof(GuestContext, code_map),
                       offsetof(GuestContext, code_map));
  }
  [[nodiscard]] bool loads_rights(size_t n) const {
    return loads_field(n, ZYDIS_REGISTER_R10, offsetof(GuestContext, rights), offsetof(GuestContext, rights));
  }
  [[nodiscard]] bool writes(size_t n, ZydisRegister reg) const {
    return std::ranges::any_of(code_[n].all(), [&](const ZydisDecodedOperand& operand) {
      return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && large(operand.reg.value) == reg &&
             (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    });
  }
  // r9 is the number of a page: mov r9d, 12; shrx r9d, r8d, r9d, and nothing since that changes it or can be
  // reached from elsewhere.
  [[nodiscard]] bool has_page_number(size_t n) const {
    for (size_t at = n; at > 1 && !all_boundaries_.contains(code_[at].at); --at) {
      if (is(at - 1, {0xc4, 0x42, 0x33, 0xf7, 0xc8})) return is(at - 2, {0x41, 0xb9, kPageShift, 0, 0, 0});
      if (writes(at - 1, ZYDIS_REGISTER_R9)) return false;
    }
    return false;
  }
  // movzx ecx, byte [r10 + r9 * 2 + …]: RightsMap.
  [[nodiscard]] bool looks_up_rights(size_t n, const ZydisDecodedOperand& operand) const {
    const Decoded& d = code_[n];
    const auto& m = operand.mem;
    static_assert(paging::RightsMap::kSize == size_t{2} << (32 - kPageShift));
    return d.i.mnemonic == ZYDIS_MNEMONIC_MOVZX && d.operands[0].reg.value == ZYDIS_REGISTER_ECX &&
           operand.size == 8 && m.scale == 2 && (m.disp.value == 0 || m.disp.value == 1) && n > 0 &&
           loads_rights(n - 1) && has_page_number(n);
  }
  [[nodiscard]] bool empties_return_stack(size_t n) const {
    constexpr uint32_t kField = offsetof(GuestContext, return_stack_top);
    return loads_field(n, ZYDIS_REGISTER_RSP, kField, kField);
  }
  [[nodiscard]] bool loads_segment_base(size_t n) const {
    using translate::ExtraSegment;
    constexpr uint32_t kSegments = offsetof(GuestContext, extra_segments);
    for (uint32_t start = kSegments; start < kSegments + 2 * sizeof(ExtraSegment);
         start += sizeof(ExtraSegment)) {
      if (loads_field(n, ZYDIS_REGISTER_R9, start + offsetof(ExtraSegment, unlimited),
                      start + offsetof(ExtraSegment, within) + 8 * (ExtraSegment::kClasses - 1)))
        return code_[n].operands[1].mem.disp.value % 8 == 0;
    }
    return false;
  }

  void verify_memory(size_t n, const ZydisDecodedOperand& operand) {
    const Decoded& d = code_[n];
    const auto& m = operand.mem;
    if (m.type == ZYDIS_MEMOP_TYPE_AGEN) return;  // LEA: no access
    if (operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) return complain("implicit memory", d);
    const bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    const uint8_t* const bytes = cache_.memory().executable(d.at);
    const bool has67 = std::find(bytes, bytes + d.i.raw.prefix_count, 0x67) != bytes + d.i.raw.prefix_count;
    if (m.segment == ZYDIS_REGISTER_GS) {
      if (d.i.address_width != 32 || !has67) complain("64-bit address in the window", d);
      const bool vector_index = m.type == ZYDIS_MEMOP_TYPE_VSIB && of_guest(m.index);
      for (const ZydisRegister reg : {m.base, vector_index ? ZYDIS_REGISTER_NONE : m.index})
        if (reg != ZYDIS_REGISTER_NONE && (!general(reg) || monitors(reg)))
          complain("monitor register in address", d);
      return;
    }
    if (d.i.mnemonic == ZYDIS_MNEMONIC_NOP) return;
    if (in_window(d, m)) return;
    if (has67 || m.segment == ZYDIS_REGISTER_FS) return complain("address without window", d);
    const bool plain_move = d.i.mnemonic == ZYDIS_MNEMONIC_MOV;
    if (m.base == ZYDIS_REGISTER_R14 && m.index == ZYDIS_REGISTER_NONE) {
      const bool field = plain_move && m.disp.value >= 0 &&
                         static_cast<uint64_t>(m.disp.value) + operand.size / 8 <= sizeof(GuestContext);
      if (!field) complain("context", d);
      if (writes && !may_be_written(m.disp.value, operand.size / 8) && !(n > 0 && copies_view(n - 1)))
        complain("context written", d);
      return;
    }
    if (m.base == ZYDIS_REGISTER_R12 && m.index == ZYDIS_REGISTER_R8) {
      const bool compares = plain_move && !writes && operand.size == 32 && m.scale == 1 &&
                            d.operands[0].reg.value == ZYDIS_REGISTER_R9D;
      if (!compares) complain("landing pad", d);
      return;
    }
    if (m.base == ZYDIS_REGISTER_R10 && m.index == ZYDIS_REGISTER_NONE) {
      const bool entry = plain_move && !writes && operand.size == 32 && m.disp.value >= 0 &&
                         m.disp.value < int64_t{4} << 20 && m.disp.value % 4 == 0 && n > 0 &&
                         loads_code_map(n - 1);
      if (!entry) complain("code map", d);
      return;
    }
    if (m.base == ZYDIS_REGISTER_R10 && m.index == ZYDIS_REGISTER_R9) {
      if (!looks_up_rights(n, operand)) complain("rights", d);
      return;
    }
    const bool segment_base = is(n, {0x45, 0x8b, 0x09}) && n > 0 && loads_segment_base(n - 1);
    if (!segment_base) complain("memory of the monitor", d);
  }

  /// [r11 + 32-bit register + displacement], [r11 + displacement], [r15 + displacement]
  static bool in_window(const Decoded& d, const ZydisDecodedOperandMem& m) {
    if (d.i.address_width != 64 || m.segment == ZYDIS_REGISTER_FS) return false;
    const int64_t displacement = m.disp.value;
    const bool near = displacement >= -kReach && displacement <= kReach;
    if (m.base == ZYDIS_REGISTER_R15) return m.index == ZYDIS_REGISTER_NONE && near;
    if (m.base != ZYDIS_REGISTER_R11) return false;
    if (m.index == ZYDIS_REGISTER_NONE) return displacement >= 0;
    const bool holds_address = general(m.index) && !monitors(m.index) && m.index != ZYDIS_REGISTER_R15;
    return holds_address && m.scale == 1 && near;
  }

  [[nodiscard]] bool touches_stack(size_t n) const {
    return std::ranges::any_of(code_[n].all(), [](const ZydisDecodedOperand& operand) {
      return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_MEM &&
             operand.mem.base == ZYDIS_REGISTER_R15;
    });
  }
  // Its upper half becomes zero, whatever the operands.
  [[nodiscard]] bool writes_all_of_r15d(size_t n) const {
    const Decoded& d = code_[n];
    return one_of(d.i.mnemonic,
                  {ZYDIS_MNEMONIC_ADC, ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_SBB, ZYDIS_MNEMONIC_AND,
                   ZYDIS_MNEMONIC_DEC, ZYDIS_MNEMONIC_INC, ZYDIS_MNEMONIC_LEA, ZYDIS_MNEMONIC_MOV,
                   ZYDIS_MNEMONIC_OR, ZYDIS_MNEMONIC_SUB, ZYDIS_MNEMONIC_XOR}) &&
           d.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           d.operands[0].reg.value == ZYDIS_REGISTER_R15D;
  }
  // Whether only CALLs of the unit lead to an instruction of its cold part, by way of a page's check or not;
  // or nobody, while they are linked past it.
  [[nodiscard]] bool reached_by_calls(size_t n) const {
    const auto led_to_by = [&](uint32_t at, bool calls) {
      return std::ranges::any_of(code_, [&](const Decoded& d) {
        const ZydisDecodedOperand& target = d.operands[0];
        const bool call = d.i.meta.category == ZYDIS_CATEGORY_CALL;
        return call == calls && target.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && target.imm.is_relative &&
               d.end() + static_cast<uint32_t>(target.imm.value.s) == at;
      });
    };
    for (size_t first = n; first > 0 && !boundaries_.contains(code_[first].at); --first)
      if (led_to_by(code_[first].at, true)) return true;
    return !led_to_by(code_[n].at, false) && n > 0 && (is_jump(n - 1) || traps(n - 1));
  }
  // lea r15, [r15 + r11] behind mov r15d, r15d; lea r15, [r15 + displacement] behind an access to the stack
  // since the last entry, which CALL is, too; LEAVE's lea r15, [r11 + rbp + 4] behind its load.
  [[nodiscard]] bool moves_stack(size_t n) const {
    if (is(n, {0x4f, 0x8d, 0x3c, 0x1f})) return n > 0 && writes_all_of_r15d(n - 1);
    if (is(n, {0x4d, 0x8d, 0x7c, 0x2b, 0x04})) return n > 0 && is(n - 1, {0x45, 0x8b, 0x04, 0x2b});
    const Decoded& d = code_[n];
    const auto& m = d.operands[1].mem;
    if (d.i.mnemonic != ZYDIS_MNEMONIC_LEA || m.base != ZYDIS_REGISTER_R15 ||
        m.index != ZYDIS_REGISTER_NONE || m.disp.value < -kRelease || m.disp.value > kRelease)
      return false;
    size_t before = n;
    while (!boundaries_.contains(code_[before].at) && before > 0)
      if (touches_stack(--before)) return true;
    if (called_ != 0 && code_[before].at == called_) return true;
    return is(n, {0x4d, 0x8d, 0x7f, 0xfc}) && is_jump(n + 1) && reached_by_calls(n);
  }
  [[nodiscard]] bool traps(size_t n) const { return code_[n].i.mnemonic == ZYDIS_MNEMONIC_HLT; }
  [[nodiscard]] bool is_jump(size_t n) const {
    return n < code_.size() && code_[n].i.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
  }
  /// r15d has been written: r15 is made an address again before the next boundary.
  [[nodiscard]] bool stack_put_right(size_t n) const {
    for (size_t next = n + 1; next < code_.size() && !boundaries_.contains(code_[next].at); ++next) {
      if (is(next, {0x45, 0x89, 0xff})) return is(next + 1, {0x4f, 0x8d, 0x3c, 0x1f});
      if (is(next, {0x4f, 0x8d, 0x3c, 0x1f})) return writes_all_of_r15d(next - 1);
      if (touches_stack(next)) return false;
    }
    return false;
  }
  /// Whether these two move a part of what is known of FS or GS to where translated code finds it.
  [[nodiscard]] bool copies_view(size_t n) const {
    constexpr uint32_t kFrom = offsetof(GuestContext, known_views),
                       kTo = offsetof(GuestContext, extra_segments);
    constexpr uint32_t kRoom = sizeof(GuestContext::known_views), kView = sizeof(translate::ExtraSegment);
    if (n + 1 >= code_.size() || !loads_field(n, ZYDIS_REGISTER_RCX, kFrom, kFrom + kRoom - 8)) return false;
    const Decoded& store = code_[n + 1];
    const auto& to = store.operands[0];
    if (store.i.mnemonic != ZYDIS_MNEMONIC_MOV || to.type != ZYDIS_OPERAND_TYPE_MEMORY ||
        to.mem.base != ZYDIS_REGISTER_R14 || to.mem.index != ZYDIS_REGISTER_NONE ||
        store.operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER ||
        store.operands[1].reg.value != ZYDIS_REGISTER_RCX)
      return false;
    const auto from = static_cast<uint64_t>(code_[n].operands[1].mem.disp.value - kFrom);
    const auto place = static_cast<uint64_t>(to.mem.disp.value - kTo);
    return place % kView == from % kView && place / kView == from / kView / translate::kKnownLoads;
  }

  void verify_register(size_t n, const ZydisDecodedOperand& operand) {
    const Decoded& d = code_[n];
    const ZydisRegister reg = operand.reg.value;
    const ZydisRegisterClass kind = ZydisRegisterGetClass(reg);
    if (one_of(kind,
               {ZYDIS_REGCLASS_SEGMENT, ZYDIS_REGCLASS_CONTROL, ZYDIS_REGCLASS_DEBUG, ZYDIS_REGCLASS_TABLE}))
      return complain("system register", d);
    const bool vector = one_of(kind, {ZYDIS_REGCLASS_XMM, ZYDIS_REGCLASS_YMM, ZYDIS_REGCLASS_ZMM});
    const bool all = d.i.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER || d.i.mnemonic == ZYDIS_MNEMONIC_VZEROALL;
    if (vector && !all && !of_guest(reg)) complain("vector register 8 and above", d);
    if (!general(reg)) return;
    if (reg == ZYDIS_REGISTER_R11D && d.i.mnemonic == ZYDIS_MNEMONIC_MOV &&
        d.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
      return verify_leaving(n);
    if (empties_return_stack(n)) return;
    if (monitors(reg)) {
      // The base of an operand is not listed here; nothing else names them.
      return complain("monitor register", d);
    }
    const bool vex = d.i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && !own_vex(d);
    if (vex && (reg < ZYDIS_REGISTER_EAX || reg > ZYDIS_REGISTER_EDI) && reg != ZYDIS_REGISTER_R15D)
      return complain("not a register of the guest", d);
    if ((operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0) return;
    if (operand.size == 32 && reg == ZYDIS_REGISTER_R15D && !is(n, {0x45, 0x89, 0xff}) && !stack_put_right(n))
      complain("stack pointer", d);
    if (operand.size != 64) return;
    if (reg == ZYDIS_REGISTER_R15) {
      if (!moves_stack(n)) complain("stack pointer moved", d);
      return;
    }
    const bool for_string = is(n, {0x4a, 0x8d, 0x34, 0x1e}) || is(n, {0x4a, 0x8d, 0x3c, 0x1f});
    const bool scratch =
        one_of(reg, {ZYDIS_REGISTER_R8, ZYDIS_REGISTER_R9, ZYDIS_REGISTER_R10, ZYDIS_REGISTER_R11});
    if (!for_string && !copies_view(n) &&
        !(scratch && (loads_segment_base(n) || loads_code_map(n) || loads_rights(n))))
      complain("64-bit result", d);
  }

  /// mov r11d, number of a site: on to the glue.
  void verify_leaving(size_t n) {
    const Decoded& jump = code_[std::min(n + 1, code_.size() - 1)];
    const auto to = static_cast<uint32_t>(jump.end() + static_cast<uint32_t>(jump.operands[0].imm.value.s));
    if (jump.i.mnemonic != ZYDIS_MNEMONIC_JMP || to >= floor_) complain("window", code_[n]);
  }

  const translate::TranslationCache& cache_;
  ZydisDecoder decoder_{};
  std::vector<const Unit*> units_;
  uint32_t floor_ = 0;
  std::set<uint32_t> boundaries_;  // that are entries
  std::set<uint32_t> all_boundaries_;
  uint32_t called_ = 0;    // Unit::called
  bool is_entry_ = false;  // made by Translator::add_entry(): may lead to where something is pending
  std::vector<Decoded> code_;
  std::map<std::string, std::string> found_;
};

}  // namespace

std::string verify_translations(const translate::Engine& engine) {
  return Verifier(engine).run();
}

}  // namespace vitrine::engines

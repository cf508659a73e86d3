// One unit of translated code in the making: what the translators of the instruction families
// (translate_*.cc) write to.
//
//   hot code in guest order │ cold code: stubs of branches that lead out, checks on the way to other pages
//
// A guest instruction becomes a sequence that is *precise*: whatever in it can fault comes before the first
// change of a guest register, flag or byte of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/decoder.h"
#include "translate/emitter.h"
#include "translate/glue.h"
#include "translate/guest_context.h"
#include "translate/translation_cache.h"

namespace vitrine::translate {

/// How privileged instructions leave translated code. Everything else is the same.
enum class PrivilegedPolicy : uint8_t {
  CallOut,  ///< Inline code, or a jump to the glue.
  Trap,     ///< They fault, and the handler of the host's signal emulates them: the classic hypervisor.
};

/// Whether translated code counts the instructions that it executes and keeps to a budget.
enum class InstructionCounting : uint8_t { None, Exact };

struct TranslatorOptions {
  PrivilegedPolicy privileged = PrivilegedPolicy::CallOut;
  /// User code has target tables (WindowCode::targets); otherwise everything goes by the jump cache.
  bool target_tables = false;
  bool landing_pad = false;  ///< There is one (LandingPad).
  bool bmi2 = false;         ///< The host has PEXT, PDEP, SARX and so on.
  /// The host's MXCSR has a bit that no guest's has: loads of it are the interpreter's, which sees that they
  /// fault.
  bool wide_mxcsr = false;
  bool avx = false;  ///< The guest has enabled AVX: without that its instructions are all #UD.
  /// Several vCPUs take turns on one thread: PAUSE, the sign of a spinning one, goes to the interpreter.
  bool pause_ends_turn = false;
  InstructionCounting counting = InstructionCounting::None;
};

/// PrivilegedPolicy::Trap: what stands for an instruction that is to fault. HLT: #GP in user mode.
inline constexpr uint8_t kPrivilegedTrap = 0xf4;

/// What became of a guest instruction.
enum class Verdict : uint8_t {
  Next,      ///< Goes on with the one behind it.
  Ends,      ///< Control never gets behind it from here.
  Declined,  ///< It is the interpreter's; nothing must have been emitted that matters.
};

/// How an operand in memory had better be addressed. Neither is wrong for any instruction but for one with
/// AH–BH, which has no room for r11 and needs Segment.
enum class OperandUse : uint8_t {
  Plain,    ///< A plain address where that is possible: the shortest way from address to value.
  Segment,  ///< By GS, unless ESP is the base: a value that has just been stored comes without delay.
};

/// Which of the floating-point states an instruction needs in the host's registers.
enum class UnitNeed : uint8_t { X87, Sse, Avx };

class UnitBuilder {
 public:
  /// At `targets`, guest addresses, nothing is pending. `called`: made for CALLs, which leave it to the code
  /// they lead to to move r15.
  UnitBuilder(TranslationCache& cache, CodePage& page, const Glue& glue, const TranslatorOptions& options,
              std::vector<uint32_t> targets, bool called);

  Emitter& out() { return out_; }
  [[nodiscard]] const TranslatorOptions& options() const { return options_; }
  [[nodiscard]] bool user() const { return page_.key.privilege != CodePrivilege::Supervisor; }

  // The present instruction.
  void begin_instruction(uint32_t eip, const cpu::Instruction& instruction, const cpu::Encoding& encoding);
  [[nodiscard]] uint32_t eip() const { return eip_; }
  [[nodiscard]] uint32_t next_eip() const { return eip_ + instruction_->length; }
  [[nodiscard]] const cpu::Instruction& instruction() const { return *instruction_; }
  [[nodiscard]] const cpu::Encoding& encoding() const { return *encoding_; }

  /// The memory operand; may emit the loading of a segment base into r9d, or of an address into r8d. False:
  /// the form is declined.
  [[nodiscard]] bool memory_operand(HostMemory& memory, OperandUse use = OperandUse::Plain);
  /// [esp + displacement]
  [[nodiscard]] HostMemory stack(int32_t displacement);
  /// [reg + displacement]
  [[nodiscard]] static HostMemory window(uint8_t reg, int32_t displacement = 0);
  /// r15 is written when something needs it (settle_stack_pointer); until then there is no entry, and faults
  /// add what is pending (Boundary::pending).
  void move_stack_pointer(int32_t by);
  void settle_stack_pointer();
  /// The present instruction, nothing of which has been emitted, needs r15 as it should be after all.
  void settle_before_instruction();
  /// ESP has been written as a whole: nothing is pending.
  void forget_pending() { pending_ = 0; }
  [[nodiscard]] bool pending_allowed(int32_t by) const;
  /// What has to be added to a displacement from a register.
  [[nodiscard]] uint32_t displacement_of(uint8_t base) const {
    return base == x86::kEsp ? static_cast<uint32_t>(pending_) : 0;
  }
  /// `to` = a general register of the guest's; ESP also where it is yet to be put. No flags.
  void load_general(HostRegister to, uint8_t guest) {
    const auto pending = static_cast<int32_t>(displacement_of(guest));
    if (pending == 0) return out_.move(to, host_of(guest));
    out_.load_address(to, {.base = host_of(guest), .displacement = pending});
  }
  /// Behind the present instruction. r15 is an address in the window again if r15d has been written.
  void end_instruction();

  /// Leaves (Leave::Stale) unless the active window still shows `page` where it belongs. Part of the present
  /// instruction that undo_instruction() does not take back.
  void check_page(const CodePage& page);
  /// Whether indirect branches go by a target table.
  [[nodiscard]] bool by_table() const { return user() && options_.target_tables; }
  /// Whether instructions are counted.
  [[nodiscard]] bool counting() const { return options_.counting == InstructionCounting::Exact; }
  /// Counting: before a repeated string instruction, and behind it.
  void begin_repetition();
  void end_repetition();
  /// Before an instruction that needs floating-point state in the host's registers. Uses r8d and r9d.
  void need(UnitNeed need);

  /// A jump, call or conditional jump whose distance lies at `distance` goes to a guest address.
  void branch(size_t distance, uint32_t target);
  /// CALL of a guest address, when the return address has been stored at ESP. Leaves it to what is called to
  /// move r15 (Unit::called); nothing is pending behind it.
  void call_direct(uint32_t target);
  /// To the guest address in r8d.
  void jump_indirect();
  void call_indirect();
  /// r8d = eip; on to the interpreter.
  void decline();
  /// The same whatever the policy.
  void call_out();
  /// On to the interpreter unless ECX is zero; the guest's ECX is in r9d.
  void decline_unless_zero();
  /// Behind a host CALL: goes on if the guest returned to `expected` (in r8d).
  void landing(uint32_t expected);

  /// Null unless the present instruction had better be the interpreter's.
  [[nodiscard]] SlowSite* slow() const;
  /// Leaves to the interpreter unless the active window shows what the present instruction, which is slow(),
  /// accesses. Part of it that undo_instruction() does not take back. False, and nothing emitted: it cannot
  /// look.
  [[nodiscard]] bool check_access();
  /// Takes back everything of the present instruction.
  void undo_instruction();
  /// No interrupt is taken before the next instruction.
  void cast_shadow() { shadow_ = true; }
  [[nodiscard]] bool in_shadow() const { return shadow_; }
  /// Whether more fits.
  [[nodiscard]] bool full() const;
  [[nodiscard]] bool nearly_full() const;
  [[nodiscard]] bool has(uint32_t eip) const;
  /// Adds what branches of the unit lead to and is no entry for what is pending. Whether there is any.
  [[nodiscard]] bool finds_targets(std::vector<uint32_t>& targets) const;
  /// Whether a CALL of the unit leads to its beginning.
  [[nodiscard]] bool is_recursive() const;
  [[nodiscard]] bool empty() const { return boundaries_.empty(); }
  /// Whether a branch of the unit leads to `eip` or to a place not far behind it.
  [[nodiscard]] bool leads_beyond(uint32_t eip) const;
  /// An entry for a boundary that is none: instead of everything else.
  void finish_entry(const TranslationCache::Pending& to);
  /// Cold code, links, and into the cache.
  void finish(uint16_t last_byte, CodePage* tail_page = nullptr, uint16_t tail_last_byte = 0);

 private:
  struct Branch {
    size_t distance;
    uint32_t target;
    bool call;
  };

  [[nodiscard]] uint32_t at() const { return start_ + static_cast<uint32_t>(out_.size()); }
  [[nodiscard]] bool in_page(uint32_t target) const { return target >> kPageShift == page_.key.virtual_page; }
  [[nodiscard]] static HostMemory segment_base(const cpu::Instruction& i);
  [[nodiscard]] bool plain_operand(HostMemory& memory);
  void jump_to(uint32_t cache_offset);
  [[nodiscard]] bool check_operands(uint16_t counter);
  void check_page_shown(HostMemory operand, bool writes, std::optional<uint16_t> counter);
  void leave_unless_zero(uint32_t way_out);
  void load_page_number(uint32_t virtual_page);
  [[nodiscard]] bool takes_another_stack() const;
  void mark_boundary();
  void count_instruction(bool in_shadow);
  void resolve(const Branch& branch);
  void resolve_here(const Branch& branch);
  [[nodiscard]] bool calls_start(const Branch& branch) const;
  void emit_stub(const Branch& branch, uint32_t check);
  void lead(size_t distance, uint32_t cache_offset);
  void emit_entry(const Boundary& boundary);
  [[nodiscard]] DeclineIndex decline_index();
  void emit_decline(uint32_t eip, DeclineIndex index);

  TranslationCache& cache_;
  CodePage& page_;
  const Glue& glue_;
  const TranslatorOptions& options_;
  uint32_t start_;
  Emitter out_;
  std::vector<Boundary> boundaries_;
  std::vector<Branch> branches_;
  struct ColdDecline {
    size_t distance;
    uint32_t eip;
    DeclineIndex index;
  };
  std::vector<ColdDecline> declines_;
  DeclineIndex first_decline_;
  std::vector<uint32_t> targets_;
  std::vector<SiteIndex> to_link_;

  bool called_;

  bool shadow_ = false;
  bool shadow_ended_ = false;  // the instruction before had the shadow over it
  bool crosses_ = false;       // its one instruction reaches into the next page

  uint32_t eip_ = 0;
  const cpu::Instruction* instruction_ = nullptr;
  const cpu::Encoding* encoding_ = nullptr;
  std::optional<DeclineIndex> decline_index_;
  size_t instruction_start_ = 0;
  int32_t pending_ = 0;   // ESP is r15d + this
  bool touched_ = false;  // an operand near [esp] since r15 was right
  int32_t pending_before_ = 0;
  bool touched_before_ = false;
  size_t branches_before_ = 0, declines_before_ = 0;
};

/// Whether an instruction can be translated while ESP is not r15d: it uses ESP as the base of an address,
/// pushes or pops, or has nothing to do with it, and does not leave but by a fault.
[[nodiscard]] bool goes_with_pending(const cpu::Instruction& i, const cpu::Encoding& e);
/// ADD or SUB of an immediate to ESP that can be pending. Returns it, or nothing.
[[nodiscard]] std::optional<int32_t> stack_adjustment(const cpu::Instruction& i, const cpu::Encoding& e);
/// Of the family translate_integer, but for ESP as an operand in a register.
[[nodiscard]] bool is_integer_without_esp(const cpu::Instruction& i, const cpu::Encoding& e);

/// JMP, CALL and RET within the segment, Jcc, JCXZ and LOOP, of any operand size.
[[nodiscard]] bool is_near_branch(cpu::Operation operation);

// The families. Each looks at builder.instruction() and emits, or declines.
[[nodiscard]] Verdict translate_integer(UnitBuilder& builder);
[[nodiscard]] Verdict translate_stack(UnitBuilder& builder);
[[nodiscard]] Verdict translate_branch(UnitBuilder& builder);
[[nodiscard]] Verdict translate_string(UnitBuilder& builder);
[[nodiscard]] Verdict translate_vector(UnitBuilder& builder);
[[nodiscard]] Verdict translate_vex(UnitBuilder& builder);
[[nodiscard]] Verdict translate_flags(UnitBuilder& builder);
[[nodiscard]] Verdict translate_segments(UnitBuilder& builder);
[[nodiscard]] Verdict translate_control(UnitBuilder& builder);

}  // namespace vitrine::translate

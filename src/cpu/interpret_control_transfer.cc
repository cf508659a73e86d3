// Near jumps, calls and returns. SDM Vol. 1, "Control Transfer Instructions". A target beyond the code
// segment's limit faults before anything changes. Far transfers are the system's.
#include <array>

#include "cpu/access.h"
#include "cpu/block_flow.h"
#include "cpu/instruction_table.h"
#include "cpu/rows.h"

namespace vitrine::cpu {
namespace {

constexpr unsigned kNotTaken = 0;
constexpr unsigned kTaken = 1;

// EIP is cut to 16 bits by a 16-bit operand size.
template <typename T>
[[gnu::always_inline]] inline uint32_t branch_target(const Core& core, const Instruction& i) {
  return static_cast<T>(core.next_eip(i) + i.displacement);
}

// Whether the branch wrapped around at 64 KiB: then its distance is not always the same, and it cannot be
// linked.
template <typename T>
[[gnu::always_inline]] inline bool wrapped(const Core& core, const Instruction& i) {
  return sizeof(T) == 2 && core.next_eip(i) + i.displacement > 0xffff;
}

void leave_with_limit_fault(Core& core, const Instruction* i) {
  core.raise(x86::Vector::GeneralProtection);
  return leave_fault(core, i);
}

template <typename T>
[[gnu::always_inline]] inline void take(Core& core, const Instruction* i) {
  const uint32_t target = branch_target<T>(core, *i);
  if (target > core.cs_limit) [[unlikely]]
    return leave_with_limit_fault(core, i);
  if (wrapped<T>(core, *i)) [[unlikely]]
    return go_to(core, target);
  return follow(core, i, kTaken, target);
}

template <typename T>
void jmp_relative(Core& core, const Instruction* i) {
  return take<T>(core, i);
}

template <typename T, unsigned Condition>
void jcc(Core& core, const Instruction* i) {
  if (condition<Condition>(core.flags)) return take<T>(core, i);
  return follow(core, i, kNotTaken, core.next_eip(*i));
}

// LOOP and JCXZ count in CX or ECX by the address size.
[[gnu::always_inline]] inline uint32_t counter(const Core& core, const Instruction& i) {
  return core.state.gpr[x86::kEcx] & i.address_mask;
}

template <typename T>
void jcxz(Core& core, const Instruction* i) {
  if (counter(core, *i) == 0) return take<T>(core, i);
  return follow(core, i, kNotTaken, core.next_eip(*i));
}

enum class LoopKind : uint8_t { Always, WhileZero, WhileNotZero };

template <typename T, LoopKind kind>
void loop(Core& core, const Instruction* i) {
  const uint32_t count = (counter(core, *i) - 1) & i->address_mask;
  bool taken = count != 0;
  if constexpr (kind == LoopKind::WhileZero) taken = taken && (core.flags & kFlagZ) != 0;
  if constexpr (kind == LoopKind::WhileNotZero) taken = taken && (core.flags & kFlagZ) == 0;
  if (taken && branch_target<T>(core, *i) > core.cs_limit) [[unlikely]]
    return leave_with_limit_fault(core, i);
  uint32_t& ecx = core.state.gpr[x86::kEcx];
  ecx = (ecx & ~i->address_mask) | count;
  if (taken) return take<T>(core, i);
  return follow(core, i, kNotTaken, core.next_eip(*i));
}

template <typename T>
void call_relative(Core& core, const Instruction* i) {
  core.current = i;
  if (branch_target<T>(core, *i) > core.cs_limit) [[unlikely]]
    return leave_with_limit_fault(core, i);
  if (!push(core, static_cast<T>(core.next_eip(*i)))) [[unlikely]]
    return leave_fault(core, i);
  // The push may have dropped this very block; its links are dead then, but still there.
  return take<T>(core, i);
}

template <typename T>
[[gnu::always_inline]] inline bool indirect_target(Core& core, const Instruction& i, uint32_t& target) {
  T value;
  if (i.is_memory) {
    if (!load_operand(core, i, value)) return false;
  } else {
    value = core.get<T>(i.rm);
  }
  target = value;
  return target <= core.cs_limit || core.raise(x86::Vector::GeneralProtection);
}

template <typename T>
void jmp_indirect(Core& core, const Instruction* i) {
  core.current = i;
  uint32_t target = 0;
  if (!indirect_target<T>(core, *i, target)) [[unlikely]]
    return leave_fault(core, i);
  return go_to(core, target);
}

template <typename T>
void call_indirect(Core& core, const Instruction* i) {
  core.current = i;
  uint32_t target = 0;
  if (!indirect_target<T>(core, *i, target)) [[unlikely]]
    return leave_fault(core, i);
  if (!push(core, static_cast<T>(core.next_eip(*i)))) [[unlikely]]
    return leave_fault(core, i);
  return go_to(core, target);
}

template <typename T>
void ret(Core& core, const Instruction* i) {
  core.current = i;
  const uint32_t top = stack_pointer(core);
  T target;
  if (!load(core, x86::kSs, top, target)) [[unlikely]]
    return leave_fault(core, i);
  if (target > core.cs_limit) [[unlikely]]
    return leave_with_limit_fault(core, i);
  set_stack_pointer(core, top + static_cast<uint32_t>(sizeof(T)) + i->immediate);
  return go_to(core, target);
}

template <unsigned Condition>
constexpr auto jcc_rows(Operation operation) {
  return for_word_and_dword([operation]<typename T>() {
    return std::array{handler_row(operation, &jcc<T, Condition>, Flow::Ending, {.size = sizeof(T)})};
  });
}

constexpr auto branch_rows() {
  return for_word_and_dword([]<typename T>() {
    using F = OperandForm;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        handler_row(Operation::Jmp, &jmp_relative<T>, Flow::Ending, {.form = F::Relative, .size = kSize}),
        handler_row(Operation::Jmp, &jmp_indirect<T>, Flow::Ending, {.form = F::Rm, .size = kSize}),
        handler_row(Operation::Call, &call_relative<T>, Flow::Ending, {.form = F::Relative, .size = kSize}),
        handler_row(Operation::Call, &call_indirect<T>, Flow::Ending, {.form = F::Rm, .size = kSize}),
        handler_row(Operation::Ret, &ret<T>, Flow::Ending, {.size = kSize}),
        handler_row(Operation::Jcxz, &jcxz<T>, Flow::Ending, {.size = kSize}),
        handler_row(Operation::Loop, &loop<T, LoopKind::Always>, Flow::Ending, {.size = kSize}),
        handler_row(Operation::Loope, &loop<T, LoopKind::WhileZero>, Flow::Ending, {.size = kSize}),
        handler_row(Operation::Loopne, &loop<T, LoopKind::WhileNotZero>, Flow::Ending, {.size = kSize}),
    };
  });
}

constexpr auto kRows =
    join(branch_rows(), jcc_rows<0>(Operation::Jo), jcc_rows<1>(Operation::Jno), jcc_rows<2>(Operation::Jb),
         jcc_rows<3>(Operation::Jnb), jcc_rows<4>(Operation::Jz), jcc_rows<5>(Operation::Jnz),
         jcc_rows<6>(Operation::Jbe), jcc_rows<7>(Operation::Jnbe), jcc_rows<8>(Operation::Js),
         jcc_rows<9>(Operation::Jns), jcc_rows<10>(Operation::Jp), jcc_rows<11>(Operation::Jnp),
         jcc_rows<12>(Operation::Jl), jcc_rows<13>(Operation::Jnl), jcc_rows<14>(Operation::Jle),
         jcc_rows<15>(Operation::Jnle));

}  // namespace

std::span<const InstructionRow> control_transfer_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

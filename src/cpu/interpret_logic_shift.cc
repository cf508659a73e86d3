// Logic, shifts and rotates. SDM Vol. 1, "Logical Instructions", "Shift and Rotate Instructions".
#include <type_traits>

#include "cpu/alu_forms.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

enum class Count : uint8_t { Immediate, Cl };

template <Count count>
[[gnu::always_inline]] inline uint8_t count_of(const Core& core, const Instruction& i) {
  return count == Count::Cl ? core.get<uint8_t>(x86::kEcx) : static_cast<uint8_t>(i.immediate);
}

// Whether the host's rotation of a register by an immediate count leaves OF alone. The manual leaves it
// undefined unless the count is 1; processors do it one way for an immediate and another for CL, which is all
// that host::Rol uses.
bool rotation_keeps_overflow() {
  uint8_t overflow = 0x7f;
  uint32_t value = 3;
  // `add` sets OF; by the rule for a count of 1 the rotation would clear it.
  asm("addb $1, %[overflow]\n\trol $3, %[value]\n\tseto %[overflow]"
      : [overflow] "+q"(overflow), [value] "+r"(value)
      :
      : "cc");
  return overflow != 0;
}
const bool kRotationKeepsOverflow = rotation_keeps_overflow();

template <typename Op, Count count, typename T>
[[gnu::always_inline]] inline void shift(Core& core, const Instruction& i, T& a) {
  [[maybe_unused]] const ArithmeticFlags before = core.flags;
  Op::apply(a, count_of<count>(core, i), core.flags);
  constexpr bool kRotation = std::is_same_v<Op, host::Rol> || std::is_same_v<Op, host::Ror>;
  if constexpr (kRotation && count == Count::Immediate) {
    if (kRotationKeepsOverflow && (i.immediate & 31) != 1)
      core.flags = static_cast<ArithmeticFlags>((core.flags & ~kFlagO) | (before & kFlagO));
  }
}

template <typename Op, typename T, Count count>
void shift_register(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  shift<Op, count>(core, i, a);
  core.set<T>(i.rm, a);
}

template <typename Op, typename T, Count count>
bool shift_memory(Core& core, const Instruction& i) {
  T a;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), a, update)) [[unlikely]]
    return false;
  Op::apply(a, count_of<count>(core, i), core.flags);
  finish_update(core, update, a);
  return true;
}

template <typename Op>
constexpr auto shift_rows(Operation operation) {
  return for_all_widths([operation]<typename T>() {
    using F = OperandForm;
    using L = Location;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&shift_register<Op, T, Count::Immediate>>(operation, {F::RmImmediate, L::Register, kSize}),
        plain_row<&shift_register<Op, T, Count::Cl>>(operation, {F::RmCl, L::Register, kSize}),
        inline_row<&shift_memory<Op, T, Count::Immediate>>(operation, {F::RmImmediate, L::Memory, kSize}),
        inline_row<&shift_memory<Op, T, Count::Cl>>(operation, {F::RmCl, L::Memory, kSize}),
    };
  });
}

template <typename Op, typename T, Count count>
void double_shift_register(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  Op::apply(a, core.get<T>(i.reg), count_of<count>(core, i), core.flags);
  core.set<T>(i.rm, a);
}

template <typename Op, typename T, Count count>
bool double_shift_memory(Core& core, const Instruction& i) {
  T a;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), a, update)) return false;
  Op::apply(a, core.get<T>(i.reg), count_of<count>(core, i), core.flags);
  finish_update(core, update, a);
  return true;
}

template <typename Op>
constexpr auto double_shift_rows(Operation operation) {
  return for_word_and_dword([operation]<typename T>() {
    using F = OperandForm;
    using L = Location;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&double_shift_register<Op, T, Count::Immediate>>(operation,
                                                                   {F::RmRegImmediate, L::Register, kSize}),
        plain_row<&double_shift_register<Op, T, Count::Cl>>(operation, {F::RmRegCl, L::Register, kSize}),
        inline_row<&double_shift_memory<Op, T, Count::Immediate>>(operation,
                                                                  {F::RmRegImmediate, L::Memory, kSize}),
        inline_row<&double_shift_memory<Op, T, Count::Cl>>(operation, {F::RmRegCl, L::Memory, kSize}),
    };
  });
}

constexpr auto kRows =
    join(alu_rows<host::And>(Operation::And), alu_rows<host::Or>(Operation::Or),
         alu_rows<host::Xor>(Operation::Xor), alu_rows<host::Test>(Operation::Test),
         unary_rows<host::Not>(Operation::Not), shift_rows<host::Shl>(Operation::Shl),
         shift_rows<host::Shr>(Operation::Shr), shift_rows<host::Sar>(Operation::Sar),
         shift_rows<host::Rol>(Operation::Rol), shift_rows<host::Ror>(Operation::Ror),
         shift_rows<host::Rcl>(Operation::Rcl), shift_rows<host::Rcr>(Operation::Rcr),
         double_shift_rows<host::Shld>(Operation::Shld), double_shift_rows<host::Shrd>(Operation::Shrd));

}  // namespace

std::span<const InstructionRow> logic_shift_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

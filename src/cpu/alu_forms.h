// The operand forms of two-operand and one-operand arithmetic and logic, for any operation of
// host_arithmetic.h.
#pragma once

#include <array>

#include "cpu/access.h"
#include "cpu/dispatch.h"
#include "cpu/host_arithmetic.h"
#include "cpu/rows.h"

namespace vitrine::cpu {

template <typename Op, typename T>
void alu_register_register(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  Op::apply(a, core.get<T>(i.reg), core.flags);
  if constexpr (Op::kResult == host::Result::Written) core.set<T>(i.rm, a);
}

template <typename Op, typename T>
void alu_register_immediate(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  Op::apply(a, static_cast<T>(i.immediate), core.flags);
  if constexpr (Op::kResult == host::Result::Written) core.set<T>(i.rm, a);
}

// The RegRm encodings with two registers: the same with the roles changed.
template <typename Op, typename T>
void alu_register_register_reversed(Core& core, const Instruction& i) {
  T a = core.get<T>(i.reg);
  Op::apply(a, core.get<T>(i.rm), core.flags);
  if constexpr (Op::kResult == host::Result::Written) core.set<T>(i.reg, a);
}

template <typename Op, typename T>
bool alu_register_memory(Core& core, const Instruction& i) {
  T b;
  if (!load_operand(core, i, b)) [[unlikely]]
    return false;
  T a = core.get<T>(i.reg);
  Op::apply(a, b, core.flags);
  if constexpr (Op::kResult == host::Result::Written) core.set<T>(i.reg, a);
  return true;
}

template <typename Op, typename T>
[[gnu::always_inline]] inline bool alu_memory(Core& core, const Instruction& i, T b) {
  T a;
  if constexpr (Op::kResult == host::Result::Written) {
    Update update;
    if (!begin_update(core, i.segment, effective_offset(core, i), a, update)) [[unlikely]]
      return false;
    Op::apply(a, b, core.flags);
    finish_update(core, update, a);
  } else {
    if (!load_operand(core, i, a)) [[unlikely]]
      return false;
    Op::apply(a, b, core.flags);
  }
  return true;
}

template <typename Op, typename T>
bool alu_memory_register(Core& core, const Instruction& i) {
  return alu_memory<Op, T>(core, i, core.get<T>(i.reg));
}

template <typename Op, typename T>
bool alu_memory_immediate(Core& core, const Instruction& i) {
  return alu_memory<Op, T>(core, i, static_cast<T>(i.immediate));
}

template <typename Op>
[[nodiscard]] constexpr auto alu_rows(Operation operation) {
  return for_all_widths([operation]<typename T>() {
    using F = OperandForm;
    using L = Location;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&alu_register_register<Op, T>>(operation, {F::RmReg, L::Register, kSize}),
        plain_row<&alu_register_register_reversed<Op, T>>(operation, {F::RegRm, L::Register, kSize}),
        plain_row<&alu_register_immediate<Op, T>>(operation, {F::RmImmediate, L::Register, kSize}),
        inline_row<&alu_memory_register<Op, T>>(operation, {F::RmReg, L::Memory, kSize}),
        inline_row<&alu_register_memory<Op, T>>(operation, {F::RegRm, L::Memory, kSize}),
        inline_row<&alu_memory_immediate<Op, T>>(operation, {F::RmImmediate, L::Memory, kSize}),
    };
  });
}

template <typename Op, typename T>
void unary_register(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  Op::apply(a, core.flags);
  core.set<T>(i.rm, a);
}

template <typename Op, typename T>
bool unary_memory(Core& core, const Instruction& i) {
  T a;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), a, update)) [[unlikely]]
    return false;
  Op::apply(a, core.flags);
  finish_update(core, update, a);
  return true;
}

template <typename Op>
[[nodiscard]] constexpr auto unary_rows(Operation operation) {
  return for_all_widths([operation]<typename T>() {
    return std::array{
        plain_row<&unary_register<Op, T>>(operation, {OperandForm::Rm, Location::Register, sizeof(T)}),
        inline_row<&unary_memory<Op, T>>(operation, {OperandForm::Rm, Location::Memory, sizeof(T)}),
    };
  });
}

}  // namespace vitrine::cpu

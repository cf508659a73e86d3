// How a function of an instruction becomes something that runs, and how families of instructions say what
// they have.
//
//   block:  │ mov │ add │ cmp │ jnz │        each handler ends in a tail call of the next one's; a taken
//   branch
//              └──►──┴──►──┴──►──┘ ──►       goes on to another block or back to the dispatcher.
//
// A family is a constexpr array of InstructionRow and a function that returns it (see instruction_table.h).
// The first row that matches operation, form, location and size is taken; no row, or a feature the model
// lacks: #UD.
#pragma once

#include <cstdint>

#include "cpu/core.h"
#include "cpu/cpu_model.h"
#include "cpu/instruction.h"

// Sibling calls become jumps only when the compiler optimises (CMakeLists.txt asks for it by name) and no
// sanitizer keeps the frame alive; elsewhere handlers return after each instruction.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define VITRINE_TAIL_CALLS 0
#endif
#endif
#if !defined(VITRINE_TAIL_CALLS)
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VITRINE_TAIL_CALLS 1
#else
#define VITRINE_TAIL_CALLS 0
#endif
#endif

namespace vitrine::cpu {

enum class EncodingKind : uint8_t { Legacy, Vex };

/// How an instruction is encoded, for families that make host code from it. Lives only while it is decoded.
struct Encoding {
  uint8_t bytes[15];  ///< The whole instruction, `length` of them.
  uint8_t length;
  uint8_t map;  ///< 0: one-byte opcodes, 1: 0F, 2: 0F 38, 3: 0F 3A.
  uint8_t opcode;
  uint8_t mandatory_prefix;  ///< 0, 66h, F2h or F3h: the last that counts for opcodes of map 1–3, or
                             ///< what VEX.pp stands for.
  bool has_modrm;
  uint8_t modrm;
  EncodingKind kind;
  uint8_t vex_l, vex_w, vex_vvvv;  ///< Vex only; vvvv is the register's number, 0–7.
  uint8_t immediate_size;          ///< Bytes of immediate at the end of the instruction.
};

/// Called once, when the instruction is decoded; may set host_code, stub, operand_size, or another handler.
/// False: #UD.
using Prepare = bool (*)(Core& core, const Encoding& encoding, Instruction& instruction);

enum class Location : uint8_t { Any, Register, Memory };
enum class Flow : uint8_t { Inline, Ending };

struct InstructionRow {
  Operation operation = Operation::Invalid;
  OperandForm form = OperandForm::Any;
  Location location = Location::Any;  ///< Of the r/m operand.
  uint8_t size = 0;                   ///< Instruction::operand_size, 0: any.
  Flow flow = Flow::Inline;
  Feature feature = Feature::Count;  ///< The model must have it; Count: none.
  Handler handler = nullptr;
  Prepare prepare = nullptr;
};

// Ways out of a handler. Not inlined: they are the rare paths.

/// A fault of an inline function.
void leave_fault(Core& core, const Instruction* instruction);
/// After an ending function.
void leave_ending(Core& core, const Instruction* instruction, bool completed);
/// Before an ending function: canonical eip and eflags.
inline void enter_ending(Core& core, const Instruction* instruction) {
  core.current = instruction;
  core.restart_eip = core.state.eip + instruction->eip_offset;
  core.state.eip = core.restart_eip + instruction->length;
  core.flags_to_state();
}

/// Goes on with the next instruction of the block.
[[gnu::always_inline]] inline void next(Core& core, const Instruction* instruction) {
#if VITRINE_TAIL_CALLS
  return instruction[1].handler(core, instruction + 1);
#else
  core.current = instruction + 1;
#endif
}

template <auto Function>
void run_inline(Core& core, const Instruction* instruction) {
  core.current = instruction;
  if (!Function(core, *instruction)) [[unlikely]]
    return leave_fault(core, instruction);
  return next(core, instruction);
}

/// For `void f(Core&, const Instruction&)` that touches registers and flags only.
template <auto Function>
void run_plain(Core& core, const Instruction* instruction) {
  Function(core, *instruction);
  return next(core, instruction);
}

template <auto Function>
void run_ending(Core& core, const Instruction* instruction) {
  enter_ending(core, instruction);
  const bool completed = Function(core, *instruction);
  return leave_ending(core, instruction, completed);
}

/// What rows may restrict, in one braced list: `inline_row<mov>(Operation::Mov, {.form = OperandForm::RmReg,
/// .size = 4})`.
struct RowOptions {
  OperandForm form = OperandForm::Any;
  Location location = Location::Any;
  uint8_t size = 0;
  Feature feature = Feature::Count;
  Prepare prepare = nullptr;
};

template <auto Function>
[[nodiscard]] constexpr InstructionRow inline_row(Operation operation, RowOptions o = {}) {
  return {operation, o.form, o.location, o.size, Flow::Inline, o.feature, &run_inline<Function>, o.prepare};
}
template <auto Function>
[[nodiscard]] constexpr InstructionRow plain_row(Operation operation, RowOptions o = {}) {
  return {operation, o.form, o.location, o.size, Flow::Inline, o.feature, &run_plain<Function>, o.prepare};
}
template <auto Function>
[[nodiscard]] constexpr InstructionRow ending_row(Operation operation, RowOptions o = {}) {
  return {operation, o.form, o.location, o.size, Flow::Ending, o.feature, &run_ending<Function>, o.prepare};
}
/// A handler written by hand.
[[nodiscard]] constexpr InstructionRow handler_row(Operation operation, Handler handler, Flow flow,
                                                   RowOptions o = {}) {
  return {operation, o.form, o.location, o.size, flow, o.feature, handler, o.prepare};
}

}  // namespace vitrine::cpu

// The interpreter's own form of an instruction: decoded once (decoder.h), executed many times.
#pragma once

#include <cstdint>

#include "cpu/operation.h"
#include "x86/registers.h"

namespace vitrine::cpu {

struct Core;
struct Instruction;

/// Executes one instruction and those that follow it in its block (it ends in a tail call of the next one's
/// handler), or returns to the dispatcher after a fault, a taken branch, or anything that needs attention.
using Handler = void (*)(Core& core, const Instruction* instruction);

/// Encoding of "no register" in base and index: CpuState::gpr[8] is always zero.
inline constexpr uint8_t kNoRegister = 8;

/// Prefixes that change what an instruction does. Bits of Instruction::prefixes.
enum Prefix : uint8_t { kPrefixLock = 1, kPrefixRep = 2, kPrefixRepne = 4 };

/// Which explicit operands an instruction has, in the manual's order. "Rm" is the ModRM.rm operand (register
/// or memory) or the one register that the opcode itself names; "Reg" is ModRM.reg, or the accumulator beside
/// an Rm.
enum class OperandForm : uint8_t {
  None,
  Rm,
  RmReg,
  RegRm,
  RmImmediate,
  RegRmImmediate,
  RmRegImmediate,
  RmCl,      ///< Shifts by CL.
  RmRegCl,   ///< SHLD, SHRD by CL.
  RegVexRm,  ///< VEX: destination reg, first source vvvv, second source r/m.
  RegRmVex,  ///< VEX: destination reg, source r/m, second source vvvv.
  VexRm,     ///< VEX: destination vvvv, source r/m.
  Immediate,
  Relative,  ///< A branch; the distance is in `displacement`.
  Far,       ///< A far pointer: offset in `displacement`, selector in `immediate`.
  Any,       ///< In a row of the instruction table only: matches all.
};

struct Instruction {
  Handler handler;
  uint32_t displacement;  ///< Sign-extended. Branches: the distance from the next instruction. Far pointers:
                          ///< the offset.
  uint32_t immediate;     ///< Sign- or zero-extended as the operation takes it. Far pointers: the selector.
  uint32_t address_mask;  ///< FFFFFFFFh or FFFFh, the address size.
  Operation operation;    ///< Which operation; handlers for it are chosen by operand form.
  uint16_t eip_offset;    ///< From the start of the block to this instruction's first byte.
  uint8_t length;         ///< In bytes, 1–15.
  uint8_t operand_size;   ///< Effective: 1, 2, 4, 8, 10, 16… bytes.
  uint8_t reg;            ///< ModRM.reg, or the second register of the opcode (the accumulator).
  uint8_t rm;             ///< ModRM.rm when it names a register, or the register in the opcode.
  uint8_t base;           ///< Memory operand: x86::Gpr or kNoRegister.
  uint8_t index;          ///< Memory operand: x86::Gpr or kNoRegister.
  uint8_t scale;          ///< Shift count of the index, 0–3.
  uint8_t segment;        ///< x86::Segment of the memory operand, default and override resolved.
  uint8_t prefixes;       ///< Prefix bits.
  uint8_t immediate2;     ///< ENTER's nesting level, EXTRQ-like second immediates.
  uint8_t is_memory;      ///< Whether the r/m operand is memory.
  uint8_t stub;           ///< Reserved for the floating-point and vector family.
  OperandForm form;       ///< Which operands there are.
  uint8_t rm_size;        ///< Size of the r/m operand in bytes (MOVZX: the source's); else operand_size.
  uint8_t vex_register;   ///< VEX.vvvv.
  uint8_t links;          ///< Bit n: link n of the block leads to the same page (block_flow.h).
  const void* host_code;  ///< Floating-point and vector family: the host code that executes it, or null.
};

}  // namespace vitrine::cpu

// What is tested: every encoding that the interpreter's decoder accepts and user mode can execute, found by
// enumerating opcodes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cpu/dispatch.h"

namespace vitrine::differential {

/// An encoding: prefixes, opcode, and where ModRM belongs to the opcode its fields.
struct Form {
  std::vector<uint8_t> prefix;  ///< Operand-size and mandatory or repeat prefixes.
  std::vector<uint8_t> opcode;  ///< With escape bytes.
  bool has_modrm = false;
  uint8_t modrm_reg = 0;  ///< Meaningful where it selects the instruction (group), else a register.
  bool group = false;
  bool memory = false;
  bool vex = false;        ///< `opcode` is a three-byte VEX prefix and an opcode; VEX.vvvv is 1111…
  bool free_vvvv = false;  ///< …but may be any register.
  bool gather = false;     ///< The memory operand has a vector index.
  int modrm_rm = -1;       ///< Where the register number belongs to the opcode, else -1.
  uint8_t immediate_size = 0;
  cpu::Operation operation = cpu::Operation::Invalid;
  cpu::OperandForm operands = cpu::OperandForm::None;
  uint8_t operand_size = 0;
  uint8_t rm_size = 0;

  [[nodiscard]] std::string name() const;
};

/// Why an operation is not executed on both sides; null if it is.
[[nodiscard]] const char* reason_to_exclude(cpu::Operation operation);

class FormFinder {
 public:
  virtual ~FormFinder() = default;
  /// The interpreter's reading of 32-bit code; operation Invalid when it is #UD.
  [[nodiscard]] virtual cpu::Instruction decode(const uint8_t* bytes, unsigned size) = 0;
};

struct Forms {
  std::vector<Form> encodings;
  /// Distinct by operation, operands, location and widths: the number that counts.
  size_t distinct = 0;
  std::map<std::string, std::string> excluded;  ///< Operation and reason.
};
[[nodiscard]] Forms find_forms(FormFinder& finder);

}  // namespace vitrine::differential

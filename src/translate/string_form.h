// What a string instruction accesses: by ESI, by EDI or by both.
#pragma once

#include <cstdint>

#include "cpu/instruction.h"

namespace vitrine::translate {

struct StringForm {
  uint8_t opcode = 0;  ///< Of the byte form; 0: not a string instruction, or one that is declined.
  bool source = false, destination = false;
  bool compares = false;  ///< REPNE has a meaning of its own, and nothing is written.
};

[[nodiscard]] constexpr StringForm string_form_of(cpu::Operation operation) {
  using cpu::Operation;
  switch (operation) {
    case Operation::Movs: return {0xa4, true, true, false};
    case Operation::Cmps: return {0xa6, true, true, true};
    case Operation::Stos: return {0xaa, false, true, false};
    case Operation::Lods: return {0xac, true, false, false};
    case Operation::Scas: return {0xae, false, true, true};
    default: return {};
  }
}

}  // namespace vitrine::translate

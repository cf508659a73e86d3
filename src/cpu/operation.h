// The operations of the instruction set, as the interpreter distinguishes them: one name for each mnemonic,
// not for each encoding. The instruction table (instruction_table.h) has a row for each.
#pragma once

#include <cstdint>

namespace vitrine::cpu {

enum class Operation : uint16_t {
  Invalid,  ///< #UD.
#define VITRINE_OPERATION(name) name,
#include "cpu/operation_list.inc"
#undef VITRINE_OPERATION
  Count
};

[[nodiscard]] const char* name(Operation operation);

}  // namespace vitrine::cpu

// All instructions that exist: one row for each form of each operation, by family. The decoder looks here
// which handler executes what it has decoded; tests and translators read the same rows.
#pragma once

#include <span>

#include "cpu/dispatch.h"

namespace vitrine::cpu {

// The families. Each is a constexpr array in the .cc file that implements it.
[[nodiscard]] std::span<const InstructionRow> data_transfer_rows();
[[nodiscard]] std::span<const InstructionRow> stack_rows();
[[nodiscard]] std::span<const InstructionRow> arithmetic_rows();
[[nodiscard]] std::span<const InstructionRow> multiply_rows();
[[nodiscard]] std::span<const InstructionRow> decimal_rows();
[[nodiscard]] std::span<const InstructionRow> logic_shift_rows();
[[nodiscard]] std::span<const InstructionRow> bit_rows();
[[nodiscard]] std::span<const InstructionRow> string_rows();
[[nodiscard]] std::span<const InstructionRow> control_transfer_rows();
[[nodiscard]] std::span<const InstructionRow> io_flags_rows();
/// Everything of operation_list_system.inc.
[[nodiscard]] std::span<const InstructionRow> system_rows();
/// Everything of operation_list_x87.inc, operation_list_vector.inc and operation_list_avx.inc.
[[nodiscard]] std::span<const InstructionRow> avx_rows();
[[nodiscard]] std::span<const InstructionRow> x87_rows();
[[nodiscard]] std::span<const InstructionRow> vector_rows();

/// The row for a decoded instruction (operation, form, is_memory and operand_size are looked at), or null:
/// #UD.
[[nodiscard]] const InstructionRow* find_row(const Instruction& instruction, const CpuModel& model);
/// All rows of an operation, in order.
[[nodiscard]] std::span<const InstructionRow* const> rows_of(Operation operation);

}  // namespace vitrine::cpu

// The families' rows, sorted by operation.
#include "cpu/instruction_table.h"

#include <array>
#include <vector>

namespace vitrine::cpu {
namespace {

constexpr size_t kOperations = static_cast<size_t>(Operation::Count);

struct Index {
  std::array<std::vector<const InstructionRow*>, kOperations> rows;
};

Index make_index() {
  Index index;
  for (const auto family :
       {data_transfer_rows(), stack_rows(), arithmetic_rows(), multiply_rows(), decimal_rows(),
        logic_shift_rows(), bit_rows(), string_rows(), control_transfer_rows(), io_flags_rows(),
        system_rows(), x87_rows(), vector_rows(), avx_rows()}) {
    for (const InstructionRow& row : family) index.rows[static_cast<size_t>(row.operation)].push_back(&row);
  }
  return index;
}

const Index& index() {
  static const Index made = make_index();
  return made;
}

bool matches(const InstructionRow& row, const Instruction& i) {
  if (row.form != OperandForm::Any && row.form != i.form) return false;
  if (row.size != 0 && row.size != i.operand_size) return false;
  if (row.location == Location::Any) return true;
  return (row.location == Location::Memory) == (i.is_memory != 0);
}

}  // namespace

std::span<const InstructionRow* const> rows_of(Operation operation) {
  return index().rows[static_cast<size_t>(operation)];
}

const InstructionRow* find_row(const Instruction& instruction, const CpuModel& model) {
  for (const InstructionRow* row : rows_of(instruction.operation)) {
    if (!matches(*row, instruction)) continue;
    if (row->feature != Feature::Count && !model.has(row->feature)) continue;
    return row;
  }
  return nullptr;
}

}  // namespace vitrine::cpu

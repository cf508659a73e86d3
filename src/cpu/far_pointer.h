// A far pointer in memory: offset, then selector. SDM Vol. 1, "Pointer Data Types".
#pragma once

#include "cpu/access.h"

namespace vitrine::cpu {

/// The memory operand m16:16 or m16:32, by the operand size.
[[nodiscard]] inline bool load_pointer_operand(Core& core, const Instruction& i, LogicalAddress& pointer) {
  const uint32_t where = effective_offset(core, i);
  if (i.operand_size == 4) {
    if (!load(core, i.segment, where, pointer.offset)) return false;
    return load(core, i.segment, (where + 4) & i.address_mask, pointer.segment);
  }
  uint16_t offset = 0;
  if (!load(core, i.segment, where, offset)) return false;
  pointer.offset = offset;
  return load(core, i.segment, (where + 2) & i.address_mask, pointer.segment);
}

}  // namespace vitrine::cpu

// The host code of vector stubs: one for each row of vector_forms.h, register or memory form, immediate and
// MMX registers.
#pragma once

#include "cpu/host_code.h"
#include "cpu/vector_forms.h"

namespace vitrine::cpu {

/// What distinguishes stubs of the same row.
struct VectorStubVariant {
  bool memory = false;
  uint8_t immediate = 0;
  uint8_t reg = 0;  ///< The MMX register's number; else 0.
  uint8_t rm = 0;
};

/// Registers at entry: rdi the r/m operand's bytes, rsi the register operand's, rdx the guest's MXCSR, rcx
/// its general registers, r8 its XMM0. Returns the arithmetic flags (arithmetic_flags.h) where the row sets
/// them. Nothing is stored before the instruction itself has completed.
[[nodiscard]] StubBytes build_vector_stub(const VectorForm& form, const VectorStubVariant& variant);
[[nodiscard]] uint64_t vector_stub_key(const VectorForm& form, const VectorStubVariant& variant);

}  // namespace vitrine::cpu

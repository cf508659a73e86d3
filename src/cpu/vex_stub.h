// The host code of AVX stubs: one for each row of vex_forms.h, register or memory form, length and immediate.
#pragma once

#include "cpu/host_code.h"
#include "cpu/vex_forms.h"

namespace vitrine::cpu {

/// What distinguishes stubs of the same row.
struct VexStubVariant {
  bool memory = false;
  uint8_t length = 0;  ///< VEX.L
  uint8_t immediate = 0;
};

/// Registers at entry: rdi the r/m operand's bytes, rsi the register operand's, rdx the guest's MXCSR; rcx
/// those of vvvv and r8 those of the register in the immediate, or for string comparisons the general
/// registers and XMM0. YMM registers lie as FloatingPointState has them, the upper half kYmmHighDistance
/// behind the lower. Returns the arithmetic flags where the row sets them. Nothing is stored before the
/// instruction itself has completed.
[[nodiscard]] StubBytes build_vex_stub(const VexForm& form, const VexStubVariant& variant);
[[nodiscard]] uint64_t vex_stub_key(const VexForm& form, const VexStubVariant& variant);

inline constexpr uint8_t kYmmHighDistance = 128;

}  // namespace vitrine::cpu

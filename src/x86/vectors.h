// Exception vectors. SDM Vol. 3A, "Exception and Interrupt Vectors".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

enum class Vector : uint8_t {
  DivideError = 0,
  Debug = 1,
  Nmi = 2,
  Breakpoint = 3,
  Overflow = 4,
  BoundRange = 5,
  InvalidOpcode = 6,
  DeviceNotAvailable = 7,
  DoubleFault = 8,
  CoprocessorSegmentOverrun = 9,
  InvalidTss = 10,
  SegmentNotPresent = 11,
  StackFault = 12,
  GeneralProtection = 13,
  PageFault = 14,
  X87FloatingPoint = 16,
  AlignmentCheck = 17,
  MachineCheck = 18,
  SimdFloatingPoint = 19,
};

/// Whether the processor pushes an error code for this exception.
/// SDM Vol. 3A, table "Protected-Mode Exceptions and Interrupts".
[[nodiscard]] constexpr bool pushes_error_code(Vector vector) {
  switch (vector) {
    case Vector::DoubleFault:
    case Vector::InvalidTss:
    case Vector::SegmentNotPresent:
    case Vector::StackFault:
    case Vector::GeneralProtection:
    case Vector::PageFault:
    case Vector::AlignmentCheck: return true;
    default: return false;
  }
}

}  // namespace vitrine::x86

// A fault is the guest's own: an exception that the processor would deliver through the guest's IDT.
#pragma once

#include <cstdint>

#include "x86/vectors.h"

namespace vitrine::cpu {

struct Fault {
  x86::Vector vector = x86::Vector::GeneralProtection;
  uint32_t error_code = 0;  ///< Meaningful where x86::pushes_error_code(vector).
  uint32_t address = 0;     ///< Page faults: the virtual address, for CR2.
};

}  // namespace vitrine::cpu

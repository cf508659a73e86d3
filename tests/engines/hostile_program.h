// Guest code that wants out: arbitrary bytes, and bytes that mean most trouble where 32-bit code is
// translated to 64-bit code. What a fuzzer's input decides; the same input is the same program.
#pragma once

#include "engines/engine_machine.h"
#include "fuzz/fuzz_input.h"

namespace vitrine::engines {

[[nodiscard]] Program hostile_program(fuzz::FuzzInput& input);

/// Whether a run may be compared with the interpreter's: it reads no clock and no random numbers, and leaves
/// nothing behind that differs from processor to processor.
[[nodiscard]] bool comparable(const Program& program);

}  // namespace vitrine::engines

// What has to agree between the host and the interpreter, and how a difference is told.
#pragma once

#include <string>

#include "differential/forms.h"
#include "differential/test_case.h"

namespace vitrine::differential {

/// Arithmetic flags that the manual leaves undefined after an instruction, and in which the interpreter
/// differs from this host.
[[nodiscard]] uint32_t undefined_flags(cpu::Operation operation);

/// Empty when the outcomes agree; else one line for each difference.
[[nodiscard]] std::string difference(const TestCase& test, const Outcome& host, const Outcome& ours,
                                     cpu::Operation operation, uint32_t ignored_flags);

/// The bytes and the state before, as far as it may matter.
[[nodiscard]] std::string describe(const TestCase& test);

}  // namespace vitrine::differential

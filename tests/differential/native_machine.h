// Executes cases on the host's processor: genuine 32-bit code in compatibility mode, one single step each.
//
// A 64-bit process may run 32-bit code: it only needs CS = 23h, Linux's own 32-bit user code segment. State
// goes in and comes out through signal frames: the SIGTRAP of one case's single step loads the next case and
// returns into it.
#pragma once

#include <span>
#include <string>

#include "differential/test_case.h"

namespace vitrine::differential {

class NativeMachine {
 public:
  /// Maps the areas and tries one instruction. Empty: it works. Else the reason why this host cannot.
  [[nodiscard]] static std::string prepare();

  /// `data` is the data area's content before each case.
  static void run(std::span<const TestCase> cases, std::span<Outcome> outcomes,
                  std::span<const uint8_t> data);
};

}  // namespace vitrine::differential

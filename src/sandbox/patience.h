// Waiting for a word of another process that may never come, without blaming it for what the host does: who
// was stopped (SIGSTOP, a paused virtual machine) or got no processor has not waited meanwhile.
#pragma once

#include <chrono>

namespace vitrine::sandbox {

class Patience {
 public:
  /// In whole looks of kLook each, at least one.
  explicit Patience(std::chrono::milliseconds most);

  /// Until the other end of a socket or pipe is closed; what comes in meanwhile wakes nobody, and can be read
  /// then. False, errno says why: ETIMEDOUT when the patience of all calls together is used up.
  [[nodiscard]] bool wait_for_end_of(int descriptor);

  /// A look that ends without an event counts as so much, however long it took by the clock.
  static constexpr std::chrono::milliseconds kLook{100};

 private:
  long looks_left_;
};

}  // namespace vitrine::sandbox

// Starts a program under a policy, watches over it, and says how it ended.
//
//   auto policy = Policy::compute_only().read("/usr/share/dict").limit({.wall_time = 2s});
//   auto child = TRY(Child::spawn(policy, {.arguments = {"./solve"}, .descriptors = {{0, in}, {1, out}}}));
//   Outcome outcome = TRY(child.wait());
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "sandbox/cgroup.h"
#include "sandbox/host_features.h"
#include "sandbox/outcome.h"
#include "sandbox/policy.h"

namespace vitrine::sandbox {

struct SpawnRequest {
  /// The program (a path, or a name that is looked for in PATH of `environment`) and its arguments.
  std::vector<std::string> arguments;
  /// "NAME=VALUE"; nothing is inherited.
  std::vector<std::string> environment = {};
  /// Number in the program, descriptor of ours. Everything else is closed in it; numbers 0 to 2 that are not
  /// listed are /dev/null. Ours stay ours.
  std::vector<std::pair<int, int>> descriptors = {};
  /// Numbers whose output passes through the supervisor and is counted against Limits::output.
  std::vector<int> counted = {};
  std::string working_directory = "/";  ///< Kept if it lies beneath a grant.
  /// Mechanisms not to be used, as if the host did not have them: for tests.
  std::vector<Mechanism> without = {};
};

/// What spawn() would do: every path with its reason, every guarantee with what it rests on.
struct Explanation {
  std::string program;
  std::vector<PathGrant> grants;
  std::vector<Assurance> assurances;
};

/// A running box. When it goes, every process in it is killed first.
class Child {
 public:
  /// Errors: the program cannot be found or executed, or a guarantee that the policy wants cannot be had
  /// here. Works with any number of other threads running.
  [[nodiscard]] static Result<Child> spawn(const Policy& policy, const SpawnRequest& request);
  [[nodiscard]] static Result<Explanation> explain(const Policy& policy, const SpawnRequest& request);

  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Watches until the program and everything that it started has ended: answers denied calls, holds the
  /// limits, passes counted output on. Denied calls and counted output wait until somebody is here. To be
  /// called once. `end`: when this descriptor can be read, the box is ended; -1: none.
  [[nodiscard]] Result<Outcome> wait(int end = -1);
  /// Ends it from another thread, or before wait().
  void kill();
  /// Of the first process, in our own namespace: for inspection. It ends when the box does.
  [[nodiscard]] pid_t pid() const;

 private:
  struct State;
  explicit Child(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  friend class Supervisor;
  friend class Launch;
};

}  // namespace vitrine::sandbox

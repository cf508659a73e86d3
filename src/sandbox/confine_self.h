// What a process can do to itself before it touches what it does not trust: for good, for all of its threads.
// Child does it to another program; here the program has been started, and knows by itself when it has opened
// what it needs.
//
//   SelfConfinement confinement;
//   confinement.leave_namespaces();                    first, while there is one thread
//   TRY(confinement.give_up_privileges());
//   TRY(confinement.give_up_files());
//   TRY(confinement.keep_descriptors({…}, 8));
//   …                                                  what needs more calls than the rest
//   TRY(confinement.install(SelfFilter(rules, OtherCalls::Kill)));   all threads: an Error if one is left out
//
// Steps that the host does not offer are left out and noted, but for privileges and filters: without these
// there is an Error. See docs/machine-process.md.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "sandbox/filter_code.h"
#include "sandbox/host_features.h"

namespace vitrine::sandbox {

/// What happens to a call without a rule, and to all by another entry of the kernel (int 0x80, x32).
enum class OtherCalls : uint8_t {
  /// ENOSYS. Of several filters that deny a call the others decide.
  Fail,
  /// The process is killed by SIGSYS.
  Kill,
  /// It waits, and whoever holds the listener is told (denied_call.h) and kills. Where the host has no
  /// listeners, Kill.
  Tell,
};

/// What is left. A rule's action is SECCOMP_RET_ALLOW, or SECCOMP_RET_ERRNO with an error for calls that are
/// tried and done without.
class SelfFilter {
 public:
  SelfFilter(const std::vector<FilterRule>& rules, OtherCalls others);

 private:
  friend class SelfConfinement;
  std::vector<sock_filter> code_;
  std::vector<sock_filter> telling_code_;  // Empty, or tried first.
};

/// A step, and what has become of it.
struct Measure {
  Mechanism mechanism{};
  bool taken = false;
  std::string detail;  ///< Not taken: why.
};

class SelfConfinement {
 public:
  /// Treats these mechanisms as absent: for tests.
  explicit SelfConfinement(std::vector<Mechanism> without = {}) : without_(std::move(without)) {}

  /// Namespaces of its own for everything, of which the mount namespace's root is an empty directory,
  /// read-only. For a process with one thread. That of processes is for children that are made from then on.
  void leave_namespaces();
  /// No capability and no way to any; not to be traced or looked into by others of the same user; memory that
  /// is only readable is not executable.
  [[nodiscard]] Result<void> give_up_privileges();
  /// Landlock without any rule: no file, TCP port, abstract socket or signal to others. Threads that are made
  /// later have it, too. Error: the kernel has Landlock and refuses.
  [[nodiscard]] Result<void> give_up_files();
  /// Memory cannot become executable after it has been writable, where the kernel has PR_SET_MDWE.
  void deny_write_execute();
  /// Ends when the thread that made this process does. After the steps above, which forget it; and that one
  /// may be gone by then.
  static void end_with_parent();
  /// Closes all but these, and allows `more` above the largest of them.
  [[nodiscard]] Result<void> keep_descriptors(std::vector<int> kept, unsigned more) const;
  /// For all threads. Valid, with OtherCalls::Tell: the listener. Error: also if a thread has a filter of its
  /// own that this one does not know; then nothing has changed.
  [[nodiscard]] Result<Descriptor> install(const SelfFilter& filter);

  [[nodiscard]] const std::vector<Measure>& measures() const { return measures_; }
  /// Whether a step has been taken.
  [[nodiscard]] bool took(Mechanism mechanism) const;

 private:
  [[nodiscard]] bool without(Mechanism mechanism) const;
  void note(Mechanism mechanism, bool taken, std::string detail = {});
  void note_errno(Mechanism mechanism, bool taken);

  std::vector<Mechanism> without_;
  std::vector<Measure> measures_;
};

}  // namespace vitrine::sandbox

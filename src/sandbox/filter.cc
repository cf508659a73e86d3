#include "sandbox/filter.h"

#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <utility>

namespace vitrine::sandbox {
namespace {

/// Stands for the process's number until it is known. No descriptor, size or flag of the table is this
/// number.
constexpr uint32_t kOwnProcess = 0x7ab1de5f;

class RuleMaker {
 public:
  explicit RuleMaker(const FilterSpec& spec) : spec_(spec) {}

  std::vector<FilterRule> make() && {
    rules_.reserve(call_table().size() + 16);
    for (const CallRow& row : call_table()) {
      if (!held(row.right) || row.number == SYS_mmap || (spec_.tell_paths && is_told(row))) continue;
      rules_.push_back({row.number, SECCOMP_RET_ALLOW, row.conditions});
    }
    memory();
    signals();
    first_program();
    if (spec_.denied == DeniedCall::Fail) failures();
    return std::move(rules_);
  }

 private:
  [[nodiscard]] bool held(Right right) const { return (spec_.rights & right_bit(right)) != 0; }

  void allow(int number, std::array<Condition, 2> conditions = {}) {
    rules_.push_back({number, SECCOMP_RET_ALLOW, conditions});
  }

  void memory() {
    if (held(Right::ExecutableMemory)) return allow_sized({});
    // Not executable; or, for the loader, executable and from a file and not writable at once.
    allow_sized({Test::MaskedEqual, 2, PROT_EXEC, 0});
    if (!held(Right::MapFiles)) return;
    allow(SYS_mmap, {Condition{Test::MaskedEqual, 2, PROT_WRITE | PROT_EXEC, PROT_EXEC},
                     Condition{Test::MaskedEqual, 3, MAP_ANONYMOUS, 0}});
  }

  /// With a largest mapping: writable memory up to it. What cannot be written only reserves addresses.
  void allow_sized(const Condition& plain) {
    if (!spec_.largest_mapping) {
      allow(SYS_mmap, {plain});
      allow(SYS_mremap);
      return;
    }
    allow(SYS_mmap, {plain, Condition{Test::NotAbove, 1, 0, *spec_.largest_mapping}});
    allow(SYS_mmap, {Condition{Test::MaskedEqual, 2, PROT_WRITE | plain.mask, 0}});
    allow(SYS_mremap, {Condition{Test::NotAbove, 2, 0, *spec_.largest_mapping}});
  }

  void signals() {
    if (held(Right::SignalOthers)) return;
    for (const int number : {SYS_kill, SYS_tgkill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo}) {
      // Linux looks at the low half of a pid_t.
      allow(number, {Condition{Test::MaskedEqual, 0, 0xffffffff, kOwnProcess}});
    }
  }

  void first_program() {
    if (!spec_.program_descriptor || held(Right::Programs)) return;
    allow(SYS_execveat, {Condition{Test::Equal, 0, 0, static_cast<uint64_t>(*spec_.program_descriptor)}});
  }

  /// Without a supervisor to answer: the calls that must fail with ENOSYS, not EPERM.
  void failures() {
    for (const int number : {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
      rules_.push_back({number, SECCOMP_RET_ERRNO | ENOSYS});
    }
  }

  const FilterSpec& spec_;
  std::vector<FilterRule> rules_;
};

uint32_t default_action(DeniedCall denied) {
  switch (denied) {
    case DeniedCall::Notify: return SECCOMP_RET_USER_NOTIF;
    case DeniedCall::Fail: return SECCOMP_RET_ERRNO | EPERM;
    case DeniedCall::Kill: return SECCOMP_RET_KILL_PROCESS;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

}  // namespace

std::vector<FilterRule> filter_rules(const FilterSpec& spec) {
  return RuleMaker(spec).make();
}

FilterActions filter_actions(DeniedCall denied) {
  // Another way into the kernel (int 0x80, x32): reported if somebody listens, never let through.
  return {default_action(denied),
          denied == DeniedCall::Notify ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_KILL_PROCESS};
}

Filter Filter::make(const FilterSpec& spec) {
  Filter filter;
  filter.code_ = make_filter_code(filter_rules(spec), filter_actions(spec.denied));
  return filter;
}

void Filter::set_process(std::span<sock_filter> code, uint32_t pid) {
  for (sock_filter& instruction : code) {
    if (BPF_CLASS(instruction.code) == BPF_JMP && instruction.k == kOwnProcess) instruction.k = pid;
  }
}

}  // namespace vitrine::sandbox

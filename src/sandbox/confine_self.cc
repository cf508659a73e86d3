#include "sandbox/confine_self.h"

#include <fmt/format.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "sandbox/kernel_calls.h"
#include "sandbox/landlock.h"
#include "sandbox/mechanism_probes.h"
#include "sandbox/mount_steps.h"
#include "sandbox/privileges.h"
#include "sandbox/user_namespace.h"

namespace vitrine::sandbox {
namespace {

// Linux, include/uapi/linux/seccomp.h: of 5.7, newer than Debian 12's oldest headers.
constexpr unsigned kSynchronisedError = 1U << 4;  // SECCOMP_FILTER_FLAG_TSYNC_ESRCH

struct Namespace {
  Mechanism mechanism;
  int flag;
};
constexpr Namespace kNamespaces[] = {
    {Mechanism::MountNamespace, CLONE_NEWNS},    {Mechanism::PidNamespace, CLONE_NEWPID},
    {Mechanism::NetworkNamespace, CLONE_NEWNET}, {Mechanism::IpcNamespace, CLONE_NEWIPC},
    {Mechanism::UtsNamespace, CLONE_NEWUTS},     {Mechanism::CgroupNamespace, CLONE_NEWCGROUP},
};

std::vector<sock_filter> make_code(const std::vector<FilterRule>& rules, OtherCalls others) {
  // Without a tracer, which could only be somebody who may do anything to us, SECCOMP_RET_TRACE is ENOSYS;
  // and the weakest of answers (seccomp(2)), so that a second filter can tell of the call.
  const uint32_t action = others == OtherCalls::Fail   ? SECCOMP_RET_TRACE
                          : others == OtherCalls::Kill ? SECCOMP_RET_KILL_PROCESS
                                                       : SECCOMP_RET_USER_NOTIF;
  return make_filter_code(rules, {.otherwise = action, .other_entry = action});
}

int install_code(const std::vector<sock_filter>& code, unsigned flags) {
  const sock_fprog program{static_cast<unsigned short>(code.size()), const_cast<sock_filter*>(code.data())};
  // Speculation stays as it is: docs/machine-process.md, "Speculation".
  const auto with = [&](unsigned more) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | more, &program));
  };
  const int result = with(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  return result < 0 && errno == EINVAL ? with(0) : result;
}

Error filter_refused(int reason) {
  return Error{
      "cannot install a system-call filter", "", reason,
      "the kernel needs CONFIG_SECCOMP_FILTER, and what is around this process must allow seccomp(2)"};
}

}  // namespace

SelfFilter::SelfFilter(const std::vector<FilterRule>& rules, OtherCalls others) {
  const bool tells = others == OtherCalls::Tell;
  code_ = make_code(rules, tells ? OtherCalls::Kill : others);
  if (tells) telling_code_ = make_code(rules, others);
}

bool SelfConfinement::took(Mechanism mechanism) const {
  return std::ranges::any_of(
      measures_, [&](const Measure& measure) { return measure.mechanism == mechanism && measure.taken; });
}

bool SelfConfinement::without(Mechanism mechanism) const {
  return std::ranges::find(without_, mechanism) != without_.end();
}

void SelfConfinement::note(Mechanism mechanism, bool taken, std::string detail) {
  measures_.push_back({mechanism, taken, std::move(detail)});
}

void SelfConfinement::note_errno(Mechanism mechanism, bool taken) {
  note(mechanism, taken, taken ? "" : std::strerror(errno));
}

void SelfConfinement::leave_namespaces() {
  const unsigned user = ::geteuid(), group = ::getegid();
  if (!without(Mechanism::UserNamespace)) {
    const bool made = ::unshare(CLONE_NEWUSER) == 0;
    note_errno(Mechanism::UserNamespace, made);
    // Without maps mounting may fail, and says so then.
    if (made) (void)write_id_maps(::getpid(), user, user, group, group);
  }
  for (const Namespace& each : kNamespaces) {
    if (without(each.mechanism)) continue;
    bool made = ::unshare(each.flag) == 0;
    if (made && each.mechanism == Mechanism::MountNamespace) {
      MountFailure failure = enter_new_root({}, -1, 0);
      if (failure.error == 0) failure = leave_old_root();
      errno = failure.error;
      made = failure.error == 0;
    }
    note_errno(each.mechanism, made);
  }
}

Result<void> SelfConfinement::give_up_privileges() {
  drop_bounding_set();
  if (!drop_capabilities()) return std::unexpected(error_from_errno("cannot give up capabilities", ""));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return std::unexpected(error_from_errno("cannot set no_new_privs", "", "Linux 3.5 has it"));
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return std::unexpected(error_from_errno("cannot forbid looking into this process", ""));
  constexpr rlimit kNone{0, 0};
  if (::setrlimit(RLIMIT_CORE, &kNone) != 0)
    return std::unexpected(error_from_errno("cannot forbid core files", ""));
  const int present = ::personality(0xffffffff);
  if (present >= 0 && (present & READ_IMPLIES_EXEC) != 0)
    ::personality(static_cast<unsigned long>(present & ~READ_IMPLIES_EXEC));
  note(Mechanism::NoNewPrivileges, true);
  return {};
}

Result<void> SelfConfinement::give_up_files() {
  if (without(Mechanism::Landlock)) return {};
  const ProbeOutcome found = probe_landlock();
  if (found.error != 0) {
    note(Mechanism::Landlock, false, std::strerror(found.error));
    return {};
  }
  const LandlockRuleset ruleset = TRY(LandlockRuleset::create(found.level, false));
  if (landlock_restrict_self(ruleset.get()) != 0)
    return std::unexpected(error_from_errno("cannot restrict this process by", "Landlock"));
  note(Mechanism::Landlock, true, fmt::format("ABI {}", found.level));
  return {};
}

void SelfConfinement::deny_write_execute() {
  if (without(Mechanism::DenyWriteExecute)) return;
  note_errno(Mechanism::DenyWriteExecute, ::prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) == 0);
}

void SelfConfinement::end_with_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

Result<void> SelfConfinement::keep_descriptors(std::vector<int> kept, unsigned more) const {
  std::ranges::sort(kept);
  if (!close_others(kept.data(), kept.size())) {
    if (errno != ENOSYS) return std::unexpected(error_from_errno("cannot close", "other descriptors"));
    // Before Linux 5.9, one by one.
    const long last = ::sysconf(_SC_OPEN_MAX);
    for (int number = 0; number < last; ++number) {
      if (!std::ranges::binary_search(kept, number)) ::close(number);
    }
  }
  const rlim_t wanted = static_cast<rlim_t>(kept.empty() ? 0 : kept.back() + 1) + more;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_max = std::min(limit.rlim_max, wanted);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return std::unexpected(error_from_errno("cannot limit", "the number of descriptors"));
  return {};
}

Result<Descriptor> SelfConfinement::install(const SelfFilter& filter) {
  if (!filter.telling_code_.empty() && !without(Mechanism::SeccompNotification)) {
    const int listener = install_code(filter.telling_code_, SECCOMP_FILTER_FLAG_TSYNC | kSynchronisedError |
                                                                SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener >= 0) return Descriptor(listener);
  }
  const int result = install_code(filter.code_, SECCOMP_FILTER_FLAG_TSYNC);
  if (result == 0) return Descriptor();
  if (result < 0) return std::unexpected(filter_refused(errno));
  // seccomp(2): with SECCOMP_FILTER_FLAG_TSYNC the number of a thread that could not be given the filter.
  return std::unexpected(Error{"cannot put all threads under a system-call filter", "", 0,
                               fmt::format("thread {} has one of its own", result)});
}

}  // namespace vitrine::sandbox

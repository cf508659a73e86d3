#include "sandbox/guarantee.h"

#include <fmt/format.h>

#include <initializer_list>
#include <iterator>

#include "sandbox/policy.h"

namespace vitrine::sandbox {
namespace {

using enum Mechanism;

struct Row {
  Guarantee guarantee;
  std::string_view name;
  std::string_view meaning;
};

constexpr Row kRows[] = {
    {Guarantee::SystemCalls, "system-calls", "only listed system calls, by the 64-bit entry"},
    {Guarantee::Privileges, "privileges", "no capability, and no way to gain one"},
    {Guarantee::Files, "files", "no file but those granted"},
    {Guarantee::Network, "network", "no peer but itself"},
    {Guarantee::LocalSockets, "local-sockets", "reaches no socket of the host's"},
    {Guarantee::Processes, "processes", "signals, traces and inspects its own processes only"},
    {Guarantee::NoSurvivors, "no-survivors", "nothing is left when it or its supervisor ends"},
    {Guarantee::SharedObjects, "shared-objects", "no System V or POSIX object, no keyring of the host's"},
    {Guarantee::Code, "code", "executes only files that were granted for it"},
    {Guarantee::Terminal, "terminal", "cannot type into a terminal"},
    {Guarantee::Descriptors, "descriptors", "holds those that it was given and no other"},
    {Guarantee::ProcessorTime, "cpu-time", "ends soon after its limit of processor time"},
    {Guarantee::WallTime, "wall-time", "ends soon after its limit of time by the clock"},
    {Guarantee::Memory, "memory", "uses no more memory than its limit"},
    {Guarantee::ProcessCount, "process-count", "has no more processes and threads than its limit"},
    {Guarantee::Output, "output", "writes no more than its limit"},
    {Guarantee::ViolationReports, "violation-reports", "a denied call is reported with its arguments"},
};
static_assert(std::size(kRows) == kGuaranteeCount);

/// Judges one guarantee after the other with the same policy and features at hand.
class Assessment {
 public:
  Assessment(const Policy& policy, const HostFeatures& features) : policy_(policy), features_(features) {}

  std::vector<Assurance> all() {
    system_calls();
    files();
    network();
    processes();
    code();
    limits();
    return std::move(assurances_);
  }

 private:
  [[nodiscard]] bool has(Mechanism mechanism) const { return features_.has(mechanism); }
  [[nodiscard]] bool landlock(int abi) const { return features_.landlock_abi() >= abi; }

  /// `rests_on`: those of them that are there are named.
  void add(Guarantee guarantee, bool held, bool wanted, std::initializer_list<Mechanism> rests_on,
           std::string note = {}) {
    const bool required = (wanted && !policy_.may_lack(guarantee)) || policy_.requires_guarantee(guarantee);
    Assurance assurance{guarantee, held, required, {}, std::move(note)};
    for (const Mechanism mechanism : rests_on) {
      if (held && has(mechanism)) assurance.rests_on.push_back(mechanism);
    }
    if (!held && assurance.note.empty()) {
      for (const Mechanism mechanism : rests_on) {
        assurance.note += fmt::format("{}{}: {}", assurance.note.empty() ? "" : "; ",
                                      mechanism_name(mechanism), features_[mechanism].detail);
      }
    }
    assurances_.push_back(std::move(assurance));
  }

  void system_calls() {
    add(Guarantee::SystemCalls, has(SeccompFilter), true, {SeccompFilter});
    add(Guarantee::Privileges, has(NoNewPrivileges), true, {NoNewPrivileges, OtherUser, UserNamespace},
        has(OtherUser) || has(UserNamespace) ? "" : "as the user who starts it");
  }

  void files() {
    std::string note;
    if (!has(MountNamespace) && has(Landlock)) {
      note = "other paths can be told apart (stat), but not opened";
      if (!landlock(3))
        note += "; before Landlock ABI 3 files that may be read can be truncated by their owner";
    }
    add(Guarantee::Files, has(MountNamespace) || has(Landlock), true, {MountNamespace, Landlock}, note);
  }

  void network() {
    // Without a network namespace the filter still lets nobody make a socket; loopback needs the namespace.
    const bool no_sockets = has(SeccompFilter) && !policy_.may_use_loopback();
    const bool held = has(NetworkNamespace) || no_sockets;
    add(Guarantee::Network, held, true, {NetworkNamespace, SeccompFilter},
        held ? "" : "only a network namespace keeps a loopback interface apart from the host's");
    add(Guarantee::LocalSockets, held, true, {NetworkNamespace, SeccompFilter, Landlock});
  }

  void processes() {
    const bool others_hidden = has(PidNamespace) || has(OtherUser) || landlock(6) || has(SeccompFilter);
    std::string note;
    if (!has(PidNamespace)) {
      note = has(OtherUser) ? "another user's processes cannot be signalled"
             : landlock(6)  ? "signals stay inside the Landlock domain"
                            : "a process can signal the first process of the box only";
    }
    add(Guarantee::Processes, others_hidden, true, {PidNamespace, OtherUser, Landlock, SeccompFilter}, note);
    const bool ended =
        has(PidNamespace) || has(CgroupKill) || policy_.limits().processes == 1 || has(Subreaper);
    add(Guarantee::NoSurvivors, ended, true, {PidNamespace, CgroupKill, Subreaper, ParentDeathSignal},
        has(PidNamespace) || policy_.limits().processes == 1
            ? ""
            : "one process group, which nobody can leave, is killed");
    add(Guarantee::SharedObjects, has(SeccompFilter) || has(IpcNamespace), true,
        {SeccompFilter, IpcNamespace, SessionKeyring});
  }

  void code() {
    // A file that it may write could be mapped executable; only a mount can forbid that.
    const bool writes = policy_.temporary_bytes() || [&] {
      for (const PathGrant& grant : policy_.paths()) {
        if (grant.rights == PathRights::ReadWrite) return true;
      }
      return false;
    }();
    const bool free = policy_.may_map_executable() || policy_.may_start_programs();
    const bool held = has(SeccompFilter) && (!writes || has(MountNamespace));
    // Not wanted unless required: writing files on a host without mount namespaces is worth having.
    add(Guarantee::Code, held && !free, false, {SeccompFilter, MountNamespace, DenyWriteExecute, Landlock},
        free    ? "the policy allows other code"
        : !held ? "a file that it may write can be mapped executable where there is no mount namespace"
                : "");
    add(Guarantee::Terminal, has(SeccompFilter), true, {SeccompFilter, TerminalInjectionOff});
    add(Guarantee::Descriptors, has(CloseRange), true, {CloseRange});
  }

  void limits() {
    const Limits& wanted = policy_.limits();
    const auto unlimited = [](bool limited) { return std::string(limited ? "" : "no limit was asked for"); };
    add(Guarantee::ProcessorTime, wanted.processor_time.has_value(), false, {CgroupKill, ResourceLimits},
        wanted.processor_time && !has(CgroupKill) && wanted.processes > 1
            ? "measured by the supervisor; children whose end nobody waits for count while they run"
            : unlimited(wanted.processor_time.has_value()));
    add(Guarantee::WallTime, wanted.wall_time.has_value(), false, {PidDescriptor},
        unlimited(wanted.wall_time.has_value()));
    add(Guarantee::Memory, wanted.memory.has_value(), false, {CgroupMemory, ResourceLimits},
        !wanted.memory      ? unlimited(false)
        : has(CgroupMemory) ? ""
                            : "each process by the kernel, all together by the supervisor's samples");
    const bool own_count = has(CgroupProcesses) || has(OtherUser) || has(UserNamespace);
    add(Guarantee::ProcessCount,
        wanted.processes == 1 ? has(SeccompFilter) : own_count || has(ResourceLimits), true,
        {SeccompFilter, CgroupProcesses, ResourceLimits},
        wanted.processes == 1 || own_count ? "" : "the user's other processes are counted, too");
    add(Guarantee::Output, wanted.output.has_value(), false, {ResourceLimits},
        unlimited(wanted.output.has_value()));
    add(Guarantee::ViolationReports, has(SeccompNotification), false, {SeccompNotification});
  }

  const Policy& policy_;
  const HostFeatures& features_;
  std::vector<Assurance> assurances_;
};

}  // namespace

std::string_view guarantee_name(Guarantee guarantee) {
  return kRows[static_cast<size_t>(guarantee)].name;
}

std::string_view guarantee_meaning(Guarantee guarantee) {
  return kRows[static_cast<size_t>(guarantee)].meaning;
}

std::optional<Guarantee> guarantee_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.guarantee;
  }
  return std::nullopt;
}

std::vector<Assurance> assess(const Policy& policy, const HostFeatures& features) {
  return Assessment(policy, features).all();
}

Result<void> require_all(const std::vector<Assurance>& assurances) {
  for (const Assurance& assurance : assurances) {
    if (!assurance.wanted || assurance.held) continue;
    return std::unexpected(Error{"this host cannot give the guarantee",
                                 std::string(guarantee_name(assurance.guarantee)), 0, assurance.note});
  }
  return {};
}

}  // namespace vitrine::sandbox

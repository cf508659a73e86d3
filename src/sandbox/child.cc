#include "sandbox/child.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sandbox/child_state.h"
#include "sandbox/kernel_calls.h"
#include "sandbox/launch.h"
#include "sandbox/supervisor.h"

namespace vitrine::sandbox {
namespace {

constexpr Mechanism kNamespaces[] = {Mechanism::UserNamespace,   Mechanism::MountNamespace,
                                     Mechanism::PidNamespace,    Mechanism::NetworkNamespace,
                                     Mechanism::IpcNamespace,    Mechanism::UtsNamespace,
                                     Mechanism::CgroupNamespace, Mechanism::TimeNamespace};

}  // namespace

Child::State::~State() {
  end();
}

void Child::State::end() {
  if (pid < 0 || reaped) return;
  lifeline.reset();
  cgroup.kill();
  // In a namespace this ends all of them. Without, the first process ends the others when the lifeline is
  // gone, and must not be killed before it has.
  if (own_processes) (void)pidfd_send_signal(pidfd.get(), SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  reaped = true;
}

Child::Child(std::unique_ptr<State> state) : state_(std::move(state)) {}
Child::Child(Child&&) noexcept = default;
Child& Child::operator=(Child&&) noexcept = default;
Child::~Child() = default;

Result<Child> Child::spawn(const Policy& policy, const SpawnRequest& request) {
  // Everything is taken as there; doing it is the trial. What fails is struck off and the rest is tried
  // again, as long as the guarantees that the policy wants are held without it.
  HostFeatures features = HostFeatures::assume();
  bool probed = false, cgroups_probed = false;
  for (size_t attempt = 0; attempt <= kMechanismCount; ++attempt) {
    Launch launch(policy, request, features);
    auto state = launch.start();
    if (state) return Child(*std::move(state));
    if (launch.namespaces_refused() && !probed) {
      const HostFeatures real = HostFeatures::probe();
      for (const Mechanism mechanism : kNamespaces) {
        if (!real.has(mechanism)) features.remove(mechanism, real[mechanism].detail);
      }
      probed = true;
      continue;
    }
    if (launch.cgroups_refused() && !cgroups_probed) {
      features.probe_cgroups();
      cgroups_probed = true;
      continue;
    }
    const auto missing = launch.missing_mechanism();
    if (!missing || !features.has(*missing)) return std::unexpected(state.error());
    features.remove(*missing, state.error().message());
  }
  return std::unexpected(Error{"this host gives no confinement that works", request.arguments[0]});
}

Result<Explanation> Child::explain(const Policy& policy, const SpawnRequest& request) {
  Launch launch(policy, request, HostFeatures::probe());
  return launch.explain();
}

Result<Outcome> Child::wait(int end) {
  return Supervisor(*state_, end).run();
}

void Child::kill() {
  // Not closed: that belongs to the thread that waits.
  (void)::shutdown(state_->lifeline.get(), SHUT_RDWR);
}

pid_t Child::pid() const {
  return state_->pid;
}

}  // namespace vitrine::sandbox

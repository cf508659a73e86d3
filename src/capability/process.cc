#include "capability/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdint>
#include <string_view>
#include <utility>

namespace vitrine::capability {
namespace {

struct Placement {
  int source;
  int target;
};

/// Everything that the child needs, made before the fork: the child of a process with threads may only make
/// system calls (signal-safety(7)).
struct Preparation {
  std::vector<Placement> placements;  ///< Sorted by target.
  std::vector<char*> arguments;
  std::vector<char*> environment;
  const char* program = nullptr;
  int report = -1;  ///< Where errno goes if the program cannot be executed.
  int above = 0;    ///< The first number above all targets.
  sigset_t no_signals{};
};

[[noreturn]] void give_up(int report) {
  const int reason = errno;
  (void)!::write(report, &reason, sizeof reason);
  ::_exit(127);
}

void close_between(unsigned first, unsigned last, int report) {
  if (first <= last && ::syscall(SYS_close_range, first, last, 0) != 0) give_up(report);
}

/// In the child: the declared descriptors at their numbers, everything else closed. Sources are moved out of
/// the way first: one's number may be another's target.
void arrange_descriptors(Preparation& plan) {
  const int moved = ::fcntl(plan.report, F_DUPFD_CLOEXEC, plan.above);
  if (moved < 0) give_up(plan.report);
  plan.report = moved;
  for (Placement& place : plan.placements) {
    place.source = ::fcntl(place.source, F_DUPFD_CLOEXEC, plan.above);
    if (place.source < 0) give_up(plan.report);
  }
  unsigned next = 0;
  for (const Placement& place : plan.placements) {
    if (::dup2(place.source, place.target) < 0) give_up(plan.report);
    const auto target = static_cast<unsigned>(place.target);
    if (target > 0) close_between(next, target - 1, plan.report);
    next = target + 1;
  }
  close_between(next, static_cast<unsigned>(plan.report) - 1, plan.report);
  close_between(static_cast<unsigned>(plan.report) + 1, UINT_MAX, plan.report);
}

[[noreturn]] void become_program(Preparation& plan) {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  arrange_descriptors(plan);
  ::sigprocmask(SIG_SETMASK, &plan.no_signals, nullptr);
  ::execve(plan.program, plan.arguments.data(), plan.environment.data());
  give_up(plan.report);
}

struct NewProcess {
  Descriptor descriptor;
  pid_t number = -1;
};

/// clone3(2) gives the descriptor together with the process. Where it is missing (old kernels, some
/// containers' filters), pidfd_open(2): the number cannot have been reused, since nobody has waited for the
/// process yet.
pid_t fork_with_descriptor(NewProcess& process) {
  int descriptor = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  // SAFETY: the kernel takes pointers as integers here, and writes an int.
  arguments.pidfd = reinterpret_cast<uintptr_t>(&descriptor);
  arguments.exit_signal = SIGCHLD;
  auto number = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (number < 0 && (errno == ENOSYS || errno == EPERM)) {
    number = ::fork();
    if (number > 0) descriptor = static_cast<int>(::syscall(SYS_pidfd_open, number, 0));
  }
  process.number = number;
  process.descriptor.reset(descriptor);
  return number;
}

Result<void> check_inherited(const Inherited& inherited) {
  const std::string object = fmt::format("descriptor {}", inherited.number);
  if (inherited.capability == nullptr || inherited.number < 0 || inherited.number > 1 << 16)
    return std::unexpected(Error{"cannot be inherited:", object, 0, "numbers are 0 to 65536"});
  if (inherited.excess == Excess::Accepted || inherited.capability->kernel_enforced()) return {};
  return std::unexpected(
      Error{"would be inherited with more than its rights:", object, 0,
            fmt::format("its bare descriptor also allows {}; Excess::Accepted if that is meant",
                        to_string(inherited.capability->excess()))});
}

Result<std::vector<Placement>> place(const std::vector<Inherited>& inherits, const Descriptor& nothing) {
  std::vector<Placement> placements;
  for (const Inherited& inherited : inherits) {
    if (auto checked = check_inherited(inherited); !checked) return std::unexpected(checked.error());
    placements.push_back({inherited.capability->descriptor(), inherited.number});
  }
  for (const int standard : {0, 1, 2}) {
    if (std::ranges::find(placements, standard, &Placement::target) == placements.end())
      placements.push_back({nothing.get(), standard});
  }
  std::ranges::sort(placements, {}, &Placement::target);
  const auto twice = std::ranges::adjacent_find(placements, {}, &Placement::target);
  if (twice == placements.end()) return placements;
  return std::unexpected(Error{"named twice:", fmt::format("descriptor {}", twice->target)});
}

/// SAFETY: execve(2) takes char* for historical reasons and does not write.
std::vector<char*> pointers(const std::vector<std::string>& strings, const std::string* first) {
  std::vector<char*> result;
  if (first != nullptr) result.push_back(const_cast<char*>(first->c_str()));
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

/// Forks with all signals blocked, so that no handler of the parent's runs in the child.
Result<NewProcess> start(Preparation& plan) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  NewProcess process;
  const pid_t number = fork_with_descriptor(process);
  if (number == 0) become_program(plan);
  const int reason = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (number > 0 && process.descriptor) return process;
  if (number > 0) {
    ::kill(number, SIGKILL);
    ::waitpid(number, nullptr, 0);
  }
  return std::unexpected(Error{"cannot start a process for", plan.program, reason,
                               reason == ENOSYS ? "process descriptors are needed: Linux 5.3" : ""});
}

}  // namespace

Result<Capability> spawn(const SpawnRequest& request) {
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  int ends[2];
  if (!nothing || ::pipe2(ends, O_CLOEXEC) != 0)
    return std::unexpected(error_from_errno("cannot start a process for", request.program));
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);

  Preparation plan;
  plan.placements = TRY(place(request.inherits, nothing));
  plan.arguments = pointers(request.arguments, &request.program);
  plan.environment = pointers(request.environment, nullptr);
  plan.program = request.program.c_str();
  plan.report = write_end.get();
  plan.above = plan.placements.back().target + 1;
  ::sigemptyset(&plan.no_signals);
  NewProcess process = TRY(start(plan));
  write_end.reset();

  int reason = 0;
  ssize_t count = 0;
  do {
    count = ::read(read_end.get(), &reason, sizeof reason);
  } while (count < 0 && errno == EINTR);
  if (count != 0) {
    ::waitpid(process.number, nullptr, 0);
    return std::unexpected(Error{"cannot execute", request.program, reason});
  }
  return Capability::adopt(Kind::Process, std::move(process.descriptor));
}

Result<Capability> open_process(pid_t number, Rights rights) {
  Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, number, 0)));
  if (!process) return std::unexpected(error_from_errno("cannot open the process", std::to_string(number)));
  return Capability::adopt(Kind::Process, std::move(process), rights);
}

Result<void> send_signal(const Capability& process, int signal) {
  if (auto checked = process.require(Right::Signal, "cannot send a signal"); !checked) return checked;
  if (::syscall(SYS_pidfd_send_signal, process.descriptor(), signal, nullptr, 0) == 0) return {};
  return std::unexpected(
      error_from_errno("cannot send a signal", "", errno == ESRCH ? "the process has ended" : ""));
}

Result<ProcessEnd> wait(const Capability& process) {
  if (auto checked = process.require(Right::Wait, "cannot wait for a process"); !checked)
    return std::unexpected(checked.error());
  siginfo_t end{};
  int status = 0;
  do {
    status = ::waitid(P_PIDFD, static_cast<id_t>(process.descriptor()), &end, WEXITED);
  } while (status != 0 && errno == EINTR);
  if (status != 0) {
    return std::unexpected(error_from_errno("cannot wait for a process", "",
                                            errno == ECHILD ? "only its parent can, and once" : ""));
  }
  if (end.si_code == CLD_EXITED) return ProcessEnd{end.si_status, 0};
  return ProcessEnd{0, end.si_status};
}

Result<ProcessState> inspect(const Capability& process) {
  if (auto checked = process.require(Right::Inspect, "cannot inspect a process"); !checked)
    return std::unexpected(checked.error());
  const Descriptor file(
      ::open(fmt::format("/proc/self/fdinfo/{}", process.descriptor()).c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t count = file ? ::read(file.get(), text, sizeof text) : -1;
  if (count < 0) return std::unexpected(error_from_errno("cannot inspect a process", "", "this needs /proc"));
  std::string_view rest(text, static_cast<size_t>(count));
  constexpr std::string_view kField = "\nPid:\t";
  const size_t at = rest.find(kField);
  if (at == std::string_view::npos) return std::unexpected(Error{"not a process descriptor", ""});
  rest.remove_prefix(at + kField.size());
  ProcessState state;
  std::from_chars(rest.data(), rest.data() + rest.size(), state.number);
  // pidfd_open(2): the descriptor becomes readable when the process ends.
  pollfd polled{process.descriptor(), POLLIN, 0};
  state.running = ::poll(&polled, 1, 0) == 0;
  return state;
}

}  // namespace vitrine::capability

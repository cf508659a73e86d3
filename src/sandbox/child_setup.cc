#include "sandbox/child_setup.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>

#include "base/packet_socket.h"
#include "sandbox/filter.h"
#include "sandbox/kernel_calls.h"
#include "sandbox/mount_steps.h"
#include "sandbox/privileges.h"

namespace vitrine::sandbox {
namespace {

constexpr int kSignalCount = 64;

/// The set-up's way to say that it cannot go on. Nobody to return to: the process ends.
class Reporter {
 public:
  explicit Reporter(int socket) : socket_(socket) {}
  void move_to(int socket) { socket_ = socket; }

  void check(bool done, Stage stage, int index = -1) const {
    if (!done) fail(stage, index);
  }
  [[noreturn]] void fail(Stage stage, int index = -1) const {
    const SetupMessage message{SetupMessage::Kind::Failure, stage, errno, index};
    send(message, -1);
    ::_exit(1);
  }
  /// With a descriptor, if it is one.
  bool send(const SetupMessage& message, int descriptor) const {
    return send_packet(socket_, {reinterpret_cast<const char*>(&message), sizeof message}, descriptor, 0);
  }

 private:
  int socket_;
};

/// The parent's handlers must not run here, and what it ignores the program need not.
void reset_signals() {
  for (int signal = 1; signal <= kSignalCount; ++signal) ::signal(signal, SIG_DFL);
}

void set_signal_mask(bool blocked) {
  const uint64_t mask = blocked ? ~uint64_t{0} : 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
}

bool become(uid_t user) {
  return ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setresgid, user, user, user) == 0 &&
         ::syscall(SYS_setresuid, user, user, user) == 0;
}

bool start_loopback() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  ::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  const bool up = socket >= 0 && ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
  if (socket >= 0) ::close(socket);
  return up;
}

/// Time since boot, counted from now on. For processes that are made from here on.
bool enter_time_namespace() {
  if (::unshare(CLONE_NEWTIME) != 0) return false;
  char text[64];
  char* end = text;
  for (const char* clock : {"1 -", "7 -"}) {  // CLOCK_MONOTONIC, CLOCK_BOOTTIME
    timespec value{};
    ::clock_gettime(clock[0] == '1' ? CLOCK_MONOTONIC : CLOCK_BOOTTIME, &value);
    end = std::copy(clock, clock + 3, end);
    end = std::to_chars(end, text + sizeof text, value.tv_sec).ptr;
    for (const char character : {' ', '0', '\n'}) *end++ = character;
  }
  const int file = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  const bool written = file >= 0 && ::write(file, text, static_cast<size_t>(end - text)) == end - text;
  if (file >= 0) ::close(file);
  return written;
}

/// Puts every descriptor at its number. Sources and targets overlap: first all go out of the way.
bool place_descriptors(const SetupPlan& plan, int gate) {
  const int reserved = plan.first_reserved;
  constexpr size_t kMost = 64;
  // In the order of their numbers: program_descriptor() and so on.
  const int own[] = {plan.program, plan.setup, gate, plan.landlock};
  constexpr int kOwn = std::size(own);
  int moved[kMost + kOwn]{};
  if (plan.descriptors.size() > kMost) {
    errno = EMFILE;
    return false;
  }
  size_t count = 0;
  const auto move_away = [&](int source) {
    return (moved[count++] = ::fcntl(source, F_DUPFD_CLOEXEC, reserved + kOwn)) >= 0;
  };
  for (const DescriptorMove& move : plan.descriptors) {
    if (!move_away(move.source)) return false;
  }
  for (const int descriptor : own) {
    if (descriptor >= 0 && !move_away(descriptor)) return false;
  }
  int kept[kMost + kOwn];
  count = 0;
  for (size_t i = 0; i < plan.descriptors.size(); ++i) {
    if (::dup2(moved[i], plan.descriptors[i].target) < 0) return false;
    kept[count++] = plan.descriptors[i].target;
  }
  for (int i = 0; i < kOwn; ++i) {
    if (own[i] < 0) continue;
    if (::dup3(moved[count], reserved + i, O_CLOEXEC) < 0) return false;
    kept[count++] = reserved + i;
  }
  return close_others(kept, count);
}

void limit_resources(const SetupPlan& plan, const Reporter& reporter) {
  for (size_t i = 0; i < plan.limits.size(); ++i) {
    const LimitRow& row = plan.limits[i];
    rlimit present{};
    ::getrlimit(static_cast<__rlimit_resource>(row.resource), &present);
    // A limit around us that is stricter stays.
    const rlimit wanted{std::min(row.limit.rlim_cur, present.rlim_max),
                        std::min(row.limit.rlim_max, present.rlim_max)};
    reporter.check(::setrlimit(static_cast<__rlimit_resource>(row.resource), &wanted) == 0, Stage::Limits,
                   static_cast<int>(i));
  }
}

/// What the supervisor says last, when Landlock has its rules: the filter's code, and how much of it there
/// is; without a filter any word.
size_t hear_supervisor(const SetupPlan& plan, std::span<sock_filter> code) {
  const ssize_t size = ::recv(setup_descriptor(plan.first_reserved), code.data(), code.size_bytes(), 0);
  if (size <= 0) ::_exit(1);  // It is gone, or has seen an error.
  return static_cast<size_t>(size) / sizeof(sock_filter);
}

/// The last thing before the program: from here on only what its filter allows.
void install_filter(const SetupPlan& plan, const Reporter& reporter, std::span<sock_filter> code) {
  Filter::set_process(code, static_cast<uint32_t>(::syscall(SYS_getpid)));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  constexpr unsigned kWaitKillable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
  const auto install = [&](unsigned flags) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
  };
  if (!plan.listener) {
    reporter.check(install(0) == 0, Stage::Filter);
    return;
  }
  int listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable);
  if (listener < 0 && errno == EINVAL) listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
  reporter.check(listener >= 0, Stage::Filter);
  // Close-on-exec, as is the socket.
  reporter.check(reporter.send({SetupMessage::Kind::Listener, {}, 0, -1}, listener), Stage::Filter);
}

/// Between the two processes of a box, each with an end of a socket: one has taken a step, for which the
/// other waits.
void tell(int gate) {
  // Who has ended has said why, and who has gone on has seen it already.
  (void)::send(gate, "", 1, MSG_NOSIGNAL);
}
void wait_for_other(int gate) {
  char byte = 0;
  if (::read(gate, &byte, 1) != 1) ::_exit(1);  // It has said why.
}

void make_network(const SetupPlan& plan, const Reporter& reporter) {
  if (plan.network_namespace) reporter.check(::unshare(CLONE_NEWNET) == 0, Stage::NetworkNamespace);
  if (plan.loopback) reporter.check(start_loopback(), Stage::Network);
}

/// The first process's. Before Linux 5.8 no pidfd leads there.
void join_network(const SetupPlan& plan, const Reporter& reporter, pid_t first_process) {
  if (!plan.network_namespace) return;
  const int pidfd = pidfd_open(first_process);
  const bool joined = pidfd >= 0 && ::setns(pidfd, CLONE_NEWNET) == 0;
  if (pidfd >= 0) ::close(pidfd);
  if (!joined) make_network(plan, reporter);
}

/// What takes longest is done by both processes at once: the first one makes the network while the program's
/// mounts.
void make_mounts(const SetupPlan& plan, const Reporter& reporter) {
  if (!plan.mounts) return;
  const MountFailure failure = enter_new_root(*plan.mounts, plan.landlock, plan.landlock_abi);
  errno = failure.error;
  reporter.check(failure.error == 0, failure.is_proc ? Stage::Processes : Stage::Mounts, failure.index);
}

struct ProgramStart {
  const SetupPlan& plan;
  pid_t first_process;
  int gate;
};

/// In the first process's memory until execve: a copy of it takes longer to make and to take down than all
/// that is done here. errno is one for both; each looks at its value, but for what it reports, only where the
/// other waits or makes no call that may fail.
int run_program(void* start) {
  const auto& [plan, first_process, gate] = *static_cast<const ProgramStart*>(start);
  Reporter reporter(plan.setup);
  make_mounts(plan, reporter);
  tell(gate);
  reporter.check(::setsid() >= 0, Stage::Session);
  drop_bounding_set();
  reporter.check(place_descriptors(plan, gate), Stage::Descriptors);
  reporter.move_to(setup_descriptor(plan.first_reserved));
  if (plan.keyring) {
    reporter.check(::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0, Stage::Keyring);
  }
  limit_resources(plan, reporter);
  wait_for_other(gate_descriptor(plan.first_reserved));
  join_network(plan, reporter, first_process);
  tell(gate_descriptor(plan.first_reserved));
  reporter.check(plan.working_directory.empty() || ::chdir(plan.working_directory.c_str()) == 0,
                 Stage::Directory);
  if (plan.user) reporter.check(become(*plan.user), Stage::User);
  reporter.check(drop_capabilities(), Stage::Capabilities);
  // After the change of user, which clears it. The parent may have gone in between.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::syscall(SYS_getppid) != first_process) ::_exit(1);
  reporter.check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, Stage::NoNewPrivileges);
  if (plan.deny_write_execute) {
    reporter.check(::prctl(kPrSetMdwe, kMdweRefuseExecGain, 0, 0, 0) == 0, Stage::DenyWriteExecute);
  }
  sock_filter code[BPF_MAXINSNS];
  const size_t code_size = hear_supervisor(plan, code);
  if (plan.landlock >= 0) {
    reporter.check(landlock_restrict_self(landlock_descriptor(plan.first_reserved)) == 0, Stage::Landlock);
  }
  // Seen here: what the filter allows afterwards is the policy's. The first process's call comes back later.
  const bool alone = plan.mounts && is_old_root_left();
  set_signal_mask(false);
  if (plan.filter) install_filter(plan, reporter, {code, code_size});
  if (!alone) wait_for_other(gate_descriptor(plan.first_reserved));
  ::syscall(SYS_execveat, program_descriptor(plan.first_reserved), "", plan.arguments.data(),
            plan.environment.data(), AT_EMPTY_PATH);
  reporter.fail(Stage::Execute);
}

/// As much as a filter of the longest kind takes, and then some. Part of the first process's stack.
constexpr size_t kProgramStack = sizeof(sock_filter) * BPF_MAXINSNS + size_t{64} * 1024;

/// Every child that there is, or will be while this runs. Only without a namespace that ends them by itself.
/// The filter lets nobody leave the program's process group, and the kernel signals a group as a whole:
/// nobody is born meanwhile. Without a filter whoever left is hunted down.
void end_descendants(pid_t group) {
  for (;;) {
    ::kill(-group, SIGKILL);
    const int list = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    char text[4096];
    const ssize_t size = list >= 0 ? ::read(list, text, sizeof text) : 0;
    if (list >= 0) ::close(list);
    for (const char* position = text; position < text + std::max<ssize_t>(size, 0);) {
      int pid = 0;
      const auto [end, error] = std::from_chars(position, text + size, pid);
      if (error == std::errc() && pid > 0) ::kill(pid, SIGKILL);
      position = end + 1;
    }
    // Whoever dies hands its children to us: again, until none is left.
    if (::waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) return;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

/// The first process gives up everything that it does not need to wait and to kill.
void confine_first_process(const SetupPlan& plan, const Reporter& reporter) {
  const bool signals_by_user = plan.user && !plan.own_processes;
  drop_bounding_set();
  // Without a namespace it stays another user than the program, so that it cannot be signalled by it, and
  // keeps the one right to signal it.
  if (signals_by_user) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    data[0].permitted = data[0].effective = 1U << CAP_KILL;
    reporter.check(::syscall(SYS_capset, &header, data) == 0, Stage::Capabilities);
  } else {
    if (plan.user) reporter.check(become(*plan.user), Stage::User);
    reporter.check(drop_capabilities(), Stage::Capabilities);
  }
  reporter.check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, Stage::NoNewPrivileges);
  // Its memory is a copy of the supervisor's: nobody may look at it.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/// Reaps whatever has ended. True: the program has, and the supervisor is told.
bool reap(const SetupPlan& plan, pid_t program) {
  EndMessage end;
  for (pid_t pid = 1; pid > 0;) {
    pid = ::wait4(-1, &end.status, WNOHANG, &end.usage);
    if (pid != program) continue;
    (void)::send(plan.lifeline, &end, sizeof end, MSG_NOSIGNAL);
    return true;
  }
  return false;
}

/// Returns when the program has ended, or when the supervisor is gone.
void wait_for_program(const SetupPlan& plan, pid_t program, int signals) {
  pollfd events[2] = {{plan.lifeline, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    if (::poll(events, 2, -1) < 0) continue;
    if (events[0].revents != 0) return;
    signalfd_siginfo ignored;
    (void)!::read(signals, &ignored, sizeof ignored);
    if (reap(plan, program)) return;
  }
}

void enter_cgroups(const SetupPlan& plan, const Reporter& reporter) {
  for (const int entrance : plan.cgroup_entrances)
    reporter.check(::write(entrance, "0", 1) == 1, Stage::Cgroup);
  if (plan.cgroup_namespace) reporter.check(::unshare(CLONE_NEWCGROUP) == 0, Stage::CgroupNamespace);
}

/// pivot_root(2) took this process's root along.
void finish_mounts(const SetupPlan& plan, const Reporter& reporter) {
  if (!plan.mounts) return;
  const MountFailure failure = leave_old_root();
  errno = failure.error;
  reporter.check(failure.error == 0, Stage::Mounts, failure.index);
}

/// What nobody waits for, but all is done before the program is executed.
void name_and_detach(const SetupPlan& plan, const Reporter& reporter) {
  reporter.check(::setsid() >= 0, Stage::Session);
  constexpr char kHostName[] = "box";
  if (plan.host_name) reporter.check(::sethostname(kHostName, sizeof kHostName - 1) == 0, Stage::HostName);
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void run_first_process(const SetupPlan& plan) {
  const Reporter reporter(plan.setup);
  reset_signals();
  raise_descriptor_limit();
  if (plan.wait_for_maps) {
    char byte = 0;
    reporter.check(::read(plan.setup, &byte, 1) == 1, Stage::Maps);
  }
  enter_cgroups(plan, reporter);
  if (plan.time_namespace) reporter.check(enter_time_namespace(), Stage::TimeNamespace);
  if (!plan.own_processes) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const auto own = static_cast<pid_t>(::syscall(SYS_getpid));
  int gate[2];
  reporter.check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) == 0, Stage::Fork);
  alignas(16) std::byte stack[kProgramStack];
  ProgramStart start{plan, own, gate[1]};
  int program = ::clone(run_program, std::end(stack), CLONE_VM | SIGCHLD, &start);
  // clone(2): before Linux 6.2 who enters a time namespace may share no memory; since then execve does that.
  if (program < 0 && errno == EINVAL) program = ::clone(run_program, std::end(stack), SIGCHLD, &start);
  reporter.check(program > 0, Stage::Fork);
  ::close(gate[1]);
  make_network(plan, reporter);
  tell(gate[0]);
  name_and_detach(plan, reporter);
  // Blocked from the start on: none is missed.
  const uint64_t child_signal = uint64_t{1} << (SIGCHLD - 1);
  const auto signals = static_cast<int>(
      ::syscall(SYS_signalfd4, -1, &child_signal, sizeof child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
  reporter.check(signals >= 0, Stage::Fork);
  wait_for_other(gate[0]);
  finish_mounts(plan, reporter);
  tell(gate[0]);
  // It has joined the network, for which this process must be open to it.
  wait_for_other(gate[0]);
  // The old root's end may have taken as long as the program.
  if (!reap(plan, program)) {
    confine_first_process(plan, reporter);
    int kept[] = {plan.lifeline, signals};
    std::sort(std::begin(kept), std::end(kept));
    (void)close_others(kept, std::size(kept));
    wait_for_program(plan, program, signals);
  }
  if (!plan.own_processes) end_descendants(program);
  ::_exit(0);
}

StageText describe(Stage stage) {
  switch (stage) {
    case Stage::Maps: return {"cannot map users into the namespace", Mechanism::UserNamespace};
    case Stage::Cgroup: return {"cannot enter the control group", std::nullopt};
    case Stage::CgroupNamespace: return {"cannot make a cgroup namespace", Mechanism::CgroupNamespace};
    case Stage::Session: return {"cannot make a session", std::nullopt};
    case Stage::HostName: return {"cannot set the host name", Mechanism::UtsNamespace};
    case Stage::NetworkNamespace: return {"cannot make a network namespace", Mechanism::NetworkNamespace};
    case Stage::Network: return {"cannot start the loopback interface", Mechanism::NetworkNamespace};
    case Stage::TimeNamespace: return {"cannot make a time namespace", Mechanism::TimeNamespace};
    case Stage::Mounts: return {"cannot mount", Mechanism::MountNamespace};
    case Stage::Processes: return {"cannot mount /proc", Mechanism::ProcFileSystem};
    case Stage::Fork: return {"cannot start a process", std::nullopt};
    case Stage::Descriptors: return {"cannot place the descriptors", std::nullopt};
    case Stage::Limits: return {"cannot set a resource limit", Mechanism::ResourceLimits};
    case Stage::Keyring: return {"cannot make a keyring", Mechanism::SessionKeyring};
    case Stage::User: return {"cannot become another user", Mechanism::OtherUser};
    case Stage::Capabilities: return {"cannot give up capabilities", std::nullopt};
    case Stage::NoNewPrivileges: return {"cannot set no_new_privs", Mechanism::NoNewPrivileges};
    case Stage::DenyWriteExecute: return {"cannot forbid writable code", Mechanism::DenyWriteExecute};
    case Stage::Directory: return {"cannot change to the working directory", std::nullopt};
    case Stage::Landlock: return {"cannot restrict itself by Landlock", Mechanism::Landlock};
    case Stage::Filter: return {"cannot install the system-call filter", Mechanism::SeccompNotification};
    case Stage::Execute: return {"cannot execute the program", std::nullopt};
  }
  return {"", std::nullopt};
}

}  // namespace vitrine::sandbox

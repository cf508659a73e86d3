#include "sandbox/supervisor.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "sandbox/denied_call.h"
#include "sandbox/filter.h"
#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// How often memory is sampled where no control group limits it, and the least between two looks at the time
/// used.
constexpr milliseconds kSample{10};
/// More kinds of violation than this are counted, not listed; and paths.
constexpr size_t kMostListed = 256;
constexpr size_t kMostPaths = 4096;

bool can_take(const CountedOutput& output) {
  pollfd ready{output.to.get(), POLLOUT, 0};
  return ::poll(&ready, 1, 0) > 0;
}

nanoseconds processor_time(const rusage& usage) {
  const auto in_nanoseconds = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return in_nanoseconds(usage.ru_utime) + in_nanoseconds(usage.ru_stime);
}

bool writes(const seccomp_data& call) {
  switch (call.nr) {
    case SYS_open: return (call.args[1] & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
    case SYS_openat: return (call.args[2] & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
    default: break;
  }
  for (const CallRow& row : call_table()) {
    if (row.number == call.nr) return row.right == Right::ChangeFiles;
  }
  return false;
}

}  // namespace

nanoseconds Supervisor::since_start() const {
  return std::chrono::steady_clock::now() - state_.started;
}

Result<Outcome> Supervisor::run() {
  if (state_.pid < 0 || state_.reaped) return std::unexpected(Error{"the box was waited for already", ""});
  watch();
  outcome_.usage.wall_time = since_start();
  // Whoever is left at the end has used something, too.
  if (state_.policy.limits().processes > 1 || !ended_) measure();
  reap();
  drain_output();
  judge();
  outcome_.assurances = state_.assurances;
  return std::move(outcome_);
}

void Supervisor::watch() {
  while (!ended_ && !stopped_) {
    pollfd events[8];
    nfds_t count = 0;
    const auto add = [&](int descriptor, short what = POLLIN) {
      events[count] = {descriptor, what, 0};
      return count++;
    };
    // Where nobody is left to be measured, the end of all of it is soon enough to hear of the program's.
    const bool alone = state_.own_processes && state_.policy.limits().processes == 1;
    const nfds_t status = add(alone ? state_.pidfd.get() : state_.lifeline.get());
    const nfds_t end_wanted = end_wanted_ >= 0 ? add(end_wanted_) : 0;
    const nfds_t listener = state_.listener ? add(state_.listener.get()) : 0;
    for (const CountedOutput& output : state_.outputs) {
      if (!output.from || count == std::size(events)) continue;
      // Where the reader is slow, it is the reader that we wait for.
      if (can_take(output)) {
        add(output.from.get());
      } else {
        add(output.to.get(), POLLOUT);
      }
    }
    timespec timeout{};
    const auto next = next_look();
    if (next) {
      const nanoseconds left =
          std::max<nanoseconds>(*next - std::chrono::steady_clock::now(), nanoseconds(0));
      timeout = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    }
    if (::ppoll(events, count, next ? &timeout : nullptr, nullptr) < 0 && errno != EINTR) return;
    // The filter's last user may be gone before we hear of the end.
    if (listener != 0 && (events[listener].revents & POLLIN) != 0) answer_call();
    if (listener != 0 && (events[listener].revents & POLLHUP) != 0) state_.listener.reset();
    pass_output();
    if (events[status].revents != 0) take_end();
    if (end_wanted != 0 && events[end_wanted].revents != 0 && !ended_) stop(Outcome::End::Killed);
    if (!ended_ && !stopped_) look_at_limits();
  }
}

std::optional<Supervisor::Time> Supervisor::next_look() const {
  const Limits& limits = state_.policy.limits();
  std::optional<Time> next;
  const auto consider = [&](Time time) {
    if (!next || time < *next) next = time;
  };
  const Time now = std::chrono::steady_clock::now();
  if (limits.wall_time) consider(state_.started + *limits.wall_time);
  if (limits.processor_time) {
    // It cannot be reached before all processors have worked on nothing else.
    const long processors = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
    const nanoseconds left = std::max<nanoseconds>(*limits.processor_time - processor_time_, nanoseconds(0));
    consider(now + std::max<nanoseconds>(left / processors, kSample));
  }
  if (limits.memory) consider(now + kSample);
  return next;
}

void Supervisor::measure() {
  const TreeUsage tree = measure_descendants(state_.pid);
  peak_ = std::max(peak_, tree.memory);
  processor_time_ = std::max(processor_time_, tree.processor_time);
  if (const auto exact = state_.cgroup.processor_nanoseconds()) {
    processor_time_ = std::max(processor_time_, nanoseconds(*exact));
  }
}

void Supervisor::look_at_limits() {
  const Limits& limits = state_.policy.limits();
  if (limits.wall_time && since_start() >= *limits.wall_time) {
    take_end();  // It may have come, and woken nobody.
    if (ended_) return;
    stop(Outcome::End::LimitExceeded, LimitKind::WallTime);
    return;
  }
  if (!limits.processor_time && !limits.memory) return;
  measure();
  if (limits.processor_time && processor_time_ >= *limits.processor_time) {
    stop(Outcome::End::LimitExceeded, LimitKind::ProcessorTime);
  } else if (limits.memory && (peak_ > *limits.memory || state_.cgroup.memory_kills() != 0)) {
    stop(Outcome::End::LimitExceeded, LimitKind::Memory);
  }
}

void Supervisor::stop(Outcome::End end, std::optional<LimitKind> limit) {
  if (stopped_) return;
  stopped_ = true;
  outcome_.end = end;
  outcome_.limit = limit;
}

void Supervisor::answer_call() {
  const std::optional<seccomp_notif> call = take_denied_call(state_.listener.get());
  if (!call) return;
  // As long as the kernel's may be: see take_denied_call().
  union {
    seccomp_notif_resp response;
    char space[512];
  } answer{};
  answer.response.id = call->id;
  const int error = record(*call);
  if (error == 0) {
    // The filter would have let it pass unasked: see FilterSpec::tell_paths. Nothing is decided here.
    answer.response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    answer.response.error = -error;
  }
  if (stopped_) return;  // It is killed instead.
  (void)::ioctl(state_.listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer.response);
}

int Supervisor::record(const seccomp_notif& notification) {
  const seccomp_data& call = notification.data;
  const bool native = call.arch == AUDIT_ARCH_X86_64 && (static_cast<uint32_t>(call.nr) & 0x40000000U) == 0;
  std::array<uint64_t, 6> arguments{};
  std::copy(std::begin(call.args), std::end(call.args), arguments.begin());
  if (state_.policy.records_paths() && native && path_argument(call.nr) >= 0) {
    record_path(notification);
    for (const CallRow& row : call_table()) {
      if (row.number == call.nr && is_told(row) && (state_.rights & right_bit(row.right)) != 0) return 0;
    }
  }
  const Right missing = native ? right_needed(call.nr, arguments, state_.rights) : Right::Never;
  ++outcome_.violation_count;
  const uint64_t key = uint64_t{call.arch} << 32 | static_cast<uint32_t>(call.nr);
  const auto [known, added] = known_.try_emplace({key, missing}, outcome_.violations.size());
  if (!added) {
    ++outcome_.violations[known->second].count;
  } else if (outcome_.violations.size() < kMostListed) {
    outcome_.violations.push_back({call.arch, call.nr, call_name(call.arch, call.nr), arguments, 1, missing});
  } else {
    known_.erase(known);
  }
  if (missing == Right::LargeMemory) asked_for_too_much_ = true;
  const int error = native ? errno_for_denied(call.nr, missing) : ENOSYS;
  // A call that the C library only tries (ENOSYS) and too large a mapping are no attempts to break out.
  const bool harmless = native && (error == ENOSYS || error == ENOMEM);
  if (!native || (state_.policy.on_violation() == OnViolation::End && !harmless))
    stop(Outcome::End::Violation);
  return error;
}

void Supervisor::record_path(const seccomp_notif& notification) {
  if (outcome_.paths.size() >= kMostPaths) return;
  const seccomp_data& call = notification.data;
  char path[PATH_MAX] = {};
  iovec here{path, sizeof path - 1};
  // A page at a time: the string may end just before memory that is not there.
  const uint64_t address = call.args[path_argument(call.nr)];
  iovec there[2] = {{reinterpret_cast<void*>(address), 4096 - address % 4096}, {nullptr, 0}};
  there[1] = {reinterpret_cast<void*>(address + there[0].iov_len),
              sizeof path - 1 - std::min(sizeof path - 1, there[0].iov_len)};
  if (::process_vm_readv(static_cast<pid_t>(notification.pid), &here, 1, there, 2, 0) <= 0) return;
  if (path[0] == '\0') return;
  PathRequest asked{path, writes(call), call.nr == SYS_execve || call.nr == SYS_execveat};
  if (std::ranges::find(outcome_.paths, asked) == outcome_.paths.end())
    outcome_.paths.push_back(std::move(asked));
}

void Supervisor::pass_output() {
  for (CountedOutput& output : state_.outputs) pass_on(output);
}

bool Supervisor::pass_on(CountedOutput& output) {
  if (!output.from) return false;
  // Up to PIPE_BUF a pipe that is ready for writing takes without blocking.
  char part[PIPE_BUF];
  bool any = false;
  for (int rounds = 0; rounds < 64; ++rounds) {
    if (!can_take(output)) break;
    const ssize_t size = ::read(output.from.get(), part, sizeof part);
    if (size < 0) break;
    if (size == 0) {
      output.from.reset();
      break;
    }
    any = true;
    auto allowed = static_cast<size_t>(size);
    if (const auto limit = state_.policy.limits().output) {
      const uint64_t left = *limit - std::min(*limit, outcome_.usage.output);
      output_full_ |= allowed > left;
      allowed = std::min<uint64_t>(allowed, left);
    }
    outcome_.usage.output += static_cast<uint64_t>(size);
    // A reader that is gone: the program hears of it as it would without us.
    if (::write(output.to.get(), part, allowed) < 0 && errno == EPIPE) output.from.reset();
    if (output_full_) {
      stop(Outcome::End::LimitExceeded, LimitKind::Output);
      break;
    }
    if (!output.from) break;
  }
  return any;
}

void Supervisor::drain_output() {
  // Every writer is gone: what is in the pipes is all that comes.
  for (CountedOutput& output : state_.outputs) {
    while (output.from && !output_full_) {
      pollfd ready{output.to.get(), POLLOUT, 0};
      if (::poll(&ready, 1, -1) < 0 && errno != EINTR) break;
      if (!pass_on(output)) break;
    }
  }
}

void Supervisor::take_end() {
  const ssize_t size = ::recv(state_.lifeline.get(), &end_, sizeof end_, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size == sizeof end_) {
    ended_ = true;
  } else {
    stop(Outcome::End::Killed);  // The first process is gone without a word: it was killed.
  }
}

void Supervisor::reap() {
  // The same steps as State::end(), with the sum of what all processes used.
  state_.lifeline.reset();
  state_.cgroup.kill();
  if (stopped_ && state_.own_processes) (void)pidfd_send_signal(state_.pidfd.get(), SIGKILL);
  while (::wait4(state_.pid, nullptr, 0, &total_) < 0 && errno == EINTR) {
  }
  state_.reaped = true;
}

void Supervisor::judge() {
  Usage& usage = outcome_.usage;
  usage.processor_time = std::max({processor_time_, processor_time(total_), processor_time(end_.usage)});
  const auto largest = static_cast<uint64_t>(end_.usage.ru_maxrss) * 1024;  // getrusage(2): in kilobytes
  usage.peak_memory = state_.cgroup.peak_memory().value_or(std::max(peak_, largest));
  if (stopped_ || !ended_) return;
  const Limits& limits = state_.policy.limits();
  outcome_.end = WIFSIGNALED(end_.status) ? Outcome::End::Signalled : Outcome::End::Exited;
  if (WIFSIGNALED(end_.status))
    outcome_.signal = WTERMSIG(end_.status);
  else
    outcome_.status = WEXITSTATUS(end_.status);
  const bool failed = WIFSIGNALED(end_.status) || outcome_.status != 0;
  const auto exceeded = [&](LimitKind limit) {
    outcome_.end = Outcome::End::LimitExceeded;
    outcome_.limit = limit;
  };
  if (limits.processor_time &&
      (usage.processor_time >= *limits.processor_time || outcome_.signal == SIGXCPU)) {
    exceeded(LimitKind::ProcessorTime);
  } else if (limits.memory && (state_.cgroup.memory_kills() != 0 || peak_ > *limits.memory ||
                               (failed && asked_for_too_much_))) {
    exceeded(LimitKind::Memory);
  } else if (limits.output && (output_full_ || outcome_.signal == SIGXFSZ)) {
    exceeded(LimitKind::Output);
  } else if (outcome_.signal == SIGSYS) {
    outcome_.end = Outcome::End::Violation;
  }
}

}  // namespace vitrine::sandbox

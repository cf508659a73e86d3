#include "cli/machine_supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "cli/host_signals.h"
#include "cli/machine_channel.h"
#include "sandbox/denied_call.h"
#include "sandbox/system_calls.h"
#include "sandbox/usage.h"

namespace vitrine::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Files: more at once than a script at the monitor asks for, and then as many as a film has pictures.
constexpr capability::Rate kRequests{.burst = 64, .per_second = 64};
constexpr milliseconds kUntilNextRequest{1000 / 64};

capability::Time now() {
  return std::chrono::duration_cast<capability::Time>(steady_clock::now().time_since_epoch());
}

constexpr int kSignalled = 128;  // as a shell shows it

}  // namespace

MachineSupervisor::MachineSupervisor(MachineProcess machine, const Descriptor& signals, GrantedFiles& files)
    : machine_(std::move(machine)),
      signals_(signals),
      files_(files),
      usage_(machine_.most_memory
                 ? ::open(fmt::format("/proc/{}/status", machine_.pid).c_str(), O_RDONLY | O_CLOEXEC)
                 : -1),
      next_sample_(steady_clock::now() + kSample),
      requests_(kRequests, now()) {}

MachineSupervisor::~MachineSupervisor() {
  if (status_) return;
  ::kill(machine_.pid, SIGKILL);
  while (::waitpid(machine_.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

MachineSupervisor::Ending MachineSupervisor::run() {
  while (!status_) wait();
  if (!why_.empty()) return {kSignalled + SIGKILL, why_};
  if (WIFEXITED(*status_)) return {WEXITSTATUS(*status_), {}};
  const int signal = WTERMSIG(*status_);
  std::string words = fmt::format("the machine process died of signal {} ({})", signal, ::strsignal(signal));
  if (signal == SIGSYS) words += ": it made a system call that its sandbox does not allow";
  return {kSignalled + signal, std::move(words)};
}

void MachineSupervisor::wait() {
  std::array<pollfd, 3> events{};
  events[0] = {signals_.get(), POLLIN, 0};
  // A negative descriptor is passed over (poll(2)).
  events[1] = {silent_ || requests_.empty(now()) ? -1 : machine_.channel.get(), POLLIN, 0};
  events[2] = {listener_.get(), POLLIN, 0};
  if (::poll(events.data(), events.size(), timeout()) < 0) return;
  // Denied calls first: after one nothing else matters.
  if ((events[2].revents & POLLIN) != 0) take_denied_call();
  if ((events[2].revents & ~POLLIN) != 0) listener_.reset();
  if (events[1].revents != 0) take_packet();
  if (events[0].revents != 0) take_signals();
  look_at_memory();
  if (asked_to_end_ && steady_clock::now() - *asked_to_end_ >= kPatience)
    kill(fmt::format("the machine did not end within {} seconds and was killed", kPatience.count()));
}

int MachineSupervisor::timeout() {
  std::optional<milliseconds> left;
  if (asked_to_end_ && why_.empty()) {
    const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - *asked_to_end_);
    left = std::max(milliseconds{kPatience} - passed + milliseconds{1}, milliseconds{0});
  }
  if (!silent_ && requests_.empty(now()))
    left = std::min(left.value_or(kUntilNextRequest), kUntilNextRequest);
  if (usage_ && why_.empty()) {
    const auto until = std::chrono::ceil<milliseconds>(next_sample_ - steady_clock::now());
    left = std::clamp(until, milliseconds{0}, left.value_or(kSample));
  }
  return left ? static_cast<int>(left->count()) : -1;
}

void MachineSupervisor::take_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
    switch (const int number = static_cast<int>(signal.ssi_signo); number) {
      case SIGCHLD: reap(); break;
      case SIGUSR1: ::kill(machine_.pid, number); break;
      case SIGTSTP:
      case SIGTTIN:
      case SIGTTOU: stop(number); break;
      default: ask_to_end(number); break;
    }
    if (status_) return;
  }
}

// One that the terminal has sent to both comes to the machine twice, which is no more than once.
void MachineSupervisor::ask_to_end(int signal) {
  const Time time = steady_clock::now();
  if (asked_to_end_ && time - *asked_to_end_ >= kSecondThought)
    return kill(fmt::format("the machine was killed: {} came a second time", ::strsignal(signal)));
  if (!asked_to_end_) asked_to_end_ = time;
  ::kill(machine_.pid, signal);
}

// The first process of a namespace is not stopped by such signals, so we do it. The machine before us, that
// the terminal is not in use any more when it is put back.
void MachineSupervisor::stop(int signal) {
  ::kill(machine_.pid, SIGSTOP);
  let_signal_act(signal);
  ::kill(machine_.pid, SIGCONT);
}

void MachineSupervisor::take_packet() {
  std::array<char, kLongestPacket> buffer;
  Received received = receive_packet(machine_.channel.get(), buffer,
                                     ready_ ? Attached::None : Attached::MayBeOne, MSG_DONTWAIT);
  if (received.size < 0 && errno == EAGAIN) return;
  if (received.size <= 0) {
    silent_ = true;  // It has ended, or has nothing more to ask.
    return;
  }
  const auto request = decode_request({buffer.data(), static_cast<size_t>(received.size)});
  if (!request || received.excess)
    return kill("the machine process was killed: it sent its supervisor what no machine sends");
  if (request->kind == MachineRequest::Kind::CreateFile && !received.descriptor) {
    (void)requests_.take(now());
    return answer(request->path, request->contents);
  }
  if (request->kind != MachineRequest::Kind::Ready || ready_)
    return kill("the machine process was killed: it sent its supervisor something out of turn");
  ready_ = true;
  listener_ = std::move(received.descriptor);
}

void MachineSupervisor::answer(const std::string& path, machine::FileContents contents) {
  const auto file = files_.create_file(path, contents);
  const MachineAnswer answer = file ? MachineAnswer{true, ""} : MachineAnswer{false, file.error().message()};
  if (!send_packet(machine_.channel.get(), encode(answer), file ? file->get() : -1, MSG_DONTWAIT) &&
      errno != EPIPE && errno != ECONNRESET) {
    kill("the machine process was killed: it does not take the answers to what it asks");
  }
}

void MachineSupervisor::take_denied_call() {
  const auto call = sandbox::take_denied_call(listener_.get());
  if (!call) {
    // Somebody was faster (ENOENT); anything else is no listener.
    if (errno != ENOENT && errno != EINTR)
      kill("the machine process was killed: it sent its supervisor what no machine sends");
    return;
  }
  kill(fmt::format("the machine process was killed: it tried {}, which its sandbox does not allow",
                   sandbox::call_name(call->data.arch, call->data.nr)));
}

// Limits of a process count what is reserved as well, and windows on the guest's memory reserve hundreds of
// gigabytes.
void MachineSupervisor::look_at_memory() {
  const Time time = steady_clock::now();
  if (!usage_ || time < next_sample_) return;
  next_sample_ = time + kSample;
  if (sandbox::private_memory(usage_) <= *machine_.most_memory) return;
  kill(fmt::format("the machine process was killed: beside its guest's memory it holds more than {} MiB",
                   *machine_.most_memory >> 20));
}

void MachineSupervisor::kill(std::string why) {
  ::kill(machine_.pid, SIGKILL);
  if (why_.empty()) why_ = std::move(why);
}

void MachineSupervisor::reap() {
  int status = 0;
  const pid_t ended = ::waitpid(machine_.pid, &status, WNOHANG);
  if (ended == machine_.pid) status_ = status;
}

}  // namespace vitrine::cli

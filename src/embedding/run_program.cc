// RunProgramAndGetFileHandle and what goes with it: see include/vitrine/sandbox.h.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "sandbox/child.h"
#include "vitrine/sandbox.h"

namespace vitrine::embedding {
namespace {

using sandbox::Child;
using sandbox::Outcome;

/// A program and the thread that watches over it: a box is ended from there when it breaks a limit, and
/// denied calls are answered there.
struct Running {
  explicit Running(Child started) : child(std::move(started)) {}

  Child child;
  Result<Outcome> outcome = std::unexpected(Error{"the program has not ended", ""});
  std::thread watcher;
};

/// C has nothing but the stream to name a program by, so that there has to be one table for the process.
class Programs {
 public:
  void add(FILE* stream, std::unique_ptr<Running> running) {
    const std::lock_guard lock(mutex_);
    running_[stream] = std::move(running);
  }
  std::unique_ptr<Running> take(FILE* stream) {
    const std::lock_guard lock(mutex_);
    const auto node = running_.extract(stream);
    return node.empty() ? nullptr : std::move(node.mapped());
  }
  bool kill(FILE* stream) {
    const std::lock_guard lock(mutex_);
    const auto at = running_.find(stream);
    if (at == running_.end()) return false;
    at->second->child.kill();
    return true;
  }
  static Programs& instance() {
    // Never destroyed: watchers may still run when the process ends.
    static auto* const programs = new Programs;
    return *programs;
  }

 private:
  std::mutex mutex_;
  std::map<FILE*, std::unique_ptr<Running>> running_;
};

/// One for each thread, as errno is.
std::string& last_error() {
  thread_local std::string text;
  return text;
}

/// errno and SandboxError() from an Error.
void set_error(const Error& error) {
  last_error() = error.message();
  errno = error.errno_value != 0 ? error.errno_value : EPERM;
}

Result<FILE*> run(const char* const arguments[]) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(error_from_errno("cannot make a stream to", arguments[0]));
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  sandbox::SpawnRequest request;
  for (; *arguments != nullptr; ++arguments) request.arguments.emplace_back(*arguments);
  request.environment = {"PATH=/usr/bin:/bin"};
  request.descriptors = {{0, theirs.get()}, {1, theirs.get()}};
  const auto policy = sandbox::Policy::compute_only();
  auto running = std::make_unique<Running>(TRY(Child::spawn(policy, request)));

  FILE* stream = ::fdopen(ours.get(), "r+");
  if (stream == nullptr) return std::unexpected(error_from_errno("cannot make a stream", ""));
  (void)ours.release();
  // With a buffer, what has been read ahead would be lost when reading changes to writing: a socket cannot be
  // sought.
  ::setvbuf(stream, nullptr, _IONBF, 0);
  Running* watched = running.get();
  running->watcher = std::thread([watched] { watched->outcome = watched->child.wait(); });
  Programs::instance().add(stream, std::move(running));
  return stream;
}

ProgramEnd describe(const Outcome& outcome) {
  ProgramEnd end{};
  using End = Outcome::End;
  switch (outcome.end) {
    case End::Exited: end.kind = PROGRAM_EXITED; break;
    case End::Signalled: end.kind = PROGRAM_SIGNALLED; break;
    case End::LimitExceeded: end.kind = PROGRAM_LIMIT; break;
    case End::Violation: end.kind = PROGRAM_VIOLATION; break;
    case End::Killed: end.kind = PROGRAM_KILLED; break;
  }
  end.status = outcome.end == End::Exited      ? outcome.status
               : outcome.end == End::Signalled ? outcome.signal
                                               : 0;
  end.violations = outcome.violation_count;
  if (!outcome.violations.empty()) {
    const sandbox::Violation& first = outcome.violations.front();
    const std::string text = fmt::format("{}: lacks {}", first.call, sandbox::right_name(first.missing));
    std::memcpy(end.violation, text.data(), std::min(text.size(), sizeof end.violation - 1));
  }
  return end;
}

Error not_a_program() {
  return Error{"this stream was not made by RunProgramAndGetFileHandle", "", EINVAL};
}

/// No exception leaves through C's frames.
template <typename Function>
auto guarded(Function function, decltype(function()) failure) noexcept -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
  } catch (...) {  // std::system_error: no thread could be started
    errno = EAGAIN;
  }
  return failure;
}

}  // namespace
}  // namespace vitrine::embedding

using namespace vitrine;
using namespace vitrine::embedding;

FILE* RunProgramWithArguments(const char* const arguments[]) {
  return guarded(
      [&]() -> FILE* {
        if (arguments == nullptr || arguments[0] == nullptr) {
          set_error(Error{"no program is named", "", EINVAL});
          return nullptr;
        }
        const auto stream = run(arguments);
        if (stream) return *stream;
        set_error(stream.error());
        return nullptr;
      },
      nullptr);
}

FILE* RunProgramAndGetFileHandle(const char* program) {
  const char* const arguments[] = {program, nullptr};
  return RunProgramWithArguments(arguments);
}

int FinishInput(FILE* stream) {
  return ::fflush(stream) == 0 && ::shutdown(::fileno(stream), SHUT_WR) == 0 ? 0 : -1;
}

int CloseProgram(FILE* stream, ProgramEnd* end) {
  return guarded(
      [&] {
        const std::unique_ptr<Running> running = Programs::instance().take(stream);
        if (running == nullptr) {
          set_error(not_a_program());
          return -1;
        }
        ::fclose(stream);
        running->watcher.join();
        if (!running->outcome) {
          set_error(running->outcome.error());
          return -1;
        }
        if (end != nullptr) *end = describe(*running->outcome);
        return 0;
      },
      -1);
}

int KillProgram(FILE* stream) {
  return guarded(
      [&] {
        if (Programs::instance().kill(stream)) return 0;
        set_error(not_a_program());
        return -1;
      },
      -1);
}

const char* SandboxError(void) {
  return last_error().c_str();
}

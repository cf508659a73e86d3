#include "cli/machine_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cli/commands.h"
#include "cli/host_signals.h"
#include "cli/machine_calls.h"
#include "cli/machine_channel.h"
#include "machine/run.h"
#include "sandbox/confine_self.h"

namespace vitrine::cli {
namespace {

using sandbox::SelfConfinement;
using sandbox::SelfFilter;

/// Descriptors that a machine makes beyond those that it is given: memory files, peers of its sockets.
constexpr int kMoreDescriptors = 256;
/// Decoded and translated code, tables of windows, the monitor: some tens of megabytes, more with much memory
/// that has code in it and with many processors.
constexpr uint64_t kMoreMemory = uint64_t{1} << 30;
/// In oom_score_adj's unit (proc(5)), thousandths of all memory: where the host runs out of it, a machine
/// goes first.
constexpr int kSooner = 500;
constexpr char kRelease = 1;

// The runtime of a sanitizer opens files and starts programs to say what it has found. There the calls fail,
// and it goes on; and what needs all of /proc at the end (leaks) is left to runs with --sandbox=off.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr sandbox::OtherCalls kOthers = sandbox::OtherCalls::Fail;
#else
constexpr sandbox::OtherCalls kOthers = sandbox::OtherCalls::Tell;
#endif

/// The numbers of all descriptors that a machine is built from.
class Collector {
 public:
  void add(const Descriptor& descriptor) {
    if (descriptor) numbers_.push_back(descriptor.get());
  }
  void add(const machine::NullEndpoint&) {}
  void add(const machine::StreamEndpoint& stream) {
    add(stream.input);
    add(stream.output);
    add(stream.keep_alive);
  }
  void add(const machine::ListeningEndpoint& listening) {
    add(listening.listener);
    add(listening.connected);
  }
  void add(const machine::ConnectedEndpoint& connected) { add(connected.socket); }
  void add(const machine::MachineConfig& config) {
    for (const auto* file : {&config.bios.file, &config.vga_bios.file, &config.statistics.output,
                             &config.log.output, &config.signals}) {
      add(*file);
    }
    if (config.kernel) {
      add(config.kernel->file);
      for (const machine::BootModule& module : config.kernel->modules) add(module.file);
    }
    for (const machine::DriveConfig& drive : config.drives) {
      add(drive.image);
      add(drive.overlay);
    }
    for (const machine::CharacterEndpoint& endpoint : config.endpoints)
      std::visit([this](const auto& connection) { add(connection); }, endpoint.connection);
  }
  [[nodiscard]] std::vector<int> numbers() && { return std::move(numbers_); }

 private:
  std::vector<int> numbers_;
};

Error no_answer() {
  return Error{"the supervisor does not answer", ""};
}

/// Asks the supervisor, which holds the authority.
class RemoteFileService final : public machine::FileService {
 public:
  explicit RemoteFileService(int channel) : channel_(channel) {}

  Result<Descriptor> create_file(std::string_view path, machine::FileContents contents) override {
    if (path.size() > kLongestPath)
      return std::unexpected(Error{"cannot create the file", std::string(path.substr(0, 64)), ENAMETOOLONG});
    const std::string request = encode({MachineRequest::Kind::CreateFile, contents, std::string(path)});
    char buffer[kLongestPacket];
    if (!send_packet(channel_, request, -1, 0)) return std::unexpected(no_answer());
    Received received = receive_packet(channel_, buffer, Attached::MayBeOne, 0);
    if (received.size <= 0) return std::unexpected(no_answer());
    const MachineAnswer answer = TRY(decode_answer({buffer, static_cast<size_t>(received.size)}));
    if (!answer.granted) return std::unexpected(Error{answer.text, ""});
    return std::move(received.descriptor);
  }

 private:
  int channel_;
};

[[noreturn]] void fail(const Error& error) {
  fmt::print(stderr, "vitrine: {}\n", error.message());
  std::fflush(nullptr);
  ::_exit(kFailure);
}

/// Of a step of confinement, without which no guest runs.
template <typename T>
T require(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "vitrine: this host cannot confine the machine; --sandbox=off runs it all the same\n");
    fail(result.error());
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// What the environment said is nobody's business here any more.
void forget_environment() {
  for (char** each = environ; each != nullptr && *each != nullptr; ++each)
    ::explicit_bzero(*each, std::strlen(*each));
  ::clearenv();
}

/// A number above all others, which nothing can be given while it is open.
int place_above(int descriptor, const std::vector<int>& others) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto most = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
  const int wanted = std::min(std::max(descriptor, std::ranges::max(others)) + kMoreDescriptors, most - 1);
  return ::fcntl(descriptor, F_DUPFD_CLOEXEC, wanted);
}

/// `most_memory`: nothing where the supervisor has no way to measure.
std::string describe(const std::vector<sandbox::Measure>& measures, std::optional<uint64_t> most_memory) {
  std::string text = "this process runs the guest; another one holds the terminal and opens files\n";
  for (const sandbox::Measure& measure : measures) {
    text += fmt::format("{:<20} {:<4} {}{}\n", mechanism_name(measure.mechanism),
                        measure.taken ? "yes" : "no", mechanism_purpose(measure.mechanism),
                        measure.detail.empty() ? "" : fmt::format(" ({})", measure.detail));
  }
  text += fmt::format("{:<20} {:<4} {}\n", mechanism_name(sandbox::Mechanism::SeccompFilter), "yes",
                      mechanism_purpose(sandbox::Mechanism::SeccompFilter));
  return text + fmt::format("{:<20} {:<4} a bound on memory beside the guest's ({})\n", "memory-bound",
                            most_memory ? "yes" : "no",
                            most_memory ? fmt::format("{} MiB", *most_memory >> 20) : "there is no /proc");
}

struct Plan {
  machine::MachineConfig config;
  const MachineProcessOptions& options;
  SelfConfinement confinement;
  Descriptor channel;  ///< Ours in the supervisor, …
  Descriptor other;    ///< … and the machine process's.
  Descriptor null;
  std::optional<uint64_t> most_memory = {};
};

/// Waits for the supervisor, and ends if that has gone.
void wait_for_release(const Descriptor& channel) {
  char byte = 0;
  const Received received = receive_packet(channel.get(), {&byte, 1}, Attached::None, 0);
  if (received.size != 1 || byte != kRelease) ::_exit(kFailure);
}

bool supervisor_is_gone(int channel) {
  pollfd state{channel, 0, 0};
  return ::poll(&state, 1, 0) != 0;
}

/// Everything but the second filter. Returns the channel's number.
int give_up_most(Plan& plan) {
  forget_environment();
  ::prctl(PR_SET_NAME, "vitrine-machine", 0, 0, 0);
  Collector collector;
  collector.add(plan.config);
  std::vector<int> kept = std::move(collector).numbers();
  for (const int number : {STDIN_FILENO, STDOUT_FILENO}) {
    // Started without standard input, the first file that was opened has its number.
    if (std::ranges::find(kept, number) != kept.end()) continue;
    ::dup2(plan.null.get(), number);
    kept.push_back(number);
  }
  kept.push_back(STDERR_FILENO);
  const int channel = place_above(plan.other.get(), kept);
  if (channel < 0) fail(error_from_errno("cannot place", "the socket to the supervisor"));
  kept.push_back(channel);
  require(plan.confinement.keep_descriptors(std::move(kept), 0));
  require(plan.confinement.give_up_privileges());
  SelfConfinement::end_with_parent();
  if (supervisor_is_gone(channel)) ::_exit(kFailure);
  plan.confinement.deny_write_execute();
  require(plan.confinement.give_up_files());
  return channel;
}

/// The last step, and the word to the supervisor.
Result<void> seal(SelfConfinement& confinement, const SelfFilter& filter, int channel) {
  // There will be no other thread or process: where a user has more of them, the filter says so.
  constexpr rlimit kNone{0, 0};
  (void)::setrlimit(RLIMIT_NPROC, &kNone);
  const Descriptor listener = TRY(confinement.install(filter));
  if (send_packet(channel, encode(MachineRequest{}), listener.get(), 0)) return {};
  return std::unexpected(no_answer());
}

[[noreturn]] void be_machine(Plan& plan) {
  plan.channel.reset();  // Else it would never be seen to be closed.
  wait_for_release(plan.other);
  plan.config.signals = require(take_machine_signals());
  const int channel = give_up_most(plan);
  const MachineCaller caller{
      .own = ::getpid(),
      .channel = channel,
      .denies_write_execute = plan.confinement.took(sandbox::Mechanism::DenyWriteExecute)};
  const SelfFilter building(machine_calls(MachinePhase::Building, caller), sandbox::OtherCalls::Fail);
  const SelfFilter running(machine_calls(MachinePhase::Running, caller), kOthers);
  (void)require(plan.confinement.install(building));
  plan.config.confinement = describe(plan.confinement.measures(), plan.most_memory);

  RemoteFileService files(channel);
  const auto ready = [&]() -> Result<void> {
    if (auto sealed = seal(plan.confinement, running, channel); !sealed) return sealed;
    if (!plan.options.instead_of_guest) return {};
    // Not back into the machine: its threads, if any, are as confined as this one.
    std::fflush(nullptr);
    ::_exit(plan.options.instead_of_guest());
  };
  const Result<int> status = machine::run_machine(std::move(plan.config), files, ready);
  if (!status) fail(status.error());
  std::fflush(nullptr);
  ::_exit(*status);
}

/// Unless the user has asked for more of it already.
void go_first_without_memory() {
  const Descriptor score(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  char present[16] = {};
  if (!score || ::read(score.get(), present, sizeof present - 1) <= 0 || std::atoi(present) >= kSooner)
    return;
  const std::string text = std::to_string(kSooner);
  (void)!::pwrite(score.get(), text.data(), text.size(), 0);
}

/// Between the two forks.
[[noreturn]] void be_between(Plan& plan, int report) {
  go_first_without_memory();
  plan.confinement.leave_namespaces();
  const pid_t pid = ::fork();
  if (pid == 0) be_machine(plan);
  const int answer = pid > 0 ? pid : -errno;
  (void)!::write(report, &answer, sizeof answer);
  ::_exit(0);
}

Result<pid_t> fork_twice(Plan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(error_from_errno("cannot make a pipe", ""));
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  std::fflush(nullptr);
  const pid_t between = ::fork();
  if (between == 0) be_between(plan, writer.get());
  if (between < 0) return std::unexpected(error_from_errno("cannot start the machine process", ""));
  writer.reset();
  int answer = 0;
  const bool answered = ::read(reader.get(), &answer, sizeof answer) == sizeof answer;
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!answered || answer < 0) {
    return std::unexpected(
        Error{"cannot start the machine process", "", answer < 0 ? -answer : 0, "see 'ulimit -u'"});
  }
  return answer;
}

}  // namespace

Result<MachineProcess> start_machine_process(machine::MachineConfig config,
                                             const MachineProcessOptions& options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(error_from_errno("cannot make a socket to", "the machine process"));
  Plan plan{.config = std::move(config),
            .options = options,
            .confinement = SelfConfinement(options.without),
            .channel = Descriptor(ends[0]),
            .other = Descriptor(ends[1]),
            .null = Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC))};
  if (!plan.null) return std::unexpected(error_from_errno("cannot open", "/dev/null"));
  if (::access("/proc/self/status", R_OK) == 0) plan.most_memory = kMoreMemory + 2 * plan.config.memory_size;
  // The machine process comes to us when the one between ends, whatever else is around.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  auto pid = fork_twice(plan);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  if (!pid) return std::unexpected(pid.error());
  return MachineProcess{*pid, std::move(plan.channel), plan.most_memory};
}

Result<void> release_machine(const MachineProcess& process) {
  if (send_packet(process.channel.get(), {&kRelease, 1}, -1, 0)) return {};
  return std::unexpected(error_from_errno("cannot start the machine process", ""));
}

}  // namespace vitrine::cli

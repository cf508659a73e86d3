// `vitrine box`: one program, holding only what was named. See docs/box.md.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "cli/box_options.h"
#include "cli/box_report.h"
#include "cli/commands.h"
#include "cli/token_argument.h"
#include "sandbox/child.h"
#include "sandbox/file_view.h"

namespace vitrine::cli {
namespace {

sandbox::Policy policy_from(const BoxOptions& options) {
  sandbox::Policy policy = sandbox::Policy::compute_only();
  for (const std::string& path : options.readable) policy.read(path);
  for (const std::string& path : options.writable) policy.read_and_write(path);
  if (options.temporary) policy.temporary_files(*options.temporary);
  policy.system_libraries(!options.bare);
  if (options.exec) policy.allow(sandbox::MayStartPrograms{});
  if (options.jit) policy.allow(sandbox::MayMapExecutableMemory{});
  if (options.loopback) policy.allow(sandbox::MayUseLoopback{});
  for (const sandbox::Guarantee guarantee : options.lacks) policy.allow(sandbox::MayLack{guarantee});
  for (const sandbox::Guarantee guarantee : options.required) policy.require(guarantee);
  if (options.strict) policy.on_violation(sandbox::OnViolation::End);
  if (options.learn) policy.record_paths();
  return policy.limit(options.limits);
}

/// What programs expect to find; everything else is named by --env.
std::vector<std::string> environment_from(const BoxOptions& options) {
  std::vector<std::string> environment = options.environment;
  for (const std::string& fallback :
       {std::string("PATH=/usr/local/bin:/usr/bin:/bin"), std::string("LANG=C.UTF-8"),
        std::string(options.temporary ? "HOME=/tmp" : "HOME=/")}) {
    const std::string name = fallback.substr(0, fallback.find('=') + 1);
    bool named = false;
    for (const std::string& variable : environment) named |= variable.starts_with(name);
    if (!named) environment.push_back(fallback);
  }
  return environment;
}

/// By name, or at the token service.
Result<Descriptor> open_wanted(const BoxDescriptor& wanted) {
  if (is_token_argument(wanted.path)) {
    auto redeemed = TRY(redeem_argument(wanted.path, capability::rights_of_access(wanted.flags)));
    return std::move(redeemed).release();
  }
  Descriptor file(::open(wanted.path.c_str(), wanted.flags | O_CLOEXEC | O_NOCTTY, 0666));
  if (file) return file;
  return std::unexpected(
      error_from_errno(fmt::format("cannot open for descriptor {}", wanted.number), wanted.path));
}

/// The directories that the policy points to.
Result<std::vector<Descriptor>> open_directories(const BoxOptions& options, sandbox::Policy& policy) {
  using enum capability::Right;
  std::vector<Descriptor> opened;
  for (const BoxDirectory& directory : options.directories) {
    capability::Rights rights = Read | Lookup | List | Handle;
    if (options.exec) rights = rights | Execute;
    if (directory.writable) rights = rights | Write | Create | Remove;
    auto redeemed = redeem_argument(directory.token, rights);
    if (!redeemed) {
      // A token is a secret: the place says which it is.
      return std::unexpected(
          Error{fmt::format("cannot grant a directory by token, --{}", directory.writable ? "rw" : "ro"),
                directory.place, 0, redeemed.error().message()});
    }
    opened.push_back(std::move(*redeemed).release());
    policy.directory(opened.back().get(), directory.place,
                     directory.writable ? sandbox::PathRights::ReadWrite : sandbox::PathRights::Read);
  }
  return opened;
}

/// The descriptors that the request points to.
Result<std::vector<Descriptor>> open_descriptors(const BoxOptions& options, sandbox::SpawnRequest& request) {
  std::vector<Descriptor> opened;
  for (const BoxDescriptor& wanted : options.descriptors) {
    opened.push_back(TRY(open_wanted(wanted)));
    request.descriptors.emplace_back(wanted.number, opened.back().get());
  }
  for (int number = 0; number <= 2; ++number) {
    bool named = false;
    for (const BoxDescriptor& wanted : options.descriptors) named |= wanted.number == number;
    // A descriptor that we do not have ourselves becomes /dev/null.
    if (!named && ::fcntl(number, F_GETFD) >= 0) request.descriptors.emplace_back(number, number);
  }
  for (const auto& [number, ours] : request.descriptors) {
    // A terminal is kept out of reach as well: what the program writes comes to it through us.
    if ((number == 1 || number == 2) && (options.limits.output || ::isatty(ours) == 1))
      request.counted.push_back(number);
  }
  return opened;
}

Result<std::string> present_directory(const BoxOptions& options) {
  for (const BoxDirectory& directory : options.directories) {
    if (sandbox::is_beneath(options.working_directory, directory.place)) return options.working_directory;
  }
  std::error_code error;
  if (options.working_directory.empty()) {
    // getcwd(3): without links.
    const std::filesystem::path present = std::filesystem::current_path(error);
    return error ? "/" : present.string();
  }
  const std::filesystem::path real = std::filesystem::canonical(options.working_directory, error);
  if (!error) return real.string();
  return std::unexpected(Error{"--dir: there is no directory", options.working_directory, error.value()});
}

/// Can be read when somebody wants vitrine to end, with Ctrl-C or by kill(1); from here on that ends the box,
/// and not vitrine before it.
Result<Descriptor> take_end_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Descriptor taken(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (taken) return taken;
  return std::unexpected(error_from_errno("cannot wait for", "signals"));
}

Result<void> write_report(const BoxOptions& options, const std::string& text) {
  if (options.report_file.empty()) {
    fmt::print(stderr, "{}", text);
    return {};
  }
  const Descriptor file(::open(options.report_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::unexpected(error_from_errno("cannot write the report", options.report_file));
  }
  return {};
}

Result<int> explain(const BoxOptions& options, const sandbox::Policy& policy,
                    const sandbox::SpawnRequest& request) {
  const auto explanation = TRY(sandbox::Child::explain(policy, request));
  fmt::print("{}", options.report == ReportFormat::Json ? json_explanation(explanation)
                                                        : text_explanation(options, explanation));
  return kSuccess;
}

Result<void> report(const BoxOptions& options, const sandbox::Policy& policy,
                    const sandbox::SpawnRequest& request, const sandbox::Outcome& outcome) {
  std::string text;
  if (options.learn) {
    const auto explanation = TRY(sandbox::Child::explain(policy, request));
    text = learned_options(options, outcome, explanation.grants, request.working_directory);
  } else if (options.report == ReportFormat::Json) {
    text = json_report(outcome);
  } else if (options.report == ReportFormat::Text) {
    text = text_report(outcome);
  } else if (verdict_of(outcome) != Verdict::Ok) {
    text = fmt::format("vitrine box: {}\n", one_line(outcome));
  }
  return write_report(options, text);
}

Result<int> run(const BoxOptions& options) {
  sandbox::SpawnRequest request{.arguments = options.program,
                                .environment = environment_from(options),
                                .working_directory = TRY(present_directory(options)),
                                .without = options.disabled};
  sandbox::Policy policy = policy_from(options);
  const std::vector<Descriptor> directories = TRY(open_directories(options, policy));
  if (options.explain) return explain(options, policy, request);
  // Held until the child has its copies.
  std::vector<Descriptor> opened = TRY(open_descriptors(options, request));
  const Descriptor end = TRY(take_end_signals());
  auto child = TRY(sandbox::Child::spawn(policy, request));
  opened.clear();
  const sandbox::Outcome outcome = TRY(child.wait(end.get()));
  if (auto reported = report(options, policy, request, outcome); !reported)
    return std::unexpected(reported.error());
  return static_cast<int>(verdict_of(outcome));
}

}  // namespace

int box_command(std::span<const std::string_view> arguments) {
  const auto options = parse_box_options(arguments);
  if (!options) {
    fmt::print(stderr, "vitrine: {}\n", options.error().message());
    return kUsageError;
  }
  if (options->information) {
    fmt::print("{}", *options->information);
    return kSuccess;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto status = run(*options);
  if (status) return *status;
  if (options->report == ReportFormat::Json) {
    if (write_report(*options, json_failure(status.error()))) return kFailure;
  }
  fmt::print(stderr, "vitrine box: {}\n", status.error().message());
  return kFailure;
}

}  // namespace vitrine::cli

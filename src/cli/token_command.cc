// `vitrine token`: the service of sparse capabilities, and its clients.

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <utility>

#include "capability/directory.h"
#include "capability/json_string.h"
#include "capability/token_client.h"
#include "capability/token_server.h"
#include "cli/commands.h"
#include "cli/host_signals.h"
#include "cli/token_argument.h"
#include "cli/token_options.h"

namespace vitrine::cli {
namespace {

using namespace capability;

int report(const Error& error, ExitStatus status = kFailure) {
  fmt::print(stderr, "vitrine: {}\n", error.message());
  return status;
}

/// Turns a Result's Error into the message and the status of the process.
int finish(const Result<int>& result) {
  return result ? *result : report(result.error());
}

Result<TokenClient> connect(const TokenOptions& options) {
  const std::string socket = TRY(token_socket(options.socket));
  return TokenClient::connect(socket);
}

Result<Token> token_operand(const TokenOptions& options) {
  if (options.operand) return read_token(*options.operand);
  return std::unexpected(Error{"a token is missing", "", 0, "vitrine token --help shows where"});
}

// --- serve ---

/// Lines with the date in front, to a file or to standard error.
Result<AuditLog> open_audit_log(const std::string& path) {
  // A std::function is copied, so its state is shared.
  auto file = std::make_shared<Descriptor>(
      path.empty() ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                   : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  if (!*file) return std::unexpected(error_from_errno("cannot open the audit log", path));
  return [file](std::string_view line) {
    const std::string dated = fmt::format("{{\"date\":\"{:%Y-%m-%dT%H:%M:%SZ}\",{}\n",
                                          fmt::gmtime(std::time(nullptr)), line.substr(1));
    return ::write(file->get(), dated.data(), dated.size()) == static_cast<ssize_t>(dated.size());
  };
}

/// A descriptor for each object and each client.
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<int> serve(const TokenOptions& options) {
  // Other processes of this user must not read the tokens out of our memory, nor may a core file have them.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0)
    return std::unexpected(
        error_from_errno("cannot keep other processes from reading this one's memory", ""));
  allow_many_descriptors();
  ignore_write_signals();
  const Descriptor stop = TRY(take_ending_signals());
  const std::string socket = TRY(token_socket(options.socket));
  AuditLog audit = TRY(open_audit_log(options.audit_file));
  TokenBroker broker = TRY(TokenBroker::create(::geteuid(), std::move(audit)));
  Descriptor listener = TRY(listen_for_channels(socket, options.mode));
  fmt::print(stderr, "vitrine: tokens are served at {}\n", socket);
  const auto served = TokenServer(std::move(listener), std::move(broker)).run(stop.get());
  ::unlink(socket.c_str());
  if (!served) return std::unexpected(served.error());
  return kSuccess;
}

// --- mint, narrow, redeem ---

Result<Capability> object_from_path(const std::string& path, std::optional<Rights> rights) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return open_directory(path, rights.value_or(Right::Lookup | Right::Read));
  const Rights wanted = rights.value_or(Right::Read);
  Descriptor file(::open(path.c_str(), access_mode(wanted) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return std::unexpected(error_from_errno("cannot open", path));
  if ((access_mode(wanted) & O_PATH) == 0)
    ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) & ~O_NONBLOCK);
  return Capability::adopt(Kind::File, std::move(file), wanted);
}

Result<Capability> object_from_descriptor(int number, std::optional<Rights> rights) {
  Descriptor copy(::fcntl(number, F_DUPFD_CLOEXEC, 3));
  if (!copy) return std::unexpected(error_from_errno("there is no descriptor", std::to_string(number)));
  const Kind kind = TRY(kind_of(copy.get()));
  const Capability whole = TRY(Capability::adopt(kind, std::move(copy)));
  return whole.narrowed(rights.value_or(whole.rights()));
}

Result<int> mint(const TokenOptions& options) {
  if (options.operand.has_value() == options.descriptor.has_value())
    return std::unexpected(Error{"mint takes a file's name, or --fd N", ""});
  const Capability object = options.descriptor
                                ? TRY(object_from_descriptor(*options.descriptor, options.rights))
                                : TRY(object_from_path(*options.operand, options.rights));
  TokenClient client = TRY(connect(options));
  const std::string name = !options.name.empty() ? options.name : options.operand.value_or("");
  const Issued issued = TRY(client.mint(object, name, options.lifetime));
  fmt::print("{}\n", issued.token.text());
  return kSuccess;
}

Result<int> narrow(const TokenOptions& options) {
  const Token token = TRY(token_operand(options));
  if (!options.rights && !options.lifetime)
    return std::unexpected(Error{"narrow needs --rights or --expires", ""});
  TokenClient client = TRY(connect(options));
  const Issued issued = TRY(client.narrow(token, options.rights, options.lifetime));
  fmt::print("{}\n", issued.token.text());
  return kSuccess;
}

std::string substituted(std::string argument, int number) {
  const std::pair<std::string_view, std::string> kinds[] = {{"{}", fmt::format("/dev/fd/{}", number)},
                                                            {"{fd}", fmt::format("{}", number)}};
  for (const auto& [pattern, value] : kinds) {
    for (size_t at = 0; (at = argument.find(pattern, at)) != argument.npos; at += value.size())
      argument.replace(at, pattern.size(), value);
  }
  return argument;
}

/// Becomes the program, which finds the descriptor under the number. Returns only when that fails.
Error execute(const std::vector<std::string>& program, Descriptor descriptor, int number) {
  std::vector<std::string> words;
  words.reserve(program.size());
  for (const std::string& word : program) words.push_back(substituted(word, number));
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  if (descriptor.get() == number) {
    ::fcntl(number, F_SETFD, 0);
    (void)descriptor.release();
  } else if (::dup2(descriptor.get(), number) < 0) {
    return error_from_errno("cannot use the descriptor", std::to_string(number));
  }
  ::execvp(pointers[0], pointers.data());
  return error_from_errno("cannot execute", words[0]);
}

Result<int> redeem(const TokenOptions& options) {
  if (options.program.empty())
    return std::unexpected(Error{"redeem needs a program for the descriptor", "", 0, "-- PROGRAM {} …"});
  const Token token = TRY(token_operand(options));
  Descriptor descriptor;
  {
    TokenClient client = TRY(connect(options));
    descriptor = TRY(client.redeem(token, options.rights, options.path)).release();
  }
  return std::unexpected(execute(options.program, std::move(descriptor), options.descriptor.value_or(3)));
}

// --- list, revoke ---

std::string lifetime_left(const TokenRecord& record, Time now) {
  if (!record.expires) return "-";
  return fmt::format("{} s", std::chrono::duration_cast<std::chrono::seconds>(*record.expires - now).count());
}

void print_json(const ListReply& list) {
  fmt::print("[");
  const char* separator = "";
  for (const TokenRecord& each : list.records) {
    const auto left = each.expires ? fmt::format("{}", (*each.expires - list.now).count()) : "null";
    fmt::print(
        "{}\n  {{\"number\":{},\"parent\":{},\"kind\":\"{}\",\"rights\":\"{}\",\"owner\":{},\"redeemed\":{},"
        "\"expires_in_ms\":{},\"name\":{}}}",
        std::exchange(separator, ","), each.number, each.parent, name_of(each.kind), to_string(each.rights),
        each.owner, each.redeemed, left, json_string(each.name));
  }
  fmt::print("\n]\n");
}

Result<int> list(const TokenOptions& options) {
  TokenClient client = TRY(connect(options));
  const ListReply list = TRY(client.list());
  if (options.json) {
    print_json(list);
    return kSuccess;
  }
  constexpr auto kRow = "{:>6} {:>6} {:<13} {:<24} {:>7} {:>8} {:>9} {}\n";
  fmt::print(kRow, "number", "parent", "kind", "rights", "owner", "redeemed", "expires", "name");
  for (const TokenRecord& each : list.records) {
    // A name is whatever somebody chose: it must not reach the terminal as it is.
    fmt::print(kRow, each.number, each.parent, name_of(each.kind), to_string(each.rights), each.owner,
               each.redeemed, lifetime_left(each, list.now), json_string(each.name));
  }
  return kSuccess;
}

Result<int> revoke(const TokenOptions& options) {
  if (options.operand.has_value() == options.number.has_value())
    return std::unexpected(Error{"revoke takes a token, or --number N", ""});
  RevokeRequest request{options.number.value_or(0)};
  if (options.operand) request.which = TRY(token_operand(options));
  TokenClient client = TRY(connect(options));
  const uint64_t count = TRY(client.revoke(request));
  fmt::print("{} token{} revoked\n", count, count == 1 ? "" : "s");
  return kSuccess;
}

template <Result<int> (*run)(const TokenOptions&)>
int finished(const TokenOptions& options) {
  return finish(run(options));
}

constexpr TokenSubcommand kSubcommands[] = {
    {"serve", "", false, "keeps tokens until it is ended (SIGTERM)", finished<serve>},
    {"mint", "FILE", false, "prints a new token for a file, a directory or a descriptor", finished<mint>},
    {"narrow", "TOKEN", false, "prints a token for less", finished<narrow>},
    {"redeem", "TOKEN", true, "runs a program with the descriptor", finished<redeem>},
    {"list", "", false, "shows all tokens, without their digits", finished<list>},
    {"revoke", "TOKEN", false, "ends a token and everything narrowed from it", finished<revoke>},
};

}  // namespace

int token_command(std::span<const std::string_view> arguments) {
  if (arguments.empty())
    return report(Error{"token: a subcommand is missing", "", 0, "vitrine token --help lists them"},
                  kUsageError);
  const auto wants_help = [](std::string_view word) { return word == "--help" || word == "-h"; };
  const auto own =
      arguments.first(static_cast<size_t>(std::ranges::find(arguments, "--") - arguments.begin()));
  if (std::ranges::any_of(own, wants_help)) {
    fmt::print("{}", token_help(kSubcommands));
    return kSuccess;
  }
  const auto* subcommand = std::ranges::find(kSubcommands, arguments[0], &TokenSubcommand::name);
  if (subcommand == std::end(kSubcommands)) {
    return report(Error{"token: there is no subcommand", std::string(arguments[0]), 0,
                        "vitrine token --help lists them"},
                  kUsageError);
  }
  const auto options = parse_token_options(*subcommand, arguments.subspan(1));
  if (!options) return report(options.error(), kUsageError);
  return subcommand->run(*options);
}

}  // namespace vitrine::cli

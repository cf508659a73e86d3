#include "cli/token_argument.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "capability/token_client.h"

namespace vitrine::cli {
namespace {

using capability::Capability;
using capability::Rights;
using capability::Token;

constexpr std::string_view kPrefix = "token:";

/// By C's streams: those of C++ make locales before main(), in each start of `vitrine-box`.
std::string read_line(std::FILE* stream) {
  std::string line;
  for (int character; (character = std::getc(stream)) != EOF && character != '\n';)
    line.push_back(static_cast<char>(character));
  return line;
}

}  // namespace

Result<Token> read_token(std::string_view argument) {
  if (argument == "-") return Token::parse(read_line(stdin));
  if (!argument.starts_with('@')) return Token::parse(argument);
  const std::string path(argument.substr(1));
  const std::unique_ptr<std::FILE, decltype([](std::FILE* file) { std::fclose(file); })> file(
      std::fopen(path.c_str(), "re"));
  if (!file) return std::unexpected(error_from_errno("cannot read a token from", path));
  return Token::parse(read_line(file.get()));
}

Result<std::string> token_socket(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* path = std::getenv("VITRINE_TOKENS"); path != nullptr && *path != 0) return path;
  if (const char* directory = std::getenv("XDG_RUNTIME_DIR"); directory != nullptr && *directory != 0)
    return std::string(directory) + "/vitrine-tokens";
  return std::unexpected(Error{"it is not known where the token service listens", "", 0,
                               "--socket PATH or VITRINE_TOKENS says so"});
}

bool is_token_argument(std::string_view argument) {
  return argument.starts_with(kPrefix);
}

Result<Capability> redeem_argument(std::string_view argument, std::optional<Rights> rights) {
  argument.remove_prefix(kPrefix.size());
  std::string path;
  // "@FILE" has slashes of its own.
  if (const size_t slash = argument.find('/'); slash != argument.npos && !argument.starts_with('@')) {
    path = argument.substr(slash + 1);
    argument = argument.substr(0, slash);
  }
  const Token token = TRY(read_token(argument));
  const std::string socket = TRY(token_socket());
  capability::TokenClient client = TRY(capability::TokenClient::connect(socket));
  return client.redeem(token, rights, std::move(path));
}

}  // namespace vitrine::cli

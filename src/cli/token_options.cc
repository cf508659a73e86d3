#include "cli/token_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/suggestion.h"

namespace vitrine::cli {
namespace {

Result<uint64_t> number(std::string_view option, std::string_view text, uint64_t most, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error == std::errc() && end == text.data() + text.size() && value <= most) return value;
  return std::unexpected(Error{fmt::format("{}: not a number up to {}:", option, most), std::string(text)});
}

Result<void> set_socket(TokenOptions& options, std::string_view argument) {
  options.socket = argument;
  return {};
}
Result<void> set_mode(TokenOptions& options, std::string_view argument) {
  options.mode = static_cast<mode_t>(TRY(number("--mode", argument, 0777, 8)));
  return {};
}
Result<void> set_audit(TokenOptions& options, std::string_view argument) {
  options.audit_file = argument;
  return {};
}
Result<void> set_rights(TokenOptions& options, std::string_view argument) {
  options.rights = TRY(capability::parse_rights(argument));
  return {};
}
Result<void> set_lifetime(TokenOptions& options, std::string_view argument) {
  // A century: what is longer is meant to be for ever.
  options.lifetime = std::chrono::seconds(TRY(number("--expires", argument, uint64_t{3'155'760'000})));
  return {};
}
Result<void> set_name(TokenOptions& options, std::string_view argument) {
  options.name = argument;
  return {};
}
Result<void> set_descriptor(TokenOptions& options, std::string_view argument) {
  options.descriptor = static_cast<int>(TRY(number("--fd", argument, 65536)));
  return {};
}
Result<void> set_path(TokenOptions& options, std::string_view argument) {
  options.path = argument;
  return {};
}
Result<void> set_json(TokenOptions& options, std::string_view) {
  options.json = true;
  return {};
}
Result<void> set_number(TokenOptions& options, std::string_view argument) {
  options.number = TRY(number("--number", argument, UINT64_MAX));
  return {};
}

constexpr TokenOption kOptions[] = {
    {"--socket", "PATH", "",
     "where the service listens (default VITRINE_TOKENS, XDG_RUNTIME_DIR/vitrine-tokens)", set_socket},
    {"--mode", "OCTAL", " serve ", "who may connect, as a file's mode (default 0600: this user)", set_mode},
    {"--audit", "FILE", " serve ", "the log of all requests (default: standard error)", set_audit},
    {"--rights", "RIGHT,…", " mint narrow redeem ",
     "which rights (mint: default read; directory: lookup,read)", set_rights},
    {"--expires", "SECONDS", " mint narrow ", "how long it lasts (default: until it is revoked)",
     set_lifetime},
    {"--name", "TEXT", " mint ", "how list shows it (default: the file's name)", set_name},
    {"--fd", "N", " mint redeem ", "mint: an open descriptor; redeem: its number in the program (default 3)",
     set_descriptor},
    {"--path", "PATH", " redeem ", "which file beneath the token's directory", set_path},
    {"--json", "", " list ", "as JSON", set_json},
    {"--number", "N", " revoke ", "by the number that list shows", set_number},
};

bool belongs(const TokenOption& option, std::string_view subcommand) {
  return option.subcommands.empty() ||
         option.subcommands.find(fmt::format(" {} ", subcommand)) != std::string_view::npos;
}

Error unknown_option(const TokenSubcommand& subcommand, std::string_view word) {
  std::vector<std::string_view> names;
  for (const TokenOption& option : kOptions) {
    if (belongs(option, subcommand.name)) names.push_back(option.name);
  }
  const auto meant = suggest(word, names);
  return Error{fmt::format("token {} has no option", subcommand.name), std::string(word), 0,
               meant ? fmt::format("did you mean {}?", *meant) : "vitrine token --help lists them"};
}

Result<void> take_operand(const TokenSubcommand& subcommand, TokenOptions& options, std::string_view word) {
  if (subcommand.operand.empty() || options.operand)
    return std::unexpected(Error{fmt::format("token {}: one word too many", subcommand.name), ""});
  options.operand = word;
  return {};
}

}  // namespace

std::span<const TokenOption> token_options() {
  return kOptions;
}

Result<TokenOptions> parse_token_options(const TokenSubcommand& subcommand,
                                         std::span<const std::string_view> arguments) {
  TokenOptions options;
  while (!arguments.empty()) {
    std::string_view word = arguments[0];
    arguments = arguments.subspan(1);
    if (word == "--") {
      options.program.assign(arguments.begin(), arguments.end());
      if (subcommand.takes_program) return options;
      return std::unexpected(Error{fmt::format("token {} starts no program", subcommand.name), ""});
    }
    // A single dash is a token on standard input.
    if (!word.starts_with("--")) {
      if (auto taken = take_operand(subcommand, options, word); !taken) return std::unexpected(taken.error());
      continue;
    }
    const size_t equals = word.find('=');
    const auto* option = std::ranges::find(kOptions, word.substr(0, equals), &TokenOption::name);
    if (option == std::end(kOptions) || !belongs(*option, subcommand.name))
      return std::unexpected(unknown_option(subcommand, word.substr(0, equals)));
    std::string_view argument;
    if (option->argument.empty() != (equals == word.npos) && option->argument.empty())
      return std::unexpected(Error{"takes no argument:", std::string(option->name)});
    if (!option->argument.empty() && equals != word.npos) {
      argument = word.substr(equals + 1);
    } else if (!option->argument.empty()) {
      if (arguments.empty())
        return std::unexpected(
            Error{"needs an argument:", fmt::format("{} {}", option->name, option->argument)});
      argument = arguments[0];
      arguments = arguments.subspan(1);
    }
    if (auto set = option->handler(options, argument); !set) return std::unexpected(set.error());
  }
  return options;
}

std::string token_help(std::span<const TokenSubcommand> subcommands) {
  std::string text =
      "Usage: vitrine token SUBCOMMAND [OPTION…]\n\nTokens are 128 random bits that name an object and "
      "rights: whoever "
      "knows one has them.\n\nSubcommands:\n";
  for (const TokenSubcommand& each : subcommands) {
    const std::string words =
        fmt::format("{} {}{}", each.name, each.operand, each.takes_program ? " -- PROGRAM…" : "");
    text += fmt::format("  {:<27} {}\n", words, each.help);
  }
  text += "\nOptions:\n";
  for (const TokenOption& each : kOptions)
    text += fmt::format("  {:<27} {}\n", fmt::format("{} {}", each.name, each.argument), each.help);
  text +=
      "\nA TOKEN is 32 hexadecimal digits, @FILE (its first line), or - (a line of standard input).\n"
      "In PROGRAM's arguments {} stands for /dev/fd/N and {fd} for N, the number of the redeemed "
      "descriptor.\nRights:\n";
  for (const capability::RightName& each : capability::right_names())
    text += fmt::format("  {:<27} {}\n", each.name, each.help);
  return text;
}

}  // namespace vitrine::cli

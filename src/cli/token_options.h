// The arguments of `vitrine token`: its subcommands and their options, one row each. The help is made from
// the rows, and the manual page is checked against them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "capability/rights.h"
#include "capability/token_table.h"

namespace vitrine::cli {

struct TokenOptions {
  std::string socket;
  // serve
  mode_t mode = 0600;
  std::string audit_file;
  // mint, narrow, redeem
  std::optional<capability::Rights> rights;
  std::optional<capability::Time> lifetime;
  std::string name;
  std::optional<int> descriptor;
  std::string path;
  // list, revoke
  bool json = false;
  std::optional<capability::TokenNumber> number;

  std::optional<std::string> operand;  ///< A token, or for mint a file's name.
  std::vector<std::string> program;    ///< Behind "--".
};

struct TokenSubcommand {
  std::string_view name;
  std::string_view operand;  ///< As help shows it; empty: none.
  bool takes_program;
  std::string_view help;
  int (*run)(const TokenOptions& options);
};

struct TokenOption {
  std::string_view name;         ///< With its dashes.
  std::string_view argument;     ///< Empty: none.
  std::string_view subcommands;  ///< Which it belongs to: " mint narrow "; empty: all.
  std::string_view help;
  Result<void> (*handler)(TokenOptions& options, std::string_view argument);
};

[[nodiscard]] std::span<const TokenOption> token_options();

/// Reads what follows the subcommand's name. An Error is the user's.
[[nodiscard]] Result<TokenOptions> parse_token_options(const TokenSubcommand& subcommand,
                                                       std::span<const std::string_view> arguments);

/// The text of `vitrine token --help`.
[[nodiscard]] std::string token_help(std::span<const TokenSubcommand> subcommands);

}  // namespace vitrine::cli

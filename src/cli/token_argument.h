// Tokens as they are named on a command line: by vitrine token, and where a file could stand.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "capability/capability.h"
#include "capability/token.h"

namespace vitrine::cli {

/// 32 hexadecimal digits; "@FILE": the first line of a file; "-": a line of standard input. The latter two
/// keep it from those who can list processes.
[[nodiscard]] Result<capability::Token> read_token(std::string_view argument);

/// Where the token service listens: `given`, else $VITRINE_TOKENS, else vitrine-tokens in $XDG_RUNTIME_DIR.
[[nodiscard]] Result<std::string> token_socket(const std::string& given = {});

/// What stands for a file by token: "token:TOKEN", or "token:TOKEN/PATH" for a file beneath a directory's
/// token.
[[nodiscard]] bool is_token_argument(std::string_view argument);

/// Redeems it at the service of token_socket().
[[nodiscard]] Result<capability::Capability> redeem_argument(std::string_view argument,
                                                             std::optional<capability::Rights> rights);

}  // namespace vitrine::cli

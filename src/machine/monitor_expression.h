// The monitor's arithmetic: numbers (decimal, 0x, 0 octal), $registers, + - * / % & | ^ ~ << >> and
// parentheses, with C's precedence, in 64 bits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace vitrine::machine {

/// The value of a register by its name without the dollar.
using RegisterLookup = std::function<std::optional<uint64_t>(std::string_view name)>;

/// Reads one expression from the start of `text` and moves `text` behind it: it ends where no operator
/// follows.
[[nodiscard]] Result<uint64_t> take_expression(std::string_view& text, const RegisterLookup& registers);

/// As take_expression(), and nothing may follow.
[[nodiscard]] Result<uint64_t> evaluate_expression(std::string_view text, const RegisterLookup& registers);

}  // namespace vitrine::machine

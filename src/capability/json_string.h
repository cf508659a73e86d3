// A text in JSON.
#pragma once

#include <string>
#include <string_view>

namespace vitrine::capability {

/// With its quotes. What is no printable ASCII is escaped byte by byte (a name need not be UTF-8), so that it
/// is harmless on a terminal, too.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace vitrine::capability

// "Did you mean …?" for a mistyped name.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace vitrine::cli {

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
[[nodiscard]] unsigned edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, if it is near enough to have been meant.
[[nodiscard]] std::optional<std::string_view> suggest(std::string_view word,
                                                      std::span<const std::string_view> candidates);

}  // namespace vitrine::cli

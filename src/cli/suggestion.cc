#include "cli/suggestion.h"

#include <algorithm>
#include <vector>

namespace vitrine::cli {

unsigned edit_distance(std::string_view a, std::string_view b) {
  // Rows of the table of distances between prefixes: two back, one back, present.
  std::vector<unsigned> older(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = static_cast<unsigned>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = static_cast<unsigned>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const unsigned replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], older[j - 2] + 1);
      }
    }
    std::swap(older, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

std::optional<std::string_view> suggest(std::string_view word, std::span<const std::string_view> candidates) {
  std::optional<std::string_view> best;
  // A third of the word may be wrong, but of a short word at least one letter must be right.
  unsigned best_distance = static_cast<unsigned>(word.size()) / 3 + 1;
  if (word.size() <= best_distance) return std::nullopt;
  for (const std::string_view candidate : candidates) {
    const unsigned distance = edit_distance(word, candidate);
    if (distance > best_distance || (best && distance == best_distance)) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace vitrine::cli

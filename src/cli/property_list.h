// The comma-separated properties of an option's argument: "file=a.img,format=raw,snapshot". A doubled comma
// is a comma inside a value. A property without '=' means "on", except the first where a name is implied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace vitrine::cli {

class PropertyList {
 public:
  /// `option` ("-drive") is for messages. `implied_name`: of a first property without '='; empty if none.
  [[nodiscard]] static Result<PropertyList> parse(std::string_view option, std::string_view text,
                                                  std::string_view implied_name = {});

  /// Removes a property and returns its value; of several the last counts.
  [[nodiscard]] std::optional<std::string> take(std::string_view name);
  /// Removes a property that is on or off.
  [[nodiscard]] Result<std::optional<bool>> take_switch(std::string_view name);
  /// Removes a number, decimal or 0x hexadecimal, from 0 to `limit`.
  [[nodiscard]] Result<std::optional<uint64_t>> take_number(std::string_view name, uint64_t limit);
  /// An Error that names the first property that nobody took. `known`: what the option has, for the message.
  [[nodiscard]] Result<void> nothing_left(std::string_view known) const;

  [[nodiscard]] const std::string& option() const { return option_; }

 private:
  std::string option_;
  std::vector<std::pair<std::string, std::string>> properties_;
};

/// A whole number, decimal or with 0x.
[[nodiscard]] std::optional<uint64_t> parse_number(std::string_view text);
[[nodiscard]] std::optional<bool> parse_switch(std::string_view text);

}  // namespace vitrine::cli

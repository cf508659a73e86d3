// Names of keys, as `sendkey` takes them, and their scan codes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::machine {

struct KeyName {
  std::string_view name;
  uint16_t scancode;  ///< Of set 1; with E0h in the high byte when extended, E11Dh for Pause.
};
[[nodiscard]] std::span<const KeyName> key_names();

/// "ctrl-alt-delete" → scan codes, in order of pressing. A key can also be a number: 0x1e.
[[nodiscard]] Result<std::vector<uint16_t>> parse_key_combination(std::string_view text);

}  // namespace vitrine::machine

// Building families' tables: the same operation for several widths and forms.
#pragma once

#include <array>
#include <cstddef>

#include "cpu/dispatch.h"

namespace vitrine::cpu {

template <size_t... N>
[[nodiscard]] constexpr auto join(const std::array<InstructionRow, N>&... parts) {
  std::array<InstructionRow, (N + ...)> all{};
  size_t at = 0;
  const auto append = [&](const auto& part) {
    for (const InstructionRow& row : part) all[at++] = row;
  };
  (append(parts), ...);
  return all;
}

/// `Make<uint8_t>`, `<uint16_t>`, `<uint32_t>` one after the other; each gives an array of rows.
template <typename Make>
[[nodiscard]] constexpr auto for_all_widths(Make make) {
  return join(make.template operator()<uint8_t>(), make.template operator()<uint16_t>(),
              make.template operator()<uint32_t>());
}
template <typename Make>
[[nodiscard]] constexpr auto for_word_and_dword(Make make) {
  return join(make.template operator()<uint16_t>(), make.template operator()<uint32_t>());
}

}  // namespace vitrine::cpu

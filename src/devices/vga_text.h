// What a VGA in text mode says, as text: for tests, and for a monitor without a window.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "devices/vga_state.h"

namespace vitrine::devices {

struct VgaText {
  unsigned columns = 0;
  /// One string a row, UTF-8 from code page 437, without trailing blanks. Empty when the VGA is not in text
  /// mode.
  std::vector<std::string> lines;
  /// Where the cursor is; a row or column beyond the screen when it is elsewhere in memory.
  unsigned cursor_column = 0;
  unsigned cursor_row = 0;
};

/// `memory` is the frame buffer, at least 256 KiB.
[[nodiscard]] VgaText read_vga_text(const VgaState& state, std::span<const uint8_t> memory);

/// The character that the PC's own font shows for a byte.
[[nodiscard]] char32_t code_page_437(uint8_t character);

}  // namespace vitrine::devices

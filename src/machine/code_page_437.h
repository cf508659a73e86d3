// The PC's character set, for showing a text screen on a terminal.
#pragma once

#include <cstdint>
#include <string>

namespace vitrine::machine {

/// The character as UTF-8. Control characters' pictures show as dots, NUL and FFh as spaces.
[[nodiscard]] std::string code_page_437_to_utf8(uint8_t character);

}  // namespace vitrine::machine

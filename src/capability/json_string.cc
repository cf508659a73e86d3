#include "capability/json_string.h"

#include <fmt/format.h>

namespace vitrine::capability {

std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == '"' || byte == '\\') {
      quoted += '\\';
      quoted += character;
    } else if (byte >= 0x20 && byte < 0x7f) {
      quoted += character;
    } else {
      quoted += fmt::format("\\u{:04x}", byte);
    }
  }
  quoted += '"';
  return quoted;
}

}  // namespace vitrine::capability

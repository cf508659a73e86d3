#include "capability/token.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cctype>
#include <charconv>

namespace vitrine::capability {

Result<Token> Token::random() {
  Bytes bytes{};
  // getrandom(2): up to 256 bytes come whole, and no signal interrupts once the generator is seeded.
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return std::unexpected(error_from_errno("cannot get random bits for a token", ""));
  return Token(bytes);
}

Result<Token> Token::parse(std::string_view text) {
  Bytes bytes{};
  bool right = text.size() == 2 * kSize;
  for (size_t i = 0; right && i < kSize; ++i) {
    const char* start = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(start, start + 2, bytes[i], 16);
    right = error == std::errc() && end == start + 2;
  }
  if (right) return Token(bytes);
  return std::unexpected(Error{"this is no token", "", 0, "a token is 32 hexadecimal digits"});
}

std::string Token::text() const {
  std::string text;
  for (const uint8_t byte : bytes_) text += fmt::format("{:02x}", byte);
  return text;
}

bool Token::matches(const Token& other) const {
  uint8_t difference = 0;
  for (size_t i = 0; i < kSize; ++i) difference |= static_cast<uint8_t>(bytes_[i] ^ other.bytes_[i]);
  // Whether the compiler stops early: it cannot know that nothing is left to find but by looking at all
  // bytes, unless it adds a branch; the barrier takes the reason for one away.
  asm volatile("" : "+r"(difference));
  return difference == 0;
}

}  // namespace vitrine::capability

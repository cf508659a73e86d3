// A sparse capability: 128 random bits that name an object and rights in a table (token_table.h). Whoever
// knows them holds the capability; among 2^128 numbers nobody finds one by guessing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vitrine::capability {

class Token {
 public:
  static constexpr size_t kSize = 16;
  using Bytes = std::array<uint8_t, kSize>;

  explicit Token(const Bytes& bytes) : bytes_(bytes) {}
  /// From the kernel's generator, getrandom(2).
  [[nodiscard]] static Result<Token> random();
  /// 32 hexadecimal digits. The Error does not repeat the text: it may be a token with a slip of the pen.
  [[nodiscard]] static Result<Token> parse(std::string_view text);

  [[nodiscard]] std::string text() const;
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

  /// In constant time: how long it takes does not tell how much of a guess was right. There is no operator==.
  [[nodiscard]] bool matches(const Token& other) const;

 private:
  Bytes bytes_;
};

}  // namespace vitrine::capability

#include "capability/token.h"

#include <gtest/gtest.h>

#include <numeric>

#include "capability/siphash.h"

namespace vitrine::capability {
namespace {

TEST(SipHash, AgreesWithTheVectorOfItsAuthors) {
  // "SipHash: a fast short-input PRF", Appendix A: key 00…0f, input 00…0e.
  const SipHashKey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  uint8_t input[15];
  std::iota(std::begin(input), std::end(input), uint8_t{0});
  EXPECT_EQ(siphash(key, input), 0xa129ca6149be45e5u);
}

TEST(SipHash, DependsOnTheKey) {
  const uint8_t input[16] = {};
  EXPECT_NE(siphash({1, 2}, input), siphash({1, 3}, input));
}

TEST(Token, IsReadAsItIsWritten) {
  const auto token = Token::random();
  ASSERT_TRUE(token);
  EXPECT_EQ(token->text().size(), 32u);
  const auto again = Token::parse(token->text());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->matches(*token));
}

TEST(Token, IsNothingElse) {
  const std::string good(32, 'a');
  EXPECT_TRUE(Token::parse(good));
  EXPECT_FALSE(Token::parse(""));
  EXPECT_FALSE(Token::parse(good.substr(1)));
  EXPECT_FALSE(Token::parse(good + "a"));
  EXPECT_FALSE(Token::parse("-" + good.substr(1)));
  EXPECT_FALSE(Token::parse("g" + good.substr(1)));
  EXPECT_EQ(Token::parse("secret").error().message().find("secret"), std::string::npos);
}

TEST(Token, MatchesOnlyItself) {
  const auto token = Token::random();
  ASSERT_TRUE(token);
  for (size_t bit = 0; bit < 8 * Token::kSize; ++bit) {
    Token::Bytes bytes = token->bytes();
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(Token(bytes).matches(*token)) << bit;
  }
  EXPECT_FALSE(Token::random()->matches(*token));
}

}  // namespace
}  // namespace vitrine::capability

// What the token service and its clients say to each other, over a Channel: one request, one reply. Decoding
// believes nothing that the bytes do not hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "capability/token_table.h"

namespace vitrine::capability {

constexpr size_t kMaximumTokenName = 256;
constexpr size_t kMaximumTokenPath = 4096;
constexpr size_t kRecordsInReply = 64;

/// The object is attached to the message.
struct MintRequest {
  std::string name;
  std::optional<Time> lifetime;
};
struct NarrowRequest {
  Token token;
  std::optional<Rights> rights;  ///< None: all that the token has.
  std::optional<Time> lifetime;
};
struct RedeemRequest {
  Token token;
  std::optional<Rights> rights;  ///< None: all that the token has.
  std::string path;              ///< Of a directory's token: the file beneath that is wanted.
};
struct ListRequest {
  TokenNumber after = 0;
};
/// By the token, or by its number.
struct RevokeRequest {
  std::variant<Token, TokenNumber> which;
};
using TokenRequest = std::variant<MintRequest, NarrowRequest, RedeemRequest, ListRequest, RevokeRequest>;

struct IssuedReply {
  Issued issued;
};
/// The descriptor is attached to the message.
struct RedeemedReply {
  TokenNumber number = 0;
};
struct ListReply {
  std::vector<TokenRecord> records;  ///< Of kRecordsInReply there may be more behind the last.
  Time now{};                        ///< To compare with when they expire.
};
struct RevokedReply {
  uint64_t count = 0;
};
using TokenReply = std::variant<Error, IssuedReply, RedeemedReply, ListReply, RevokedReply>;

[[nodiscard]] std::string encode(const TokenRequest& request);
[[nodiscard]] Result<TokenRequest> decode_token_request(std::string_view bytes);
[[nodiscard]] std::string encode(const TokenReply& reply);
[[nodiscard]] Result<TokenReply> decode_token_reply(std::string_view bytes);

}  // namespace vitrine::capability

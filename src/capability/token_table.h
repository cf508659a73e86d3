// The one big table of sparse capabilities: tokens name objects and rights. Knows no sockets and no users'
// privileges (token_broker.h), and is told the time.
//
// Nothing about a token leaks by how long a look-up takes: tokens are found by a hash under a secret key, so
// that which bucket is searched tells nothing about what is in it, and every entry of the bucket is compared
// in constant time. Tokens are numbered for those who list and revoke; the numbers are no secret and give no
// rights.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "capability/capability.h"
#include "capability/siphash.h"
#include "capability/token.h"

namespace vitrine::capability {

/// Since any moment, the same for all calls.
using Time = std::chrono::milliseconds;

struct TokenLimits {
  size_t tokens = 4096;   ///< In all.
  size_t of_user = 1024;  ///< That one user has minted or narrowed.
  size_t objects = 512;   ///< Descriptors that the table holds.
  unsigned depth = 32;    ///< How often a token can be narrowed in a row.
};

using TokenNumber = uint64_t;  ///< From 1.

/// What is known of a token without knowing it.
struct TokenRecord {
  TokenNumber number = 0;
  TokenNumber parent = 0;  ///< 0: minted, not narrowed from another.
  unsigned depth = 0;
  Kind kind = Kind::File;
  Rights rights;
  uid_t owner = 0;  ///< Who minted or narrowed it.
  std::string name;
  std::optional<Time> expires;
  uint64_t redeemed = 0;
};

struct Issued {
  Token token;
  TokenNumber number;
};

class TokenTable {
 public:
  [[nodiscard]] static Result<TokenTable> create(const TokenLimits& limits = {});

  /// A token for `object`, with its rights. Error: a limit is reached; or its descriptor allows more than its
  /// rights (for a directory without Right::Handle that does not matter: its descriptor is never handed out).
  [[nodiscard]] Result<Issued> mint(Capability object, uid_t owner, std::string name,
                                    std::optional<Time> lifetime, Time now);
  /// Another token for the same object, with no more rights (none given: the same) and no longer life.
  /// Error: as mint().
  [[nodiscard]] Result<Issued> narrow(const Token& token, std::optional<Rights> rights, uid_t owner,
                                      std::optional<Time> lifetime, Time now);

  struct Found {
    TokenRecord* record;
    const Capability* object;  ///< Has at least the record's rights.
  };
  /// Error: unknown, revoked or expired; it does not say which. Until the next call.
  [[nodiscard]] Result<Found> find(const Token& token, Time now);
  [[nodiscard]] const TokenRecord* find(TokenNumber number) const;

  /// With everything that was narrowed from it. Returns how many tokens are gone.
  size_t revoke(TokenNumber number);
  /// Those whose time is over, and what was narrowed from them.
  size_t expire(Time now);

  /// Records in the order of their numbers, from the first above `after`.
  [[nodiscard]] std::vector<TokenRecord> list(TokenNumber after, size_t most) const;
  [[nodiscard]] size_t size() const { return entries_.size(); }
  [[nodiscard]] const TokenLimits& limits() const { return limits_; }

 private:
  struct Entry {
    Token token;
    TokenRecord record;
    std::shared_ptr<const Capability> object;
  };
  TokenTable(const TokenLimits& limits, const SipHashKey& key)
      : limits_(limits), key_(key), buckets_(kBuckets) {}

  [[nodiscard]] std::vector<TokenNumber>& bucket_of(const Token& token);
  [[nodiscard]] Result<void> check_limits(uid_t owner, bool new_object) const;
  [[nodiscard]] Result<Issued> add(TokenRecord record, std::shared_ptr<const Capability> object);
  void erase(TokenNumber number);

  static constexpr size_t kBuckets = 8192;
  TokenLimits limits_;
  SipHashKey key_;
  TokenNumber next_ = 1;
  std::map<TokenNumber, Entry> entries_;
  std::vector<std::vector<TokenNumber>> buckets_;
};

}  // namespace vitrine::capability

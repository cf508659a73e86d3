// Decides what a request to the token service gets: who may, how often, and what is handed out. Knows no
// sockets: a message comes in, a message goes out, and the time is an argument, so that tests and fuzzers
// drive it directly.
//
// Who may what, by the user at the other end of the socket (SO_PEERCRED):
//   mint          the service's own user and root. Not others: the service opens the object again with its
//   own
//                 rights, which must not be more than those of whoever handed it in.
//   list          the same
//   narrow        whoever knows a token
//   redeem        whoever knows a token
//   revoke        the service's own user, root, and who minted or narrowed that token
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "capability/channel.h"
#include "capability/rate_limit.h"
#include "capability/token_protocol.h"
#include "capability/token_table.h"

namespace vitrine::capability {

struct BrokerLimits {
  TokenLimits tokens;
  Rate requests{200, 100};  ///< Of one user.
  Rate failures{20, 2};     ///< Of one user: tokens that do not exist, and what he may not do.
  size_t users = 1024;      ///< Whose rates are kept.
};

/// Takes one line of the audit log: a JSON object that names no token, only its number. False: it could not
/// be written; then requests are refused until one can be.
using AuditLog = std::function<bool(std::string_view line)>;

class TokenBroker {
 public:
  /// `owner`: the service's own user.
  [[nodiscard]] static Result<TokenBroker> create(uid_t owner, AuditLog audit,
                                                  const BrokerLimits& limits = {});

  struct Answer {
    std::string payload;
    std::optional<Capability> capability;  ///< To be attached.
  };
  /// Answers any message from anybody.
  [[nodiscard]] Answer answer(Message message, const Peer& peer, Time now);
  /// For a message that could not be received: the same account is charged.
  void note_unreadable(const Peer& peer, const Error& why, Time now);

  [[nodiscard]] const TokenTable& table() const { return table_; }

 private:
  struct Account {
    RateLimit requests;
    RateLimit failures;
  };
  struct Outcome {
    TokenReply reply;
    std::optional<Capability> capability;
    TokenNumber number = 0;  ///< For the log.
  };

  TokenBroker(uid_t owner, AuditLog audit, const BrokerLimits& limits, TokenTable table);

  [[nodiscard]] Account& account_of(uid_t user, Time now);
  [[nodiscard]] bool is_administrator(const Peer& peer) const;
  [[nodiscard]] Result<Outcome> act(const TokenRequest& request, Message& message, const Peer& peer,
                                    Time now);
  [[nodiscard]] Result<Outcome> mint(const MintRequest& request, Message& message, const Peer& peer,
                                     Time now);
  [[nodiscard]] Result<Outcome> narrow(const NarrowRequest& request, const Peer& peer, Time now);
  [[nodiscard]] Result<Outcome> redeem(const RedeemRequest& request, Time now);
  [[nodiscard]] Result<Outcome> list(const ListRequest& request, const Peer& peer, Time now) const;
  [[nodiscard]] Result<Outcome> revoke(const RevokeRequest& request, const Peer& peer, Time now);
  void log(std::string_view operation, const Peer& peer, const Result<Outcome>& outcome, Time now);

  uid_t owner_;
  std::optional<uid_t> unmapped_user_;  ///< Stands for every user whom this user namespace does not know.
  AuditLog audit_;
  bool audit_works_ = true;
  BrokerLimits limits_;
  TokenTable table_;
  std::map<uid_t, Account> accounts_;
};

}  // namespace vitrine::capability

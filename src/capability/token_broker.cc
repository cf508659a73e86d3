#include "capability/token_broker.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "capability/directory.h"
#include "capability/json_string.h"

namespace vitrine::capability {
namespace {

Error not_allowed(std::string_view what, std::string_view who) {
  return Error{"not allowed:", std::string(what), EPERM, std::string(who)};
}

Error unwritten() {
  return Error{"the audit log could not be written", "", EIO, "tell who runs the service"};
}

std::string_view operation_of(const TokenRequest& request) {
  constexpr std::string_view kNames[] = {"mint", "narrow", "redeem", "list", "revoke"};
  static_assert(std::size(kNames) == std::variant_size_v<TokenRequest>);
  return kNames[request.index()];
}

/// user_namespaces(7): users without a mapping appear as this one. Where all users are mapped (the initial
/// namespace) it is a user like others.
std::optional<uid_t> read_overflow_user() {
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0;
  uint64_t outside = 0;
  uint64_t count = 0;
  if (map >> inside >> outside >> count && inside == 0 && count == UINT32_MAX) return std::nullopt;
  std::ifstream file("/proc/sys/kernel/overflowuid");
  uid_t user = 0;
  return file >> user ? std::optional(user) : std::nullopt;
}

/// What is handed out for a token. With a path, what lies beneath its directory there.
Result<Capability> hand_out(const TokenTable::Found& found, const RedeemRequest& request) {
  const Rights rights = with_implied(found.record->kind, request.rights.value_or(found.record->rights));
  if (!found.record->rights.covers(rights)) {
    return std::unexpected(Error{"the token has not the rights",
                                 to_string(rights.without(found.record->rights)), 0,
                                 fmt::format("it has {}", to_string(found.record->rights))});
  }
  if (found.record->kind != Kind::Directory) {
    if (request.path.empty()) return found.object->narrowed(rights);
    return std::unexpected(
        Error{"only a directory has paths; the token is for a", std::string(name_of(found.record->kind))});
  }
  if (request.path.empty()) {
    if (rights.has(Right::Handle)) return found.object->narrowed(rights);
    return std::unexpected(Error{"the token is for what is beneath a directory, not for its descriptor", "",
                                 0, "name a path, or mint it with the right handle"});
  }
  // The token's rights, not the object's: the same directory has tokens with fewer.
  const Capability directory = TRY(found.object->narrowed(found.record->rights));
  return open_beneath(directory, {.path = request.path, .rights = rights & rights_of(Kind::File)});
}

}  // namespace

Result<TokenBroker> TokenBroker::create(uid_t owner, AuditLog audit, const BrokerLimits& limits) {
  TokenTable table = TRY(TokenTable::create(limits.tokens));
  return TokenBroker(owner, std::move(audit), limits, std::move(table));
}

TokenBroker::TokenBroker(uid_t owner, AuditLog audit, const BrokerLimits& limits, TokenTable table)
    : owner_(owner),
      unmapped_user_(read_overflow_user()),
      audit_(std::move(audit)),
      limits_(limits),
      table_(std::move(table)) {}

TokenBroker::Account& TokenBroker::account_of(uid_t user, Time now) {
  if (accounts_.size() >= limits_.users && !accounts_.contains(user)) {
    // Whoever has done nothing for a while has no account to lose. Were all busy, somebody starts afresh.
    for (auto at = accounts_.begin(); at != accounts_.end();) {
      const bool unused = at->second.requests.full(now) && at->second.failures.full(now);
      at = unused ? accounts_.erase(at) : std::next(at);
    }
    if (accounts_.size() >= limits_.users) accounts_.erase(accounts_.begin());
  }
  return accounts_
      .try_emplace(user, Account{RateLimit(limits_.requests, now), RateLimit(limits_.failures, now)})
      .first->second;
}

bool TokenBroker::is_administrator(const Peer& peer) const {
  return (peer.user == owner_ || peer.user == 0) && peer.user != unmapped_user_;
}

TokenBroker::Answer TokenBroker::answer(Message message, const Peer& peer, Time now) {
  table_.expire(now);
  Account& account = account_of(peer.user, now);
  const auto request = decode_token_request(message.payload);
  Result<Outcome> outcome = [&]() -> Result<Outcome> {
    if (!account.requests.take(now) || account.failures.empty(now))
      return std::unexpected(Error{"too many requests", "", EAGAIN, "wait a second"});
    if (!audit_works_)
      return std::unexpected(
          Error{"the audit log could not be written", "", EIO, "tell who runs the service"});
    if (!request) return std::unexpected(request.error());
    return act(*request, message, peer, now);
  }();
  if (!outcome) (void)account.failures.take(now);
  log(request ? operation_of(*request) : "unreadable", peer, outcome, now);
  if (outcome && !audit_works_) {
    // What is not written down is not handed out. That something was revoked may stay.
    if (std::holds_alternative<IssuedReply>(outcome->reply)) table_.revoke(outcome->number);
    outcome = std::unexpected(unwritten());
  }
  if (!outcome) return {encode(TokenReply(outcome.error())), std::nullopt};
  return {encode(outcome->reply), std::move(outcome->capability)};
}

void TokenBroker::note_unreadable(const Peer& peer, const Error& why, Time now) {
  (void)account_of(peer.user, now).failures.take(now);
  log("unreadable", peer, std::unexpected(why), now);
}

Result<TokenBroker::Outcome> TokenBroker::act(const TokenRequest& request, Message& message, const Peer& peer,
                                              Time now) {
  if (const auto* mint_request = std::get_if<MintRequest>(&request))
    return mint(*mint_request, message, peer, now);
  if (!message.capabilities.empty())
    return std::unexpected(Error{"nothing is to be attached to this request", ""});
  if (const auto* narrow_request = std::get_if<NarrowRequest>(&request))
    return narrow(*narrow_request, peer, now);
  if (const auto* redeem_request = std::get_if<RedeemRequest>(&request)) return redeem(*redeem_request, now);
  if (const auto* list_request = std::get_if<ListRequest>(&request)) return list(*list_request, peer, now);
  return revoke(std::get<RevokeRequest>(request), peer, now);
}

Result<TokenBroker::Outcome> TokenBroker::mint(const MintRequest& request, Message& message, const Peer& peer,
                                               Time now) {
  if (!is_administrator(peer))
    return std::unexpected(not_allowed("minting", "tokens are minted by the service's own user and by root"));
  if (message.capabilities.size() != 1)
    return std::unexpected(Error{"exactly one object is to be attached for a token", ""});
  const Issued issued =
      TRY(table_.mint(std::move(message.capabilities[0]), peer.user, request.name, request.lifetime, now));
  return Outcome{IssuedReply{issued}, std::nullopt, issued.number};
}

Result<TokenBroker::Outcome> TokenBroker::narrow(const NarrowRequest& request, const Peer& peer, Time now) {
  const Issued issued = TRY(table_.narrow(request.token, request.rights, peer.user, request.lifetime, now));
  return Outcome{IssuedReply{issued}, std::nullopt, issued.number};
}

Result<TokenBroker::Outcome> TokenBroker::redeem(const RedeemRequest& request, Time now) {
  const TokenTable::Found found = TRY(table_.find(request.token, now));
  Capability capability = TRY(hand_out(found, request));
  const bool own_descriptor = capability.kind() == Kind::Directory;
  if (!own_descriptor && !capability.kernel_enforced()) {
    return std::unexpected(Error{
        "what would be handed out allows more than its rights", "", 0,
        fmt::format("the kernel cannot take away from its descriptor: {}", to_string(capability.excess()))});
  }
  found.record->redeemed += 1;
  return Outcome{RedeemedReply{found.record->number}, std::move(capability), found.record->number};
}

Result<TokenBroker::Outcome> TokenBroker::list(const ListRequest& request, const Peer& peer, Time now) const {
  if (!is_administrator(peer))
    return std::unexpected(not_allowed("listing", "tokens are listed by the service's own user and by root"));
  return Outcome{ListReply{table_.list(request.after, kRecordsInReply), now}, std::nullopt, 0};
}

Result<TokenBroker::Outcome> TokenBroker::revoke(const RevokeRequest& request, const Peer& peer, Time now) {
  const TokenRecord* record = nullptr;
  if (const auto* token = std::get_if<Token>(&request.which)) {
    record = TRY(table_.find(*token, now)).record;
  } else {
    record = table_.find(std::get<TokenNumber>(request.which));
  }
  const bool made_it = record != nullptr && record->owner == peer.user && peer.user != unmapped_user_;
  if (!is_administrator(peer) && !made_it)
    return std::unexpected(
        not_allowed("revoking", "a token is revoked by who made it, the service's user, and root"));
  if (record == nullptr) return std::unexpected(Error{"there is no token with this number", ""});
  const TokenNumber number = record->number;
  return Outcome{RevokedReply{table_.revoke(number)}, std::nullopt, number};
}

void TokenBroker::log(std::string_view operation, const Peer& peer, const Result<Outcome>& outcome,
                      Time now) {
  std::string line = fmt::format(R"({{"time_ms":{},"user":{},"process":{},"operation":"{}")", now.count(),
                                 peer.user, peer.process, operation);
  if (outcome) {
    const TokenRecord* record = outcome->number != 0 ? table_.find(outcome->number) : nullptr;
    if (outcome->number != 0) line += fmt::format(R"(,"token":{})", outcome->number);
    if (record != nullptr) {
      line += fmt::format(R"(,"parent":{},"rights":"{}","name":{})", record->parent,
                          to_string(record->rights), json_string(record->name));
    }
    if (const auto* revoked = std::get_if<RevokedReply>(&outcome->reply))
      line += fmt::format(R"(,"revoked":{})", revoked->count);
    line += R"(,"outcome":"done"})";
  } else {
    line += fmt::format(R"(,"outcome":"refused","why":{}}})", json_string(outcome.error().message()));
  }
  audit_works_ = audit_(line);
}

}  // namespace vitrine::capability

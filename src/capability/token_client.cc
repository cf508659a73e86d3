#include "capability/token_client.h"

namespace vitrine::capability {

Result<TokenClient> TokenClient::connect(const std::string& path) {
  return TokenClient(TRY(Channel::connect(path)));
}

template <typename Reply>
Result<Reply> TokenClient::ask(const TokenRequest& request, const Capability* attached) {
  std::vector<Outgoing> objects;
  // To the service, which is trusted with all that the descriptor allows: it keeps it.
  if (attached != nullptr) objects.push_back({attached, Excess::Accepted});
  if (auto sent = channel_.send(encode(request), objects); !sent) return std::unexpected(sent.error());
  auto message = TRY(channel_.receive());
  if (!message) {
    return std::unexpected(Error{"the token service has closed the connection", "", 0,
                                 "it has too many, or the request was not readable"});
  }
  received_ = std::move(message->capabilities);
  TokenReply reply = TRY(decode_token_reply(message->payload));
  if (const auto* error = std::get_if<Error>(&reply)) return std::unexpected(*error);
  if (auto* expected = std::get_if<Reply>(&reply)) return std::move(*expected);
  return std::unexpected(Error{"the token service has answered another question", ""});
}

Result<Issued> TokenClient::mint(const Capability& object, std::string name, std::optional<Time> lifetime) {
  if (name.size() > kMaximumTokenName) name.resize(kMaximumTokenName);
  return TRY(ask<IssuedReply>(MintRequest{std::move(name), lifetime}, &object)).issued;
}

Result<Issued> TokenClient::narrow(const Token& token, std::optional<Rights> rights,
                                   std::optional<Time> lifetime) {
  return TRY(ask<IssuedReply>(NarrowRequest{token, rights, lifetime})).issued;
}

Result<Capability> TokenClient::redeem(const Token& token, std::optional<Rights> rights, std::string path) {
  if (path.size() > kMaximumTokenPath)
    return std::unexpected(Error{"the path is too long", "", ENAMETOOLONG});
  if (auto reply = ask<RedeemedReply>(RedeemRequest{token, rights, std::move(path)}); !reply)
    return std::unexpected(reply.error());
  if (received_.size() != 1) return std::unexpected(Error{"the token service has sent no descriptor", ""});
  return std::move(received_[0]);
}

Result<ListReply> TokenClient::list() {
  ListReply all;
  while (true) {
    const TokenNumber after = all.records.empty() ? 0 : all.records.back().number;
    const auto part = TRY(ask<ListReply>(ListRequest{after}));
    all.now = part.now;
    all.records.insert(all.records.end(), part.records.begin(), part.records.end());
    if (part.records.size() < kRecordsInReply) return all;
  }
}

Result<uint64_t> TokenClient::revoke(const RevokeRequest& which) {
  return TRY(ask<RevokedReply>(which)).count;
}

}  // namespace vitrine::capability

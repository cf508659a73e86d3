// Asks a token service.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "capability/channel.h"
#include "capability/token_protocol.h"

namespace vitrine::capability {

class TokenClient {
 public:
  explicit TokenClient(Channel channel) : channel_(std::move(channel)) {}
  /// To the service that listens at `path`.
  [[nodiscard]] static Result<TokenClient> connect(const std::string& path);

  // Each: Error also for what the service refuses, in its words.

  [[nodiscard]] Result<Issued> mint(const Capability& object, std::string name, std::optional<Time> lifetime);
  [[nodiscard]] Result<Issued> narrow(const Token& token, std::optional<Rights> rights,
                                      std::optional<Time> lifetime);
  /// `path`: empty, or what is wanted beneath the token's directory.
  [[nodiscard]] Result<Capability> redeem(const Token& token, std::optional<Rights> rights = {},
                                          std::string path = {});
  [[nodiscard]] Result<ListReply> list();
  /// How many tokens are gone.
  [[nodiscard]] Result<uint64_t> revoke(const RevokeRequest& which);

 private:
  template <typename Reply>
  [[nodiscard]] Result<Reply> ask(const TokenRequest& request, const Capability* attached = nullptr);

  Channel channel_;
  std::vector<Capability> received_;  ///< With the last reply.
};

}  // namespace vitrine::capability

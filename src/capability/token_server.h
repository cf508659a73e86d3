// The token service's socket: connections, and a broker that answers them. One thread, nothing blocks: a
// client that sends nothing, takes nothing or opens connections without end delays nobody but himself.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "capability/channel.h"
#include "capability/token_broker.h"

namespace vitrine::capability {

struct ServerLimits {
  size_t connections = 128;
  size_t connections_of_user = 32;
  Time idle = std::chrono::seconds(30);  ///< A connection on which nothing comes for so long is closed.
};

class TokenServer {
 public:
  TokenServer(Descriptor listener, TokenBroker broker, const ServerLimits& limits = {});

  /// Serves until `stop` becomes readable. Error: the listening socket has failed.
  [[nodiscard]] Result<void> run(int stop);

 private:
  struct Connection {
    Channel channel;
    Peer peer;
    Time last;
  };

  void accept_all(Time now);
  /// False: the connection is over.
  [[nodiscard]] bool serve(Connection& connection, Time now);
  void close_idle(Time now);

  Descriptor listener_;
  TokenBroker broker_;
  ServerLimits limits_;
  std::vector<Connection> connections_;
};

/// The time that tokens are measured with: also passes while the machine sleeps.
[[nodiscard]] Time token_time();

}  // namespace vitrine::capability

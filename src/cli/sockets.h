// Stream sockets by name: listening and connecting.
#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::cli {

/// An empty `host` is the local host: who wants to be reached from elsewhere says 0.0.0.0.
[[nodiscard]] Result<Descriptor> listen_tcp(const std::string& host, const std::string& port);
[[nodiscard]] Result<Descriptor> connect_tcp(const std::string& host, const std::string& port);

/// A socket file that nobody listens at any more is replaced; anything else at the path is left alone.
[[nodiscard]] Result<Descriptor> listen_unix(const std::string& path);
[[nodiscard]] Result<Descriptor> connect_unix(const std::string& path);

/// Waits for the first peer. `listener` is left non-blocking.
[[nodiscard]] Result<Descriptor> wait_for_peer(const Descriptor& listener, const std::string& name);

}  // namespace vitrine::cli

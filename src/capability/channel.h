// Passes capabilities over a local socket (SOCK_SEQPACKET, SCM_RIGHTS). The peer may be hostile: whatever it
// sends is a message whose descriptors are what their labels say, with no more rights than the labels give
// and the descriptors allow, or an Error; then every descriptor that came with it has been closed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "capability/capability.h"
#include "capability/message.h"

namespace vitrine::capability {

struct Message {
  std::string payload;
  std::vector<Capability> capabilities;
};

/// A capability to be sent. Borrowed: the receiver gets a descriptor of its own.
struct Outgoing {
  const Capability* capability;
  Excess excess = Excess::Refused;
};

/// Who is at the other end, as the kernel recorded it when the connection was made (unix(7), SO_PEERCRED).
struct Peer {
  pid_t process = 0;  ///< 0: of another PID namespace.
  uid_t user = 0;
  gid_t group = 0;
};

class Channel {
 public:
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}

  /// Both ends of a new connection.
  [[nodiscard]] static Result<std::pair<Channel, Channel>> pair();
  /// Connects to who listens at the path.
  [[nodiscard]] static Result<Channel> connect(const std::string& path);

  [[nodiscard]] Result<void> send(std::string_view payload, std::span<const Outgoing> capabilities = {});
  /// The next message; nothing: the peer has closed the connection. Error: see above; the connection can
  /// still be used. With a socket that does not block, errno_value EAGAIN: there is none yet.
  [[nodiscard]] Result<std::optional<Message>> receive();

  [[nodiscard]] Result<Peer> peer() const;
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  [[nodiscard]] Descriptor release() && { return std::move(socket_); }

 private:
  Descriptor socket_;
};

/// A socket at which others can connect() channels. A file that nobody listens at any more is replaced.
/// `mode` of the file says who may connect.
[[nodiscard]] Result<Descriptor> listen_for_channels(const std::string& path, mode_t mode);

}  // namespace vitrine::capability

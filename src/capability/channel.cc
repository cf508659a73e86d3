#include "capability/channel.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace vitrine::capability {
namespace {

constexpr int kBacklog = 64;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return std::unexpected(Error{"cannot be a socket's path:", path, 0,
                                 fmt::format("1 to {} characters", sizeof address.sun_path - 1)});
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Descriptor new_socket() {
  return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

// SAFETY (both): the socket functions take every kind of address through sockaddr.
int connect_to(const Descriptor& socket, const sockaddr_un& address) {
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}
int bind_to(const Descriptor& socket, const sockaddr_un& address) {
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

bool is_abandoned(const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const Descriptor probe = new_socket();
  return connect_to(probe, address) != 0 && errno == ECONNREFUSED;
}

/// Ancillary data with room for as many descriptors as a message may have. cmsg(3).
struct ControlBuffer {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaximumCapabilities * sizeof(int))> bytes{};
};

Result<std::vector<int>> descriptors_to_send(std::span<const Outgoing> capabilities) {
  std::vector<int> descriptors;
  for (const Outgoing& outgoing : capabilities) {
    if (outgoing.excess == Excess::Refused && !outgoing.capability->kernel_enforced()) {
      return std::unexpected(Error{
          fmt::format("the {} would be sent with more than its rights", name_of(outgoing.capability->kind())),
          "", 0,
          fmt::format("its bare descriptor also allows {}; Excess::Accepted if that is meant",
                      to_string(outgoing.capability->excess()))});
    }
    descriptors.push_back(outgoing.capability->descriptor());
  }
  return descriptors;
}

void attach(msghdr& header, ControlBuffer& control, std::span<const int> descriptors) {
  if (descriptors.empty()) return;
  header.msg_control = control.bytes.data();
  header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
}

/// Every descriptor that the kernel has put into this process with the message, owned.
std::vector<Descriptor> take_descriptors(msghdr& header) {
  std::vector<Descriptor> descriptors;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof number, sizeof number);
      descriptors.emplace_back(number);
    }
  }
  return descriptors;
}

Result<void> check_complete(const msghdr& header) {
  // recvmsg(2): both are set by the kernel, and nothing of the message can be got afterwards.
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return std::unexpected(
        Error{"a message came without some of its descriptors", "", 0,
              fmt::format("more than {}, or this process has reached its limit of open files",
                          kMaximumCapabilities)});
  }
  if ((header.msg_flags & MSG_TRUNC) != 0)
    return std::unexpected(
        Error{"a message was too long", "", 0, fmt::format("{} bytes at most", kMaximumMessage)});
  return {};
}

Result<Message> assemble(std::string_view bytes, std::vector<Descriptor> descriptors) {
  const DecodedMessage decoded = TRY(decode_message(bytes));
  if (decoded.labels.size() != descriptors.size()) {
    return std::unexpected(
        Error{"a message speaks of other capabilities than came with it", "", 0,
              fmt::format("{} in its header, {} attached", decoded.labels.size(), descriptors.size())});
  }
  Message message;
  message.payload = decoded.payload;
  for (size_t i = 0; i < descriptors.size(); ++i) {
    const Label& label = decoded.labels[i];
    message.capabilities.push_back(
        TRY(Capability::adopt(label.kind, std::move(descriptors[i]), label.rights)));
  }
  return message;
}

}  // namespace

Result<std::pair<Channel, Channel>> Channel::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(error_from_errno("cannot make a channel", ""));
  Descriptor first(ends[0]);
  Descriptor second(ends[1]);
  return std::pair(Channel(std::move(first)), Channel(std::move(second)));
}

Result<Channel> Channel::connect(const std::string& path) {
  const sockaddr_un address = TRY(address_of(path));
  Descriptor socket = new_socket();
  if (socket && connect_to(socket, address) == 0) return Channel(std::move(socket));
  const int reason = errno;
  return std::unexpected(Error{"cannot connect to", path, reason,
                               reason == ECONNREFUSED || reason == ENOENT ? "nobody serves there"
                               : reason == EPROTOTYPE ? "it is a socket of another service"
                                                      : ""});
}

Result<void> Channel::send(std::string_view payload, std::span<const Outgoing> capabilities) {
  if (capabilities.size() > kMaximumCapabilities || payload.size() > kMaximumPayload) {
    return std::unexpected(
        Error{"too much for one message", "", 0,
              fmt::format("{} capabilities and {} bytes at most", kMaximumCapabilities, kMaximumPayload)});
  }
  const std::vector<int> descriptors = TRY(descriptors_to_send(capabilities));
  std::vector<Label> labels;
  for (const Outgoing& each : capabilities)
    labels.push_back({each.capability->kind(), each.capability->rights()});
  std::string bytes = encode_message(labels, payload);
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ControlBuffer control;
  attach(header, control, descriptors);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  return std::unexpected(error_from_errno(
      "cannot send a message", "",
      errno == ETOOMANYREFS ? "too many descriptors are on their way: the receiver is to take some first"
                            : ""));
}

Result<std::optional<Message>> Channel::receive() {
  // One more byte than is allowed would do; MSG_TRUNC says the same.
  const auto buffer = std::make_unique_for_overwrite<char[]>(kMaximumMessage);
  iovec part{buffer.get(), kMaximumMessage};
  ControlBuffer control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t count = 0;
  do {
    count = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return std::unexpected(error_from_errno("cannot receive a message", ""));
  // First of all they must have an owner.
  std::vector<Descriptor> descriptors = take_descriptors(header);
  if (auto complete = check_complete(header); !complete) return std::unexpected(complete.error());
  // A peer can send an empty packet, too: no message of ours is empty, so it may as well have left.
  if (count == 0) return std::nullopt;
  return TRY(assemble({buffer.get(), static_cast<size_t>(count)}, std::move(descriptors)));
}

Result<Peer> Channel::peer() const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return std::unexpected(error_from_errno("cannot tell who is connected", ""));
  return Peer{credentials.pid, credentials.uid, credentials.gid};
}

Result<Descriptor> listen_for_channels(const std::string& path, mode_t mode) {
  const sockaddr_un address = TRY(address_of(path));
  if (is_abandoned(address)) ::unlink(path.c_str());
  Descriptor listener = new_socket();
  // unix(7): the file's mode is what fchmod says of the socket before it is bound; the umask comes on top, so
  // the file is never open to more than `mode`, and chmod gives the rest.
  if (!listener || ::fchmod(listener.get(), mode) != 0 || bind_to(listener, address) != 0 ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(listener.get(), kBacklog) != 0) {
    return std::unexpected(
        error_from_errno("cannot listen at", path,
                         errno == EADDRINUSE ? "something is there already: choose another path" : ""));
  }
  return listener;
}

}  // namespace vitrine::capability

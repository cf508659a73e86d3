#include "cli/sockets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace vitrine::cli {
namespace {

constexpr int kBacklog = 1;  // one peer is served; the next may wait

std::string tcp_name(const std::string& host, const std::string& port) {
  return fmt::format("tcp:{}:{}", host.empty() ? "localhost" : host, port);
}

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};

Result<std::unique_ptr<addrinfo, FreeAddresses>> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  const int error =
      ::getaddrinfo(host.empty() ? "127.0.0.1" : host.c_str(), port.c_str(), &hints, &addresses);
  if (error == 0) return std::unique_ptr<addrinfo, FreeAddresses>(addresses);
  return std::unexpected(Error{"cannot find the host", tcp_name(host, port), 0, ::gai_strerror(error)});
}

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return std::unexpected(Error{"the path is too long for a socket", path, 0,
                                 fmt::format("{} characters at most", sizeof address.sun_path - 1)});
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Descriptor new_unix_socket() {
  return Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

// SAFETY (both): the socket functions take every kind of address through sockaddr.
int connect_to(int fd, const sockaddr_un& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}
int bind_to(int fd, const sockaddr_un& address) {
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

bool is_abandoned_socket(const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const Descriptor probe = new_unix_socket();
  return connect_to(probe.get(), address) != 0 && errno == ECONNREFUSED;
}

Result<void> set_nonblocking(const Descriptor& fd) {
  if (::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK) == 0) return {};
  return std::unexpected(error_from_errno("cannot change a socket", ""));
}

}  // namespace

Result<Descriptor> listen_tcp(const std::string& host, const std::string& port) {
  const auto addresses = TRY(resolve(host, port));
  int reason = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    Descriptor listener(
        ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
    const int one = 1;
    if (listener && ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        ::bind(listener.get(), at->ai_addr, at->ai_addrlen) == 0 && ::listen(listener.get(), kBacklog) == 0) {
      return listener;
    }
    reason = errno;
  }
  return std::unexpected(Error{"cannot listen at", tcp_name(host, port), reason,
                               reason == EADDRINUSE ? "another program listens there: choose another port"
                               : reason == EACCES   ? "ports below 1024 are for root"
                                                    : ""});
}

Result<Descriptor> connect_tcp(const std::string& host, const std::string& port) {
  const auto addresses = TRY(resolve(host, port));
  int reason = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    Descriptor connection(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    if (connection && ::connect(connection.get(), at->ai_addr, at->ai_addrlen) == 0) {
      if (auto set = set_nonblocking(connection); !set) return std::unexpected(set.error());
      return connection;
    }
    reason = errno;
  }
  return std::unexpected(
      Error{"cannot connect to", tcp_name(host, port), reason,
            reason == ECONNREFUSED ? "nobody listens there; ,server makes Vitrine listen" : ""});
}

Result<Descriptor> listen_unix(const std::string& path) {
  const sockaddr_un address = TRY(unix_address(path));
  if (is_abandoned_socket(address)) ::unlink(path.c_str());
  Descriptor listener = new_unix_socket();
  if (!listener || bind_to(listener.get(), address) != 0 || ::listen(listener.get(), kBacklog) != 0) {
    return std::unexpected(
        error_from_errno("cannot listen at", "unix:" + path,
                         errno == EADDRINUSE ? "something is there already: choose another path" : ""));
  }
  if (auto set = set_nonblocking(listener); !set) return std::unexpected(set.error());
  return listener;
}

Result<Descriptor> connect_unix(const std::string& path) {
  const sockaddr_un address = TRY(unix_address(path));
  Descriptor connection = new_unix_socket();
  if (!connection || connect_to(connection.get(), address) != 0) {
    return std::unexpected(error_from_errno("cannot connect to", "unix:" + path,
                                            errno == ECONNREFUSED || errno == ENOENT
                                                ? "nobody listens there; ,server makes Vitrine listen"
                                                : ""));
  }
  if (auto set = set_nonblocking(connection); !set) return std::unexpected(set.error());
  return connection;
}

Result<Descriptor> wait_for_peer(const Descriptor& listener, const std::string& name) {
  while (true) {
    pollfd polled{listener.get(), POLLIN, 0};
    ::poll(&polled, 1, -1);
    Descriptor peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (peer) return peer;
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      return std::unexpected(error_from_errno("cannot accept a connection at", name));
    }
  }
}

}  // namespace vitrine::cli

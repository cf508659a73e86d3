#include "capability/token_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vitrine::capability {
namespace {

void set_nonblocking(int descriptor) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

/// A client that makes many requests at once has the others served in between.
constexpr int kRequestsInARow = 8;

}  // namespace

Time token_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Time>(std::chrono::seconds(now.tv_sec) +
                                          std::chrono::nanoseconds(now.tv_nsec));
}

TokenServer::TokenServer(Descriptor listener, TokenBroker broker, const ServerLimits& limits)
    : listener_(std::move(listener)), broker_(std::move(broker)), limits_(limits) {
  set_nonblocking(listener_.get());
}

Result<void> TokenServer::run(int stop) {
  while (true) {
    std::vector<pollfd> polled = {{stop, POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Connection& connection : connections_)
      polled.push_back({connection.channel.descriptor(), POLLIN, 0});
    const int wait = connections_.empty() ? -1 : 1000;
    if (::poll(polled.data(), polled.size(), wait) < 0 && errno != EINTR)
      return std::unexpected(error_from_errno("cannot wait for clients", ""));
    if (polled[0].revents != 0) return {};
    if ((polled[1].revents & (POLLERR | POLLNVAL)) != 0)
      return std::unexpected(Error{"the listening socket has failed", ""});
    const Time now = token_time();
    size_t index = 2;
    std::erase_if(connections_, [&](Connection& connection) {
      return polled[index++].revents != 0 && !serve(connection, now);
    });
    close_idle(now);
    // Last, so that the connections above are those that were polled.
    if (polled[1].revents != 0) accept_all(now);
  }
}

void TokenServer::accept_all(Time now) {
  // Those that are too many are closed at once; a listener that is full up would keep poll() busy.
  while (true) {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    Channel channel(std::move(socket));
    const auto peer = channel.peer();
    if (!peer || connections_.size() >= limits_.connections) continue;
    const auto of_user = std::ranges::count_if(
        connections_, [&](const Connection& each) { return each.peer.user == peer->user; });
    if (static_cast<size_t>(of_user) >= limits_.connections_of_user) continue;
    connections_.push_back({std::move(channel), *peer, now});
  }
}

bool TokenServer::serve(Connection& connection, Time now) {
  connection.last = now;
  for (int i = 0; i < kRequestsInARow; ++i) {
    auto message = connection.channel.receive();
    if (!message) {
      if (message.error().errno_value == EAGAIN) return true;
      // What is no message is no reason to keep the connection.
      broker_.note_unreadable(connection.peer, message.error(), now);
      return false;
    }
    if (!*message) return false;
    const TokenBroker::Answer answer = broker_.answer(**std::move(message), connection.peer, now);
    std::vector<Outgoing> attached;
    // The broker has decided what may go out; a directory's descriptor is Right::Handle.
    if (answer.capability) attached.push_back({&*answer.capability, Excess::Accepted});
    // Whoever does not take his answers loses the connection.
    if (!connection.channel.send(answer.payload, attached)) return false;
  }
  return true;
}

void TokenServer::close_idle(Time now) {
  std::erase_if(connections_, [&](const Connection& each) { return now - each.last > limits_.idle; });
}

}  // namespace vitrine::capability

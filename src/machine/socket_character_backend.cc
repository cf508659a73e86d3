#include "machine/socket_character_backend.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace vitrine::machine {
namespace {

constexpr Nanoseconds kLastWordsTimeout = kNanosecondsPerSecond;

}  // namespace

SocketCharacterBackend::SocketCharacterBackend(EventLoop& loop, Descriptor listener, Descriptor connection,
                                               WhenFull when_full)
    : loop_(loop), listener_(std::move(listener)), queue_(loop, when_full) {
  if (listener_) {
    listener_watch_ = loop_.watch(listener_.get(), kReadable, [this](uint8_t) { accept_peer(); });
  }
  if (connection) adopt(std::move(connection));
}

SocketCharacterBackend::~SocketCharacterBackend() {
  if (connection_ && !queue_.empty()) queue_.drain_with_patience(connection_.get(), kLastWordsTimeout);
}

void SocketCharacterBackend::accept_peer() {
  Descriptor peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // Who has gone again, or finds us out of descriptors, is not served; the listener stays.
  if (peer && !connection_) adopt(std::move(peer));
}

void SocketCharacterBackend::adopt(Descriptor connection) {
  const int one = 1;
  // Typing should not wait for acknowledgements. Fails on Unix sockets, which have no such delay.
  (void)::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connection_ = std::move(connection);
  output_blocked_ = false;
  broken_ = false;
  connection_watch_ =
      loop_.watch(connection_.get(), 0, [this](uint8_t readiness) { connection_event(readiness); });
  listener_watch_.set_interest(0);  // the next peer waits in the listener's queue
  update_interest();
  if (receiver_ != nullptr) receiver_->carrier_changed(true);
}

void SocketCharacterBackend::disconnect() {
  connection_watch_.remove();
  connection_.reset();
  queue_.clear();
  output_blocked_ = false;
  broken_ = false;
  listener_watch_.set_interest(kReadable);
  if (receiver_ != nullptr) receiver_->carrier_changed(false);
}

void SocketCharacterBackend::send(std::span<const uint8_t> data) {
  if (!connection_) {
    queue_.drop(data.size());
    return;
  }
  queue_.append(data);
  if (!output_blocked_) drain_output();
}

void SocketCharacterBackend::drain_output() {
  const auto progress = queue_.drain(connection_.get());
  output_blocked_ = progress == OutputQueue::Progress::Blocked;
  broken_ = progress == OutputQueue::Progress::Failed;
  // A broken connection is found by the loop, not here: the sender must not see its receiver called in the
  // middle of send().
  update_interest();
}

void SocketCharacterBackend::set_receiver(devices::CharacterReceiver* receiver) {
  receiver_ = receiver;
  update_interest();
}

void SocketCharacterBackend::receiver_ready() {
  update_interest();
}

void SocketCharacterBackend::update_interest() {
  if (!connection_) return;
  const bool wants_input = receiver_ != nullptr && receiver_->receive_capacity() > 0;
  connection_watch_.set_interest(
      static_cast<uint8_t>((wants_input || broken_ ? kReadable : 0) | (output_blocked_ ? kWritable : 0)));
}

void SocketCharacterBackend::connection_event(uint8_t readiness) {
  if ((readiness & kWritable) != 0) drain_output();
  if ((readiness & (kReadable | kHungUp)) != 0) read_peer();
}

void SocketCharacterBackend::read_peer() {
  std::array<uint8_t, 4096> buffer;
  const size_t capacity = receiver_ != nullptr ? std::min(receiver_->receive_capacity(), buffer.size()) : 0;
  if (capacity == 0) {
    // Only a hang-up leads here without room for input: nothing more can be delivered to the peer or taken
    // from it.
    disconnect();
    return;
  }
  const ssize_t count = ::recv(connection_.get(), buffer.data(), capacity, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (count <= 0) {
    disconnect();
    return;
  }
  receiver_->receive(std::span(buffer).first(static_cast<size_t>(count)));
  update_interest();
}

}  // namespace vitrine::machine

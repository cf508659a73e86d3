#include "machine/fd_character_backend.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace vitrine::machine {
namespace {

/// How long the end of the machine may wait for a reader of what the guest said last.
constexpr Nanoseconds kLastWordsTimeout = 2 * kNanosecondsPerSecond;

}  // namespace

FdCharacterBackend::FdCharacterBackend(EventLoop& loop, StreamEndpoint stream, WhenFull when_full,
                                       std::string label)
    : loop_(loop),
      stream_(std::move(stream)),
      label_(std::move(label)),
      when_full_(when_full),
      queue_(loop, when_full) {
  if (stream_.input) {
    input_watch_ = loop_.watch(stream_.input.get(), 0, [this](uint8_t) { input_event(); });
  }
  if (stream_.output) {
    output_watch_ = loop_.watch(stream_.output.get(), 0, [this](uint8_t) { drain_output(); });
  }
}

FdCharacterBackend::~FdCharacterBackend() {
  if (!stream_.output || queue_.empty()) return;
  // A pty that nobody reads must not hold up the end of the machine.
  queue_.drain_with_patience(stream_.output.get(),
                             when_full_ == WhenFull::Stall ? kLastWordsTimeout : Nanoseconds{0});
}

void FdCharacterBackend::send(std::span<const uint8_t> data) {
  if (!stream_.output) {
    queue_.drop(data.size());
    return;
  }
  queue_.append(data);
  // While something is queued already, the loop knows when the descriptor takes more.
  if (output_watch_.interest() == 0) drain_output();
}

void FdCharacterBackend::set_receiver(devices::CharacterReceiver* receiver) {
  receiver_ = receiver;
  update_interest();
}

void FdCharacterBackend::receiver_ready() {
  update_interest();
}

void FdCharacterBackend::update_interest() {
  if (!stream_.input) return;
  const bool wanted = receiver_ != nullptr && receiver_->receive_capacity() > 0;
  input_watch_.set_interest(wanted ? kReadable : 0);
}

void FdCharacterBackend::input_event() {
  std::array<uint8_t, 4096> buffer;
  const size_t capacity = receiver_ != nullptr ? std::min(receiver_->receive_capacity(), buffer.size()) : 0;
  if (capacity == 0) {
    update_interest();
    return;
  }
  const ssize_t count = ::read(stream_.input.get(), buffer.data(), capacity);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (count <= 0) {
    close_input();
    return;
  }
  receiver_->receive(std::span(buffer).first(static_cast<size_t>(count)));
  update_interest();
}

void FdCharacterBackend::close_input() {
  // A descriptor at its end is ready for ever: watching it on would spin.
  input_watch_.remove();
  stream_.input.reset();
}

void FdCharacterBackend::drain_output() {
  switch (queue_.drain(stream_.output.get())) {
    case OutputQueue::Progress::Drained: output_watch_.set_interest(0); return;
    case OutputQueue::Progress::Blocked: output_watch_.set_interest(kWritable); return;
    case OutputQueue::Progress::Failed: break;
  }
  const int reason = errno;
  output_watch_.set_interest(0);
  // A pipe without a reader is nobody's mistake. A full disk may have room again later, so the file stays
  // open.
  const bool reader_gone = reason == EPIPE || reason == EIO;
  if (!reader_gone && !failure_reported_) {
    errno = reason;
    const Error error = error_from_errno("output was lost: cannot write to", label_);
    fmt::print(stderr, "vitrine: {}\n", error.message());
    failure_reported_ = true;
  }
  if (reader_gone) {
    output_watch_.remove();
    stream_.output.reset();
  }
}

}  // namespace vitrine::machine

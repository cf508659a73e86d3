#include "machine/output_queue.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "machine/real_clock.h"

namespace vitrine::machine {
namespace {

/// One write that raises no SIGPIPE where that can be had, and never blocks on a socket.
ssize_t write_some(int fd, std::span<const uint8_t> data) {
  const ssize_t sent = ::send(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return ::write(fd, data.data(), data.size());
}

}  // namespace

void OutputQueue::append(std::span<const uint8_t> data) {
  const size_t limit = when_full_ == WhenFull::Stall ? kHardLimit : kSoftLimit;
  const size_t room = limit - std::min(limit, size());
  const size_t taken = std::min(room, data.size());
  bytes_.insert(bytes_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(taken));
  dropped_ += data.size() - taken;
  update_congestion();
}

OutputQueue::Progress OutputQueue::drain(int fd) {
  while (!empty()) {
    const ssize_t written = write_some(fd, std::span(bytes_).subspan(start_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      // The part that is out goes once it is the greater one, so that moving costs a constant for each byte.
      if (start_ > bytes_.size() / 2) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(start_));
        start_ = 0;
      }
      update_congestion();
      return Progress::Blocked;
    }
    if (written <= 0) {
      const int reason = written < 0 ? errno : EIO;
      dropped_ += size();
      clear();
      errno = reason;
      return Progress::Failed;
    }
    start_ += static_cast<size_t>(written);
  }
  clear();
  return Progress::Drained;
}

void OutputQueue::drain_with_patience(int fd, Nanoseconds timeout) {
  const Nanoseconds end = monotonic_time() + timeout;
  while (drain(fd) == Progress::Blocked) {
    const Nanoseconds time = monotonic_time();
    if (time >= end) return;
    pollfd polled{fd, POLLOUT, 0};
    ::poll(&polled, 1, static_cast<int>((end - time) / 1'000'000) + 1);
  }
}

void OutputQueue::clear() {
  bytes_.clear();
  start_ = 0;
  update_congestion();
}

void OutputQueue::update_congestion() {
  const bool congested = when_full_ == WhenFull::Stall && size() >= kSoftLimit;
  if (congested == congested_) return;
  congested_ = congested;
  if (congested) {
    loop_.add_congestion();
  } else {
    loop_.remove_congestion();
  }
}

}  // namespace vitrine::machine

// Bytes on their way to a descriptor that may not take them at once. Bounded: under WhenFull::Drop what does
// not fit in 64 KiB is lost; under WhenFull::Stall the event loop is told from 64 KiB on that the guest
// should wait, and only beyond 1 MiB (somebody ran it nevertheless) are bytes lost. Losses are counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "machine/event_loop.h"
#include "machine/machine_config.h"

namespace vitrine::machine {

class OutputQueue {
 public:
  static constexpr size_t kSoftLimit = size_t{64} << 10;
  static constexpr size_t kHardLimit = size_t{1} << 20;

  enum class Progress : uint8_t {
    Drained,  ///< Everything is out.
    Blocked,  ///< The descriptor takes no more for now.
    Failed,   ///< errno says why; what was queued is gone.
  };

  OutputQueue(EventLoop& loop, WhenFull when_full) : loop_(loop), when_full_(when_full) {}
  ~OutputQueue() { clear(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  void append(std::span<const uint8_t> data);
  /// Writes as much as `fd` takes without blocking; `fd` is non-blocking, or a regular file, or a socket.
  Progress drain(int fd);
  /// As drain(), but waits up to `timeout` for a slow reader.
  void drain_with_patience(int fd, Nanoseconds timeout);
  /// Forgets what is queued.
  void clear();
  /// Counts bytes that the owner knows it cannot send.
  void drop(size_t count) { dropped_ += count; }

  [[nodiscard]] bool empty() const { return start_ == bytes_.size(); }
  [[nodiscard]] size_t size() const { return bytes_.size() - start_; }
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  void update_congestion();

  EventLoop& loop_;
  WhenFull when_full_;
  std::vector<uint8_t> bytes_;
  size_t start_ = 0;  // bytes_ before it are out
  uint64_t dropped_ = 0;
  bool congested_ = false;
};

}  // namespace vitrine::machine

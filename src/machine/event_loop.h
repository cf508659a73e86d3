// Waiting for the outside world: descriptors that become readable or writable, signals, and a wake-up from
// other threads. One thread runs it, between slices of guest execution; every handler runs on that thread.
// Where there are several threads (set_lock), whoever calls anything but wake() holds the lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/fair_lock.h"
#include "base/result.h"
#include "inspect/activity.h"

namespace vitrine::machine {

/// What a descriptor can be watched for, and what has happened. Bits.
enum Readiness : uint8_t {
  kReadable = 1,
  kWritable = 2,
  kHungUp = 4,  ///< The other end is gone, or an error: reported whether asked for or not, but only while any
                ///< interest is set.
};

class EventLoop {
 public:
  using Handler = std::function<void(uint8_t readiness)>;

  /// One descriptor's registration; ends with the object. Must not outlive the loop; the descriptor must
  /// outlive it.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept;
    Watch& operator=(Watch&& other) noexcept;
    ~Watch() { remove(); }

    /// `interest` of kReadable and kWritable; 0: nothing, not even hang-ups.
    void set_interest(uint8_t interest);
    [[nodiscard]] uint8_t interest() const;
    /// Safe inside any handler, the watch's own included.
    void remove();
    explicit operator bool() const { return loop_ != nullptr; }

   private:
    friend class EventLoop;
    Watch(EventLoop* loop, uint64_t id) : loop_(loop), id_(id) {}
    EventLoop* loop_ = nullptr;
    uint64_t id_ = 0;
  };

  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  [[nodiscard]] Watch watch(int fd, uint8_t interest, Handler handler);
  /// Takes a signalfd(2) and calls `handler` with each signal's number.
  void watch_signals(Descriptor signals, std::function<void(int signal)> handler);

  /// Runs the handlers of what is ready, after waiting for something to be, a wake(), or `timeout` (0: not at
  /// all; nullopt: for ever). Returns how many ran.
  unsigned wait(std::optional<Nanoseconds> timeout);
  /// Makes the present or the next wait() return at once. From any thread, and from signal handlers.
  void wake();

  /// Given up while wait() waits. Null (default): there is none.
  void set_lock(FairLock* lock) { lock_ = lock; }
  /// Idle while wait() waits. Null (default): nobody wants to know.
  void set_activity(inspect::ActivityCell* activity) { activity_ = activity; }
  /// Whether a thread is in wait(), with what it knew when it went there.
  [[nodiscard]] bool waiting() const { return waiting_; }

  /// Output that must not be lost has filled its queue: the guest should not run until it is false again.
  /// Counts, one for each congested sender.
  void add_congestion() {
    ++congested_;
    changed();
    if (congestion_listener_) congestion_listener_();
  }
  /// Told each time that one becomes congested, on whatever thread sends.
  void set_congestion_listener(std::function<void()> listener) { congestion_listener_ = std::move(listener); }
  void remove_congestion() { --congested_; }
  [[nodiscard]] bool congested() const { return congested_ != 0; }

 private:
  struct Entry {
    uint64_t id;
    int fd;
    uint8_t interest;
    std::shared_ptr<Handler> handler;  // shared: it may remove itself while it runs
  };

  explicit EventLoop(Descriptor wakeup) : wakeup_(std::move(wakeup)) {}
  [[nodiscard]] Entry* find(uint64_t id);
  void read_signals();
  // A thread that waits does so for the wrong things now.
  void changed() {
    if (waiting_) wake();
  }

  Descriptor wakeup_;  // an eventfd
  Descriptor signals_;
  std::function<void(int)> signal_handler_;
  std::vector<Entry> entries_;
  uint64_t next_id_ = 1;
  unsigned congested_ = 0;
  std::function<void()> congestion_listener_;
  FairLock* lock_ = nullptr;
  inspect::ActivityCell* activity_ = nullptr;
  bool waiting_ = false;
};

}  // namespace vitrine::machine

#include "machine/event_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace vitrine::machine {
namespace {

short poll_events(uint8_t interest) {
  return static_cast<short>(((interest & kReadable) != 0 ? POLLIN : 0) |
                            ((interest & kWritable) != 0 ? POLLOUT : 0));
}

uint8_t readiness_of(short revents) {
  uint8_t readiness = 0;
  if ((revents & POLLIN) != 0) readiness |= kReadable;
  if ((revents & POLLOUT) != 0) readiness |= kWritable;
  if ((revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) readiness |= kHungUp;
  return readiness;
}

int poll_descriptors(std::vector<pollfd>& polled, std::optional<Nanoseconds> timeout) {
  if (!timeout) return ::ppoll(polled.data(), polled.size(), nullptr, nullptr);
  const timespec limit{.tv_sec = static_cast<time_t>(*timeout / kNanosecondsPerSecond),
                       .tv_nsec = static_cast<long>(*timeout % kNanosecondsPerSecond)};
  return ::ppoll(polled.data(), polled.size(), &limit, nullptr);
}

}  // namespace

EventLoop::Watch::Watch(Watch&& other) noexcept
    : loop_(std::exchange(other.loop_, nullptr)), id_(other.id_) {}

EventLoop::Watch& EventLoop::Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    remove();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void EventLoop::Watch::set_interest(uint8_t interest) {
  if (loop_ == nullptr) return;
  if (std::exchange(loop_->find(id_)->interest, interest) != interest) loop_->changed();
}

uint8_t EventLoop::Watch::interest() const {
  return loop_ == nullptr ? uint8_t{0} : loop_->find(id_)->interest;
}

void EventLoop::Watch::remove() {
  if (loop_ == nullptr) return;
  std::erase_if(loop_->entries_, [this](const Entry& entry) { return entry.id == id_; });
  loop_->changed();
  loop_ = nullptr;
}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  Descriptor wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup) return std::unexpected(error_from_errno("cannot create an eventfd", ""));
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(wakeup)));
}

EventLoop::Watch EventLoop::watch(int fd, uint8_t interest, Handler handler) {
  const uint64_t id = next_id_++;
  entries_.push_back({id, fd, interest, std::make_shared<Handler>(std::move(handler))});
  changed();
  return {this, id};
}

void EventLoop::watch_signals(Descriptor signals, std::function<void(int)> handler) {
  signals_ = std::move(signals);
  signal_handler_ = std::move(handler);
}

EventLoop::Entry* EventLoop::find(uint64_t id) {
  const auto it = std::ranges::find(entries_, id, &Entry::id);
  CHECK(it != entries_.end(), "a watch outlived its registration");
  return &*it;
}

unsigned EventLoop::wait(std::optional<Nanoseconds> timeout) {
  std::vector<pollfd> polled;
  std::vector<uint64_t> ids;
  polled.push_back({wakeup_.get(), POLLIN, 0});
  polled.push_back({signals_.get(), POLLIN, 0});  // poll(2) passes over negative descriptors
  for (const Entry& entry : entries_) {
    if (entry.interest == 0) continue;
    polled.push_back({entry.fd, poll_events(entry.interest), 0});
    ids.push_back(entry.id);
  }
  waiting_ = lock_ != nullptr;
  if (lock_ != nullptr) lock_->unlock();
  const bool waits = activity_ != nullptr && timeout != Nanoseconds{0};
  if (waits) activity_->set(inspect::Activity::Idle);
  const int count_of_ready = poll_descriptors(polled, timeout);
  if (waits) activity_->set(inspect::Activity::Device);
  if (lock_ != nullptr) lock_->lock();
  waiting_ = false;
  if (count_of_ready <= 0) return 0;  // EINTR: the caller looks at the world again anyway

  if (polled[0].revents != 0) {
    uint64_t count = 0;
    (void)!::read(wakeup_.get(), &count, sizeof count);
  }
  unsigned ran = 0;
  if (polled[1].revents != 0) {
    read_signals();
    ++ran;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint8_t readiness = readiness_of(polled[i + 2].revents);
    if (readiness == 0) continue;
    // An earlier handler may have removed this one, or changed its interest.
    const auto it = std::ranges::find(entries_, ids[i], &Entry::id);
    if (it == entries_.end() || (readiness & (it->interest | kHungUp)) == 0 || it->interest == 0) continue;
    const std::shared_ptr<Handler> handler = it->handler;
    (*handler)(readiness);
    ++ran;
  }
  return ran;
}

void EventLoop::read_signals() {
  signalfd_siginfo info{};
  // Signals that are pending all at once come out one by one; the signalfd is non-blocking.
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    signal_handler_(static_cast<int>(info.ssi_signo));
  }
}

void EventLoop::wake() {
  const uint64_t one = 1;
  // A full counter means that a wake-up is pending already.
  const int saved = errno;
  (void)!::write(wakeup_.get(), &one, sizeof one);
  errno = saved;
}

}  // namespace vitrine::machine

#include "inspect/activity_sampler.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

namespace vitrine::inspect {
namespace {

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // Nobody there to tell.
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

ActivitySampler::~ActivitySampler() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

void ActivitySampler::watch(const ActivityCell& cell) {
  watched_.push_back({.cell = &cell});
}

// Threads get the signal mask of who makes them; this one must not take anybody's signal.
Result<void> ActivitySampler::start() {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& refused) {
    error = refused.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return std::unexpected(Error{"no time is kept for statistics", "a thread", error});
  return {};
}

void ActivitySampler::sample(Nanoseconds now) {
  const std::lock_guard lock(mutex_);
  take(now);
}

void ActivitySampler::take(Nanoseconds now) {
  if (!std::exchange(begun_, true)) first_ = last_ = now;
  const Nanoseconds passed = now - std::exchange(last_, now);
  for (Watched& watched : watched_) {
    if (passed != 0) {
      Spent& spent = watched.times[static_cast<size_t>(watched.seen)];
      spent.time += passed;
      ++spent.samples;
      if (watched.device != nullptr) {
        watched.device->nanoseconds += passed;
        ++watched.device->samples;
      }
    }
    watched.seen = watched.cell->now();
    watched.device = nullptr;
    if (watched.seen != Activity::Interpreter) continue;
    for (const DeviceCounters* devices : devices_) {
      watched.device = devices->now();
      if (watched.device == nullptr) continue;
      watched.seen = Activity::Device;
      break;
    }
  }
}

ActivitySampler::Snapshot ActivitySampler::snapshot() const {
  const std::lock_guard lock(mutex_);
  Snapshot snapshot{.elapsed = last_ - first_, .times = {}};
  for (const Watched& watched : watched_) snapshot.times.push_back(watched.times);
  return snapshot;
}

void ActivitySampler::write(const std::string& text) {
  if (!thread_.joinable()) return write_all(text);
  {
    const std::lock_guard lock(mutex_);
    text_ += text;
  }
  wanted_.notify_one();
}

// Not in step with anything periodic that the guest does.
Nanoseconds ActivitySampler::next_interval() {
  seed_ = seed_ * 1664525 + 1013904223;
  return kMeanInterval / 2 + scale(seed_ >> 8, kMeanInterval, 1u << 24);
}

void ActivitySampler::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    take(monotonic_time());
    if (!text_.empty()) {
      const std::string text = std::exchange(text_, {});
      lock.unlock();
      write_all(text);
      lock.lock();
      continue;
    }
    if (ending_) return;
    wanted_.wait_for(lock, std::chrono::nanoseconds(next_interval()));
  }
}

}  // namespace vitrine::inspect

// The loop that watches a box. Of this folder only; see child.h, Child::wait.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "sandbox/child_setup.h"
#include "sandbox/child_state.h"
#include "sandbox/usage.h"

struct seccomp_notif;

namespace vitrine::sandbox {

class Supervisor {
 public:
  Supervisor(Child::State& state, int end) : state_(state), end_wanted_(end) {}
  [[nodiscard]] Result<Outcome> run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  /// Until the program has ended or was ended.
  void watch();
  /// When something has to be looked at even if nothing happens.
  [[nodiscard]] std::optional<Time> next_look() const;
  void look_at_limits();
  void measure();
  void answer_call();
  [[nodiscard]] int record(const seccomp_notif& call);
  void record_path(const seccomp_notif& call);
  void pass_output();
  /// True: something was passed on.
  bool pass_on(CountedOutput& output);
  void drain_output();
  void stop(Outcome::End end, std::optional<LimitKind> limit = std::nullopt);
  void take_end();
  void reap();
  void judge();
  [[nodiscard]] std::chrono::nanoseconds since_start() const;

  Child::State& state_;
  const int end_wanted_;  ///< Can be read: the box is to end. -1: nobody says so.
  Outcome outcome_;
  EndMessage end_;
  bool ended_ = false;    ///< The program ended by itself: end_ says how.
  bool stopped_ = false;  ///< We ended it.
  bool asked_for_too_much_ = false;
  bool output_full_ = false;
  rusage total_{};                             ///< Of all processes of the box.
  std::chrono::nanoseconds processor_time_{};  ///< As last measured.
  uint64_t peak_ = 0;
  std::map<std::pair<uint64_t, Right>, size_t> known_;  ///< Violations by call and right.
};

}  // namespace vitrine::sandbox

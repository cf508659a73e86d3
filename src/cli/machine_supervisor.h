// Watches over a machine process: passes signals on, creates the files that its monitor asks for, says how it
// ended. It survives a machine process that lies, floods, is silent or dies: whatever breaks the rules of
// machine_channel.h ends the machine, and what comes too fast waits.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "capability/rate_limit.h"
#include "cli/granted_files.h"
#include "cli/machine_process.h"

namespace vitrine::cli {

class MachineSupervisor {
 public:
  /// After a request to end, so long until the machine is killed.
  static constexpr std::chrono::seconds kPatience{10};
  /// A second request after this time kills at once. One that comes sooner is the same: a shell's `timeout`
  /// signals the process and its group.
  static constexpr std::chrono::seconds kSecondThought{1};
  /// How often the machine's memory is looked at.
  static constexpr std::chrono::milliseconds kSample{100};

  /// `signals`: of take_supervisor_signals(). What is borrowed must outlive the supervisor.
  MachineSupervisor(MachineProcess machine, const Descriptor& signals, GrantedFiles& files);
  /// Kills a machine that run() has not seen end.
  ~MachineSupervisor();
  MachineSupervisor(const MachineSupervisor&) = delete;
  MachineSupervisor& operator=(const MachineSupervisor&) = delete;

  struct Ending {
    int status = 0;     ///< For this process: the machine's, or 128 and the signal that ended it.
    std::string words;  ///< Empty: it ended by itself. Otherwise one line for the user.
  };
  /// Until the machine process has ended.
  [[nodiscard]] Ending run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  void wait();
  [[nodiscard]] int timeout();
  void take_signals();
  void ask_to_end(int signal);
  void stop(int signal);
  void take_packet();
  void answer(const std::string& path, machine::FileContents contents);
  void take_denied_call();
  void look_at_memory();
  void kill(std::string why);
  void reap();

  MachineProcess machine_;
  const Descriptor& signals_;
  GrantedFiles& files_;
  Descriptor listener_;
  Descriptor usage_;  // /proc/PID/status of the machine
  Time next_sample_;
  capability::RateLimit requests_;
  bool ready_ = false;
  bool silent_ = false;  // it has closed its end of the channel
  std::optional<Time> asked_to_end_;
  std::optional<int> status_;  // of waitpid
  std::string why_;            // we have killed it
};

}  // namespace vitrine::cli

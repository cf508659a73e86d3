// The monitor: a prompt at which the machine's user looks into it and controls it. The line editor is here;
// the commands are in monitor_commands.cc (control), monitor_memory.cc (memory) and monitor_info.cc (info …).
// Opens no file: what it writes goes where the FileService says.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "devices/character_backend.h"
#include "machine/file_service.h"
#include "machine/monitor_expression.h"
#include "machine/monitor_target.h"

namespace vitrine::machine {

/// What a command works with.
class MonitorSession {
 public:
  MonitorSession(MonitorTarget& target, FileService& files);

  [[nodiscard]] MonitorTarget& target() { return target_; }
  [[nodiscard]] FileService& files() { return files_; }
  /// The processor that commands refer to.
  [[nodiscard]] unsigned cpu() const { return cpu_; }
  void select_cpu(unsigned cpu) { cpu_ = cpu; }
  [[nodiscard]] const cpu::CpuState& cpu_state() const { return target_.cpu_state(cpu_); }
  [[nodiscard]] Result<uint64_t> evaluate(std::string_view expression) const;
  [[nodiscard]] RegisterLookup registers() const;

  template <typename... Arguments>
  void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(output_), format, std::forward<Arguments>(arguments)...);
  }
  void print_text(std::string_view text) { output_ += text; }
  void print_error(const Error& error) { print("{}\n", error.message()); }
  [[nodiscard]] std::string take_output() { return std::exchange(output_, {}); }

  /// Presses the keys in order, releases them in reverse after `hold`; behind whatever is still being typed.
  [[nodiscard]] Result<void> send_keys(const std::vector<devices::Key>& chord, Nanoseconds hold);

  /// Format and size that x, xp, i and print repeat when none is given.
  struct Format {
    char letter = 'x';
    unsigned size = 4;
  };
  Format last_format;

 private:
  struct KeyEvent {
    Nanoseconds time;
    devices::Key key;
    devices::KeyAction action;
  };
  void run_key_events();

  MonitorTarget& target_;
  FileService& files_;
  unsigned cpu_ = 0;
  std::string output_;
  std::deque<KeyEvent> key_events_;  // in order of time
  Timer key_timer_;
};

class Monitor final : private devices::CharacterReceiver {
 public:
  static constexpr std::string_view kPrompt = "(vitrine) ";

  /// Everything must outlive the monitor. Greets at once if somebody is there.
  Monitor(devices::CharacterBackend& terminal, MonitorTarget& target, FileService& files);
  ~Monitor() override;
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  /// Executes one command line and returns what it prints, lines ended by "\n".
  [[nodiscard]] std::string execute(std::string_view line);

 private:
  [[nodiscard]] size_t receive_capacity() const override { return 4096; }
  void receive(std::span<const uint8_t> data) override;
  void carrier_changed(bool present) override;

  void greet();
  void type(uint8_t byte);
  void escape_sequence(uint8_t byte);
  void recall(size_t position);
  void replace_line(std::string line);
  void finish_line();
  void show(std::string_view text);

  devices::CharacterBackend& terminal_;
  MonitorSession session_;
  std::string line_;
  std::vector<std::string> history_;
  size_t history_position_ = 0;  // history_.size(): the line being typed
  enum class Escape : uint8_t { None, Started, Bracket } escape_ = Escape::None;
  bool greeted_ = false;
  bool after_return_ = false;  // CR LF ends one line, not two
};

}  // namespace vitrine::machine

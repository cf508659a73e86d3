// The event log of `-d`: one line for each event of the kinds asked for. Costs one test of a bit where
// nobody asked. Writes to an open descriptor, never opens one.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/descriptor.h"

namespace vitrine::machine {

enum class LogItem : uint8_t {
  Interrupt,
  CpuReset,
  Exit,
  UnmappedPort,
  UnmappedMemory,
  Instruction,
  Trap,
  Count
};

struct LogItemName {
  LogItem item;
  std::string_view name;         ///< As `-d` takes it.
  std::string_view description;  ///< As `-d help` shows it.
};
/// One row an item, in order.
[[nodiscard]] std::span<const LogItemName> log_item_names();

class EventLog {
 public:
  /// Nothing is logged.
  EventLog() = default;
  /// `items`: bits 1 << LogItem. An invalid `output` is standard error.
  EventLog(uint32_t items, Descriptor output) : items_(items), output_(std::move(output)) {}
  ~EventLog() { flush(); }
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  [[nodiscard]] bool enabled(LogItem item) const { return (items_ >> static_cast<unsigned>(item) & 1) != 0; }

  /// One event; the line ends itself. Call only when enabled(item): the arguments cost something.
  template <typename... Arguments>
  void write(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Arguments>(arguments)...);
    buffer_ += '\n';
    if (buffer_.size() >= kFlushSize) flush();
  }
  /// At pauses and at the end; a crash may lose what was written since.
  void flush();

 private:
  static constexpr size_t kFlushSize = 16384;

  uint32_t items_ = 0;
  Descriptor output_;
  std::string buffer_;
};

}  // namespace vitrine::machine

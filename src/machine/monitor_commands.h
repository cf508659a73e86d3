// The monitor's command tables.
#pragma once

#include <span>
#include <string_view>

#include "machine/monitor.h"

namespace vitrine::machine {

struct MonitorCommand {
  std::string_view name;
  std::string_view alias;      ///< Second name, or empty.
  std::string_view arguments;  ///< As help shows them.
  std::string_view help;
  /// `arguments`: the rest of the line, without spaces around it. For x, xp, print, i and o it starts with
  /// the format, slash included.
  void (*handler)(MonitorSession& session, std::string_view arguments);
};

[[nodiscard]] std::span<const MonitorCommand> monitor_commands();
[[nodiscard]] std::span<const MonitorCommand> info_commands();

/// Finds the command of `line` and executes it.
void execute_monitor_command(MonitorSession& session, std::string_view line);

// monitor_memory.cc
void command_examine_virtual(MonitorSession& session, std::string_view arguments);
void command_examine_physical(MonitorSession& session, std::string_view arguments);
void command_print(MonitorSession& session, std::string_view arguments);
void command_port_read(MonitorSession& session, std::string_view arguments);
void command_port_write(MonitorSession& session, std::string_view arguments);
void command_translate(MonitorSession& session, std::string_view arguments);
void command_save_virtual(MonitorSession& session, std::string_view arguments);
void command_save_physical(MonitorSession& session, std::string_view arguments);

// monitor_paging.cc
void info_mem(MonitorSession& session, std::string_view arguments);
void info_tlb(MonitorSession& session, std::string_view arguments);
void info_p2m(MonitorSession& session, std::string_view arguments);
void info_shadow(MonitorSession& session, std::string_view arguments);
void info_spaces(MonitorSession& session, std::string_view arguments);

/// The first word of `text`, which then starts at the next one. Quotes hold a word together.
[[nodiscard]] std::string take_word(std::string_view& text);

}  // namespace vitrine::machine

// Character devices: from names to open descriptors.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/terminal.h"

namespace vitrine::cli {

/// All character endpoints of a machine, opened.
struct OpenedCharacters {
  std::vector<machine::CharacterEndpoint> endpoints;
  std::vector<std::optional<machine::EndpointIndex>> serial_ports;
  std::vector<machine::DebugConsoleConfig> debug_consoles;
  std::vector<std::optional<machine::EndpointIndex>> virtio;  ///< One for each of RunOptions::virtio.
  std::optional<machine::EndpointIndex> monitor;
  std::optional<machine::EndpointIndex> gdb;

  std::optional<TerminalSignals> terminal;  ///< Some endpoint is standard input and output.
  std::vector<std::string> socket_files;    ///< To be removed at the end.
  std::vector<std::string> announcements;   ///< Where the user finds a pty or a socket.
};

/// Does not return before the peers that server sockets are to wait for have come; says on standard error
/// that it waits.
[[nodiscard]] Result<OpenedCharacters> open_characters(const RunOptions& options);

}  // namespace vitrine::cli

// Options for serial lines, monitor, debug console and gdb server.

#include <fmt/format.h>

#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"

namespace vitrine::cli {
namespace {

using Kind = CharacterOptions::Kind;
using Role = CharacterOptions::Role;

constexpr size_t kMostSerialPorts = 4;
constexpr std::string_view kDevices =
    "there are stdio, mon:stdio, file:PATH, pty, /dev/TTY, tcp:HOST:PORT[,server][,nowait], "
    "unix:PATH[,server][,nowait], chardev:ID, null and none";

Error bad_device(std::string_view option, std::string_view text) {
  return Error{fmt::format("{}: no such device:", option), std::string(text), 0, std::string(kDevices)};
}

Result<void> check_port(std::string_view option, const std::string& port) {
  const auto number = parse_number(port);
  if (number && *number >= 1 && *number <= 65535) return {};
  return std::unexpected(Error{fmt::format("{}: not a port number from 1 to 65535:", option), port});
}

/// ",server,nowait" and ",server=on,wait=off".
Result<void> take_socket_properties(CharacterOptions& device, PropertyList& properties) {
  const bool server = TRY(properties.take_switch("server")).value_or(false);
  device.role = server ? Role::Server : Role::Client;
  const auto wait = TRY(properties.take_switch("wait"));
  const bool nowait = TRY(properties.take_switch("nowait")).value_or(false);
  // Small writes are never held back anyway.
  if (!TRY(properties.take_switch("nodelay")).value_or(true)) {
    return std::unexpected(Error{"not supported: nodelay=off", device.text});
  }
  device.wait = wait.value_or(!nowait);
  if (!server && (wait || nowait)) {
    return std::unexpected(Error{"wait and nowait are for a server socket", device.text, 0, "add ,server"});
  }
  return {};
}

/// "HOST:PORT" with an optional host; "[::1]:PORT".
Result<void> split_address(std::string_view option, std::string_view text, CharacterOptions& device) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return std::unexpected(Error{fmt::format("{}: tcp needs HOST:PORT", option), std::string(text)});
  }
  device.host = text.substr(0, colon);
  device.port = text.substr(colon + 1);
  if (device.host.starts_with('[') && device.host.ends_with(']')) {
    device.host = device.host.substr(1, device.host.size() - 2);
  }
  return check_port(option, device.port);
}

Result<CharacterOptions> parse_socket(std::string_view option, std::string_view text) {
  CharacterOptions device;
  device.text = text;
  const bool tcp = text.starts_with("tcp:");
  device.kind = tcp ? Kind::Tcp : Kind::Unix;
  PropertyList properties = TRY(PropertyList::parse(option, text.substr(text.find(':') + 1), "address"));
  const std::string address = properties.take("address").value_or("");
  if (tcp) {
    if (auto split = split_address(option, address, device); !split) return std::unexpected(split.error());
  } else if (address.empty()) {
    return std::unexpected(Error{fmt::format("{}: unix needs a path", option), ""});
  }
  if (!tcp) device.path = address;
  if (auto taken = take_socket_properties(device, properties); !taken) return std::unexpected(taken.error());
  if (auto left = properties.nothing_left("server, wait, nowait, nodelay"); !left)
    return std::unexpected(left.error());
  return device;
}

Result<void> set_chardev_backend(CharacterOptions& device, const std::string& backend,
                                 PropertyList& properties) {
  if (backend == "null") {
    device.kind = Kind::Null;
  } else if (backend == "pty") {
    device.kind = Kind::Pty;
  } else if (backend == "stdio") {
    device.kind = Kind::Stdio;
    device.keep_signals = TRY(properties.take_switch("signal")).value_or(true);
  } else if (backend == "file" || backend == "serial" || backend == "tty") {
    device.kind = backend == "file" ? Kind::File : Kind::Device;
    device.path = properties.take("path").value_or("");
    device.append = TRY(properties.take_switch("append")).value_or(false);
    if (device.path.empty()) return std::unexpected(Error{"-chardev: path= is missing", device.text});
  } else if (backend == "socket") {
    const auto path = properties.take("path");
    device.kind = path ? Kind::Unix : Kind::Tcp;
    device.path = path.value_or("");
    device.host = properties.take("host").value_or("");
    device.port = properties.take("port").value_or("");
    if (!path) {
      if (auto valid = check_port("-chardev", device.port); !valid) return valid;
    }
    return take_socket_properties(device, properties);
  } else {
    return std::unexpected(
        Error{"-chardev: not supported:", backend, 0, "there are null, pty, stdio, file, serial and socket"});
  }
  return {};
}

}  // namespace

Result<CharacterOptions> parse_character_device(std::string_view option, std::string_view text) {
  if (text.starts_with("mon:")) {
    CharacterOptions device = TRY(parse_character_device(option, text.substr(4)));
    device.multiplexed = true;
    device.keep_signals = false;
    device.text = text;
    return device;
  }
  CharacterOptions device;
  device.text = text;
  if (text == "none") {
    device.kind = Kind::None;
  } else if (text == "null") {
    device.kind = Kind::Null;
  } else if (text == "stdio") {
    device.kind = Kind::Stdio;
  } else if (text == "pty") {
    device.kind = Kind::Pty;
  } else if (text.starts_with("file:") && text.size() > 5) {
    device.kind = Kind::File;
    device.path = text.substr(5);
  } else if (text.starts_with("/dev/")) {
    device.kind = Kind::Device;
    device.path = text;
  } else if (text.starts_with("chardev:") && text.size() > 8) {
    device.kind = Kind::Reference;
    device.id = text.substr(8);
  } else if (text.starts_with("tcp:") || text.starts_with("unix:")) {
    return parse_socket(option, text);
  } else if (text == "vc" || text.starts_with("vc:")) {
    return std::unexpected(Error{fmt::format("{}: not supported:", option), std::string(text), 0,
                                 "there is no window for a virtual console; use mon:stdio"});
  } else {
    return std::unexpected(bad_device(option, text));
  }
  return device;
}

Result<void> option_serial(RunOptions& options, std::string_view argument) {
  if (options.serials.size() == kMostSerialPorts) {
    return std::unexpected(
        Error{fmt::format("-serial: a PC has {} serial ports at most", kMostSerialPorts), ""});
  }
  options.serials.push_back(TRY(parse_character_device("-serial", argument)));
  return {};
}

Result<void> option_parallel(RunOptions&, std::string_view argument) {
  if (argument == "none" || argument == "null") return {};
  return std::unexpected(
      Error{"-parallel: not supported:", std::string(argument), 0, "there is no parallel port"});
}

Result<void> option_debugcon(RunOptions& options, std::string_view argument) {
  options.debug_consoles.push_back({std::nullopt, TRY(parse_character_device("-debugcon", argument))});
  return {};
}

Result<void> option_monitor(RunOptions& options, std::string_view argument) {
  options.monitor = TRY(parse_character_device("-monitor", argument));
  return {};
}

Result<void> option_chardev(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-chardev", argument, "backend"));
  CharacterOptions device;
  device.text = argument;
  const std::string backend = properties.take("backend").value_or("");
  device.id = properties.take("id").value_or("");
  if (device.id.empty()) return std::unexpected(Error{"-chardev needs id=", std::string(argument)});
  for (const CharacterOptions& other : options.chardevs) {
    if (other.id == device.id) return std::unexpected(Error{"-chardev: the id is given twice:", device.id});
  }
  device.multiplexed = TRY(properties.take_switch("mux")).value_or(false);
  if (auto set = set_chardev_backend(device, backend, properties); !set) return set;
  if (auto left = properties.nothing_left("id, mux, path, append, signal, host, port, server, wait"); !left)
    return left;
  options.chardevs.push_back(std::move(device));
  return {};
}

Result<void> option_nographic(RunOptions& options, std::string_view) {
  options.no_graphic = true;
  return {};
}

Result<void> option_gdb(RunOptions& options, std::string_view argument) {
  if (argument == "none") {
    options.gdb.reset();
    return {};
  }
  CharacterOptions device = TRY(parse_character_device("-gdb", argument));
  if (device.kind == Kind::Null || device.kind == Kind::None)
    return std::unexpected(bad_device("-gdb", argument));
  if (device.kind == Kind::Tcp || device.kind == Kind::Unix) {
    // A gdb server listens, and the machine does not wait for gdb: -S does that.
    device.role = Role::Server;
    device.wait = false;
  }
  options.gdb = std::move(device);
  return {};
}

Result<void> option_gdb_default(RunOptions& options, std::string_view) {
  return option_gdb(options, "tcp::1234");
}

}  // namespace vitrine::cli

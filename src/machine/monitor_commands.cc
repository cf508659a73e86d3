#include "machine/monitor_commands.h"
#include "devices/key_names.h"

#include <algorithm>
#include <array>
#include <utility>

#include "machine/png_writer.h"

namespace vitrine::machine {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr int64_t kDefaultHoldMs = 100;
constexpr int64_t kLongestHoldMs = 60'000;

/// A decimal or hexadecimal number, with a sign; for arguments that are no expressions.
Result<int64_t> parse_integer(MonitorSession& session, std::string_view text) {
  return static_cast<int64_t>(TRY(session.evaluate(text)));
}

void command_help(MonitorSession& session, std::string_view arguments) {
  const auto line = [&](const MonitorCommand& command) {
    std::string left(command.name);
    if (!command.alias.empty()) left += fmt::format("|{}", command.alias);
    if (!command.arguments.empty()) left += fmt::format(" {}", command.arguments);
    session.print("{:<32} {}\n", left, command.help);
  };
  if (arguments == "info") {
    std::ranges::for_each(info_commands(), line);
    return;
  }
  bool found = false;
  for (const MonitorCommand& command : monitor_commands()) {
    if (!arguments.empty() && command.name != arguments && command.alias != arguments) continue;
    line(command);
    found = true;
  }
  if (!found) session.print("there is no command '{}'\n", arguments);
  if (arguments == "sendkey") {
    for (const devices::KeyCode& key : devices::key_codes()) session.print("{} ", key.name);
    session.print("\n");
  }
}

void command_info(MonitorSession& session, std::string_view arguments) {
  std::string_view rest = arguments;
  const std::string subject = take_word(rest);
  if (subject.empty()) return command_help(session, "info");
  for (const MonitorCommand& command : info_commands()) {
    if (command.name == subject || (!command.alias.empty() && command.alias == subject)) {
      return command.handler(session, rest);
    }
  }
  session.print("there is no information on '{}'; 'help info' lists what there is\n", subject);
}

void command_stop(MonitorSession& session, std::string_view) {
  session.target().pause();
}
void command_cont(MonitorSession& session, std::string_view) {
  session.target().resume();
}
void command_reset(MonitorSession& session, std::string_view) {
  session.target().reset();
}
void command_powerdown(MonitorSession& session, std::string_view) {
  session.target().press_power_button();
}
void command_quit(MonitorSession& session, std::string_view) {
  session.target().quit();
}

void command_cpu(MonitorSession& session, std::string_view arguments) {
  const auto index = session.evaluate(arguments);
  if (!index) return session.print_error(index.error());
  if (*index >= session.target().cpu_count()) {
    return session.print("there are processors 0 to {}\n", session.target().cpu_count() - 1);
  }
  session.select_cpu(static_cast<unsigned>(*index));
}

Result<void> screendump(MonitorSession& session, std::string_view arguments) {
  const std::string path = take_word(arguments);
  if (path.empty()) return std::unexpected(Error{"usage: screendump FILE.png", ""});
  if (!arguments.empty())
    return std::unexpected(Error{"screendump writes PNG to one file; cannot use", std::string(arguments)});
  const ScreenImage image = TRY(session.target().screenshot());
  return write_png(TRY(session.files().create_file(path, FileContents::Picture)), image.width, image.height,
                   image.rgb);
}

void command_screendump(MonitorSession& session, std::string_view arguments) {
  if (const auto done = screendump(session, arguments); !done) session.print_error(done.error());
}

Result<void> send_keys(MonitorSession& session, std::string_view arguments) {
  const std::string keys = take_word(arguments);
  if (keys.empty()) return std::unexpected(Error{"usage: sendkey KEY[-KEY…] [MILLISECONDS]", ""});
  const int64_t hold = arguments.empty() ? kDefaultHoldMs : TRY(parse_integer(session, arguments));
  if (hold < 1 || hold > kLongestHoldMs) {
    return std::unexpected(Error{fmt::format("keys are held from 1 to {} milliseconds", kLongestHoldMs), ""});
  }
  return session.send_keys(TRY(devices::parse_key_chord(keys)),
                           static_cast<Nanoseconds>(hold) * kMillisecond);
}

void command_sendkey(MonitorSession& session, std::string_view arguments) {
  if (const auto done = send_keys(session, arguments); !done) session.print_error(done.error());
}

Result<void> move_mouse(MonitorSession& session, std::string_view arguments) {
  std::array<int, 3> distance{};
  size_t count = 0;
  while (!arguments.empty() && count < distance.size()) {
    const int64_t value = TRY(parse_integer(session, take_word(arguments)));
    distance[count++] = static_cast<int>(std::clamp<int64_t>(value, -10'000, 10'000));
  }
  if (count < 2 || !arguments.empty()) return std::unexpected(Error{"usage: mouse_move DX DY [DZ]", ""});
  session.target().mouse_move(distance[0], distance[1], distance[2]);
  return {};
}

void command_mouse_move(MonitorSession& session, std::string_view arguments) {
  if (const auto done = move_mouse(session, arguments); !done) session.print_error(done.error());
}

void command_mouse_button(MonitorSession& session, std::string_view arguments) {
  const auto buttons = session.evaluate(arguments);
  if (!buttons) return session.print_error(buttons.error());
  if (*buttons > 7) return session.print("buttons are the sum of 1 (left), 2 (middle) and 4 (right)\n");
  session.target().mouse_buttons(static_cast<uint8_t>(*buttons));
}

void command_balloon(MonitorSession& session, std::string_view arguments) {
  const auto megabytes = session.evaluate(arguments);
  if (!megabytes) return session.print_error(megabytes.error());
  if (*megabytes == 0) return session.print("a guest needs a megabyte at least\n");
  if (const auto set = session.target().set_balloon(*megabytes); !set) session.print_error(set.error());
}

void command_gdbserver(MonitorSession& session, std::string_view arguments) {
  if (!arguments.empty() && arguments != "status") {
    return session.print("the gdb server is opened at the start: use -gdb {} or -s\n", arguments);
  }
  const std::string text = session.target().describe(Subject::Gdb);
  session.print_text(text.empty() ? "there is no gdb server; start with -s or -gdb\n" : text);
}

constexpr MonitorCommand kCommands[] = {
    {"help", "?", "[COMMAND|info]", "list the commands", command_help},
    {"info", "", "[SUBJECT]", "show something about the machine", command_info},
    {"quit", "q", "", "end the machine", command_quit},
    {"stop", "s", "", "pause the machine", command_stop},
    {"cont", "c", "", "let the machine go on", command_cont},
    {"system_reset", "", "", "press the reset button", command_reset},
    {"system_powerdown", "", "", "press the power button", command_powerdown},
    {"cpu", "", "INDEX", "choose the processor that commands refer to", command_cpu},
    {"x", "", "/FMT ADDRESS", "show memory at a virtual address", command_examine_virtual},
    {"xp", "", "/FMT ADDRESS", "show memory at a physical address", command_examine_physical},
    {"print", "p", "/FMT EXPRESSION", "calculate; $eax and the like are registers", command_print},
    {"i", "", "/FMT PORT", "read an I/O port", command_port_read},
    {"o", "", "/FMT PORT VALUE", "write to an I/O port", command_port_write},
    {"gva2gpa", "", "ADDRESS", "translate a virtual address", command_translate},
    {"memsave", "", "ADDRESS SIZE FILE", "write virtual memory to a file", command_save_virtual},
    {"pmemsave", "", "ADDRESS SIZE FILE", "write physical memory to a file", command_save_physical},
    {"screendump", "", "FILE.png", "write a picture of the screen", command_screendump},
    {"sendkey", "", "KEY[-KEY…] [MS]", "press keys together, for a time", command_sendkey},
    {"mouse_move", "", "DX DY [DZ]", "move the mouse", command_mouse_move},
    {"mouse_button", "", "STATE", "set the buttons: 1 left, 2 middle, 4 right", command_mouse_button},
    {"balloon", "", "MEGABYTES", "how much memory the guest should do with", command_balloon},
    {"gdbserver", "", "status", "say whether the gdb server is there", command_gdbserver},
};

/// Commands that people know from QEMU and that this machine has no use for yet, or never.
constexpr std::pair<std::string_view, std::string_view> kUnsupported[] = {
    {"savevm", "machine states cannot be saved"},
    {"loadvm", "machine states cannot be loaded"},
    {"delvm", "machine states cannot be saved"},
    {"migrate", "machines cannot be moved"},
    {"commit", "images are only read under -snapshot; run without it to change them"},
    {"change", "media cannot be changed while the machine runs"},
    {"eject", "media cannot be changed while the machine runs"},
    {"device_add", "devices cannot be added while the machine runs"},
    {"device_del", "devices cannot be removed while the machine runs"},
    {"drive_add", "drives cannot be added while the machine runs"},
    {"chardev-add", "character devices cannot be added while the machine runs"},
    {"hostfwd_add", "there is no network"},
    {"set_link", "there is no network"},
    {"netdev_add", "there is no network"},
    {"boot_set", "use -boot"},
    {"log", "use -d"},
    {"logfile", "use -D"},
    {"nmi", "not from the monitor"},
    {"singlestep", "use gdb"},
    {"wavcapture", "there is no sound"},
};

}  // namespace

std::span<const MonitorCommand> monitor_commands() {
  return kCommands;
}

std::string take_word(std::string_view& text) {
  std::string word;
  bool quoted = false;
  size_t i = 0;
  for (; i < text.size() && (quoted || text[i] != ' '); ++i) {
    if (text[i] == '"') {
      quoted = !quoted;
    } else {
      word += text[i];
    }
  }
  text.remove_prefix(std::min(text.find_first_not_of(' ', i), text.size()));
  return word;
}

void execute_monitor_command(MonitorSession& session, std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  line = line.substr(0, line.find_last_not_of(' ') + 1);
  if (line.empty()) return;
  const size_t name_end = std::min(line.find_first_of(" /"), line.size());
  const std::string_view name = line.substr(0, name_end);
  std::string_view arguments = line.substr(name_end);
  arguments.remove_prefix(std::min(arguments.find_first_not_of(' '), arguments.size()));

  for (const MonitorCommand& command : kCommands) {
    if (command.name == name || (!command.alias.empty() && command.alias == name)) {
      return command.handler(session, arguments);
    }
  }
  for (const auto& [known, reason] : kUnsupported) {
    if (known == name) return session.print("{} is not supported: {}\n", name, reason);
  }
  session.print("there is no command '{}'; 'help' lists what there is\n", name);
}

}  // namespace vitrine::machine

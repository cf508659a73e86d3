// Options for time, the course of the run, and logs.

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "cli/option_handlers.h"
#include "cli/property_list.h"
#include "cli/suggestion.h"
#include "machine/event_log.h"

namespace vitrine::cli {
namespace {

constexpr uint64_t kSlowestClock = 1'000'000;  // nanoseconds for an instruction

/// "2026-01-31" or "2026-01-31T12:30:00".
std::optional<int64_t> parse_date(const std::string& text) {
  std::tm time{};
  int used = 0;
  const int fields = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                                 &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &used);
  if (fields != 6) {
    time.tm_hour = time.tm_min = time.tm_sec = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &time.tm_year, &time.tm_mon, &time.tm_mday, &used) != 3) {
      return std::nullopt;
    }
  }
  if (static_cast<size_t>(used) != text.size()) return std::nullopt;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  const std::tm wanted = time;
  const std::time_t seconds = ::timegm(&time);
  // timegm() turns 31 April into 1 May: such a date is a mistake.
  const bool exact = time.tm_mday == wanted.tm_mday && time.tm_mon == wanted.tm_mon &&
                     time.tm_year == wanted.tm_year && time.tm_hour == wanted.tm_hour &&
                     time.tm_min == wanted.tm_min && time.tm_sec == wanted.tm_sec;
  if (!exact || wanted.tm_year < 70 || wanted.tm_year > 199) return std::nullopt;
  return seconds;
}

Result<void> set_rtc_base(RunOptions& options, const std::string& base) {
  if (base == "utc") {
    options.rtc.base = RtcOptions::Base::Utc;
  } else if (base == "localtime") {
    options.rtc.base = RtcOptions::Base::LocalTime;
  } else if (const auto date = parse_date(base)) {
    options.rtc.base = RtcOptions::Base::Date;
    options.rtc.date = *date;
  } else {
    return std::unexpected(
        Error{"-rtc: base is utc, localtime or a date such as 2026-01-31T12:30:00, not", base});
  }
  return {};
}

Error unknown_log_item(std::string_view item) {
  std::vector<std::string_view> names;
  for (const auto& row : machine::log_item_names()) names.push_back(row.name);
  const auto meant = suggest(item, names);
  return Error{"-d: there is no log item", std::string(item), 0,
               meant ? fmt::format("did you mean {}? -d help lists them", *meant) : "-d help lists them"};
}

}  // namespace

Result<void> option_rtc(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-rtc", argument, "base"));
  if (const auto base = properties.take("base")) {
    if (auto set = set_rtc_base(options, *base); !set) return set;
  }
  const std::string clock = properties.take("clock").value_or("vm");
  if (clock == "rt") {
    return std::unexpected(Error{"-rtc: not supported: clock =", clock, 0, "there are host and vm"});
  }
  if (clock != "host" && clock != "vm") {
    return std::unexpected(Error{"-rtc: there is no clock", clock, 0, "there are host and vm"});
  }
  options.rtc.source = clock == "host" ? RtcOptions::Source::Host : RtcOptions::Source::Guest;
  const std::string fix = properties.take("driftfix").value_or("none");
  if (fix == "slew") {
    return std::unexpected(Error{"-rtc: not supported: driftfix =", fix, 0,
                                 "no periodic interrupt is lost that would have to be made up for"});
  }
  if (fix != "none") return std::unexpected(Error{"-rtc: driftfix is none, not", fix});
  return properties.nothing_left("base, clock, driftfix");
}

Result<void> option_clock(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("--clock", argument, "kind"));
  const std::string kind = properties.take("kind").value_or("");
  if (kind == "virtual") {
    options.clock.kind = machine::ClockKind::Virtual;
    const auto rate = TRY(properties.take_number("ns", kSlowestClock));
    if (rate && *rate == 0) return std::unexpected(Error{"--clock: ns is at least 1", ""});
    options.clock.nanoseconds_per_instruction = rate.value_or(options.clock.nanoseconds_per_instruction);
    return properties.nothing_left("ns");
  }
  if (kind != "real") return std::unexpected(Error{"--clock is real or virtual[,ns=N], not", kind});
  options.clock.kind = machine::ClockKind::Real;
  return properties.nothing_left("nothing for a real clock");
}

Result<void> option_stats(RunOptions& options, std::string_view argument) {
  using Form = machine::StatisticsConfig::Form;
  PropertyList properties = TRY(PropertyList::parse("--stats", argument, "form"));
  const std::string form = properties.take("form").value_or("table");
  if (form != "table" && form != "json") return std::unexpected(Error{"--stats is table or json, not", form});
  options.statistics.form = form == "json" ? Form::Json : Form::Table;
  const auto file = properties.take("file");
  if (file && file->empty()) return std::unexpected(Error{"--stats: file= needs a name", ""});
  options.statistics.file = file.value_or("");
  return properties.nothing_left("table, json, file");
}

Result<void> option_icount(RunOptions& options, std::string_view argument) {
  PropertyList properties = TRY(PropertyList::parse("-icount", argument, "shift"));
  const auto shift = TRY(properties.take_number("shift", 10));
  if (!shift) return std::unexpected(Error{"-icount needs shift=N", ""});
  if (TRY(properties.take_switch("align")).value_or(false))
    return std::unexpected(Error{"-icount: not supported: align=on", ""});
  if (TRY(properties.take_switch("sleep")).value_or(false)) {
    return std::unexpected(Error{"-icount: not supported: sleep=on", "", 0, "idle time is skipped"});
  }
  options.clock.kind = machine::ClockKind::Virtual;
  options.clock.nanoseconds_per_instruction = uint64_t{1} << *shift;
  return properties.nothing_left("shift, align, sleep");
}

Result<void> option_nodefaults(RunOptions& options, std::string_view) {
  options.no_defaults = true;
  return {};
}

Result<void> option_no_reboot(RunOptions& options, std::string_view) {
  options.no_reboot = true;
  return {};
}

Result<void> option_no_shutdown(RunOptions& options, std::string_view) {
  options.no_shutdown = true;
  return {};
}

Result<void> option_paused(RunOptions& options, std::string_view) {
  options.start_paused = true;
  return {};
}

Result<void> option_log(RunOptions& options, std::string_view argument) {
  if (argument == "help" || argument == "?") {
    std::string text;
    for (const auto& row : machine::log_item_names())
      text += fmt::format("{:<14} {}\n", row.name, row.description);
    options.information = text;
    return {};
  }
  while (!argument.empty()) {
    const std::string_view item = argument.substr(0, argument.find(','));
    argument.remove_prefix(std::min(item.size() + 1, argument.size()));
    bool found = false;
    for (const auto& row : machine::log_item_names()) {
      if (row.name != item) continue;
      options.log_items |= uint32_t{1} << static_cast<unsigned>(row.item);
      found = true;
    }
    if (!found) return std::unexpected(unknown_log_item(item));
  }
  return {};
}

Result<void> option_log_file(RunOptions& options, std::string_view argument) {
  options.log_file = argument;
  return {};
}

Result<void> option_pidfile(RunOptions& options, std::string_view argument) {
  options.pid_file = argument;
  return {};
}

Result<void> option_sandbox(RunOptions& options, std::string_view argument) {
  if (argument != "on" && argument != "off")
    return std::unexpected(Error{"--sandbox is on or off, not", std::string(argument)});
  options.sandbox = argument == "on";
  return {};
}

Result<void> option_files(RunOptions& options, std::string_view argument) {
  if (argument.empty()) return std::unexpected(Error{"--files needs a directory", ""});
  options.file_directories.emplace_back(argument);
  return {};
}

Result<void> option_nothing(RunOptions&, std::string_view) {
  return {};
}

}  // namespace vitrine::cli

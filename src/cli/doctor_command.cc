// `vitrine doctor`: what this host can guarantee, and what not, why, and what to do.

#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "doctor/host_report.h"

namespace vitrine::cli {
namespace {

constexpr std::string_view kHelp =
    "Usage: vitrine doctor [--json] [--require NAME,…]\n\n"
    "Tries what this host can guarantee to boxes and machines, and says what is missing, why, and what to "
    "do.\n\n"
    "  --json               as JSON\n"
    "  --require NAME,…     only the exit status: 0 if all of these are there (names as in the table)\n\n"
    "Exit status: 0 if every guarantee can be given and guest code runs natively (with --require: if what is "
    "named\n"
    "is there), 1 if not, 2 for a wrong command line.\n";

int usage_error(std::string_view message, std::string_view word) {
  fmt::print(stderr, "vitrine: doctor: {} '{}' (vitrine doctor --help says what there is)\n", message, word);
  return kUsageError;
}

/// Says what is not there, on standard error.
int require(const doctor::HostReport& report, std::string_view names) {
  int status = kSuccess;
  while (true) {
    const std::string_view name = names.substr(0, names.find(','));
    const doctor::Row* row = doctor::find(report, name);
    if (row == nullptr || row->verdict == doctor::Verdict::Fact)
      return usage_error("nothing that can be required is called", name);
    if (row->verdict == doctor::Verdict::No) {
      fmt::print(stderr, "vitrine: not here: {}: {}\n", row->name, row->detail);
      status = kFailure;
    }
    if (name.size() == names.size()) return status;
    names.remove_prefix(name.size() + 1);
  }
}

}  // namespace

int doctor_command(std::span<const std::string_view> arguments) {
  bool json = false;
  std::optional<std::string_view> required;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    constexpr std::string_view kRequire = "--require=";
    if (word == "--help" || word == "-h") {
      fmt::print("{}", kHelp);
      return kSuccess;
    }
    if (word == "--json") {
      json = true;
    } else if (word.starts_with(kRequire)) {
      required = word.substr(kRequire.size());
    } else if (word == "--require" && i + 1 < arguments.size()) {
      required = arguments[++i];
    } else {
      return usage_error(word == "--require" ? "a list of names is missing behind" : "there is no option",
                         word);
    }
  }
  const doctor::HostReport report = doctor::examine_host();
  if (required) return require(report, *required);
  fmt::print("{}", json ? doctor::as_json(report) : doctor::as_text(report));
  return doctor::missing(report).empty() ? kSuccess : kFailure;
}

}  // namespace vitrine::cli

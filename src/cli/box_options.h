// What `vitrine box` was asked for, as plain values. One table of options serves the command line, a profile
// (TOML, the same names), --help, and the check of the manual page.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/host_features.h"
#include "sandbox/policy.h"

namespace vitrine::cli {

struct BoxDescriptor {
  int number = 0;
  std::string path;
  int flags = 0;  ///< open(2)
};

/// A directory by token, at a place in the box.
struct BoxDirectory {
  std::string place;
  std::string token;  ///< "token:…"
  bool writable = false;
};

enum class ReportFormat : uint8_t { None, Text, Json };

struct BoxOptions {
  /// The user asked for this text instead of a run.
  std::optional<std::string> information;
  std::vector<std::string> program;

  std::vector<std::string> readable;
  std::vector<std::string> writable;
  std::vector<BoxDirectory> directories;
  std::optional<uint64_t> temporary;
  bool bare = false;  ///< No library directories.
  std::vector<BoxDescriptor> descriptors;
  bool loopback = false;
  std::vector<std::string> environment;
  std::string working_directory;
  bool exec = false;
  bool jit = false;

  sandbox::Limits limits;
  bool strict = false;
  std::vector<sandbox::Guarantee> lacks;
  std::vector<sandbox::Guarantee> required;
  std::vector<sandbox::Mechanism> disabled;

  ReportFormat report = ReportFormat::None;
  std::string report_file;
  bool explain = false;
  bool learn = false;
};

enum class BoxOptionGroup : uint8_t { Files, Other, Limits, Reports, Tests };

struct BoxOption {
  std::string_view name;      ///< Without the dashes.
  std::string_view argument;  ///< How help shows the argument; empty: the option takes none.
  BoxOptionGroup group;
  std::string_view help;
  Result<void> (*handler)(BoxOptions& options, std::string_view argument);
};

[[nodiscard]] std::span<const BoxOption> box_options();

/// Reads `[--option [argument]]… [--] program [argument…]`. An Error is the user's (exit status 2).
[[nodiscard]] Result<BoxOptions> parse_box_options(std::span<const std::string_view> arguments);

/// Sets one option by name; for the command line and profiles. Without an argument where the option takes
/// none.
[[nodiscard]] Result<void> set_box_option(BoxOptions& options, std::string_view name,
                                          std::optional<std::string_view> argument);

/// Sets every option that a profile names, in its order. box_profile.cc
[[nodiscard]] Result<void> read_box_profile(BoxOptions& options, const std::string& path);

[[nodiscard]] std::string box_help();

}  // namespace vitrine::cli

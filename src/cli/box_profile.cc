// Profiles of `vitrine box`: a TOML file whose keys are the options' names.

#include <fmt/format.h>
#include <toml++/toml.h>

#include <string>

#include "cli/box_options.h"

namespace vitrine::cli {
namespace {

Error at_line(const std::string& path, const toml::source_region& source, std::string what) {
  return Error{std::move(what), fmt::format("{}:{}", path, source.begin.line)};
}

/// One value of a key: a word, a number, or true.
Result<void> set_value(BoxOptions& options, const std::string& path, std::string_view name,
                       const toml::node& value) {
  Result<void> set;
  if (const auto word = value.value_exact<std::string>()) {
    set = set_box_option(options, name, *word);
  } else if (value.is_integer() || value.is_floating_point()) {
    const std::string number =
        value.is_integer() ? fmt::to_string(*value.value<int64_t>()) : fmt::to_string(*value.value<double>());
    set = set_box_option(options, name, number);
  } else if (const auto flag = value.value_exact<bool>()) {
    if (*flag) set = set_box_option(options, name, std::nullopt);
  } else {
    return std::unexpected(
        at_line(path, value.source(), fmt::format("'{}' is no word, number, true or false, in", name)));
  }
  if (set) return {};
  Error error = set.error();
  return std::unexpected(at_line(path, value.source(), fmt::format("{}: in the profile", error.message())));
}

}  // namespace

Result<void> read_box_profile(BoxOptions& options, const std::string& path) {
  toml::table profile;
  try {
    profile = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    // The library's one way to say it, as Debian builds it.
    if (error.source().begin.line == 0) {
      return std::unexpected(Error{"cannot read the profile", path, 0, std::string(error.description())});
    }
    return std::unexpected(
        at_line(path, error.source(), fmt::format("{}: in the profile", error.description())));
  }
  for (const auto& [key, node] : profile) {
    if (key.str() == "profile")
      return std::unexpected(at_line(path, node.source(), "a profile names no other profile:"));
    const toml::array* values = node.as_array();
    if (values == nullptr) {
      if (auto set = set_value(options, path, key.str(), node); !set) return set;
      continue;
    }
    for (const toml::node& value : *values) {
      if (auto set = set_value(options, path, key.str(), value); !set) return set;
    }
  }
  return {};
}

}  // namespace vitrine::cli

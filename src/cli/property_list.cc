#include "cli/property_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace vitrine::cli {
namespace {

/// Cuts off the text up to the next single comma, and undoubles the doubled ones.
std::string take_property(std::string_view& text) {
  std::string property;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == ',') {
      if (i + 1 >= text.size() || text[i + 1] != ',') break;
      ++i;
    }
    property += text[i];
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return property;
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_switch(std::string_view text) {
  if (text == "on" || text == "yes" || text == "true" || text == "y") return true;
  if (text == "off" || text == "no" || text == "false" || text == "n") return false;
  return std::nullopt;
}

Result<PropertyList> PropertyList::parse(std::string_view option, std::string_view text,
                                         std::string_view implied_name) {
  PropertyList list;
  list.option_ = option;
  for (bool first = true; !text.empty(); first = false) {
    const std::string property = take_property(text);
    const size_t equals = property.find('=');
    if (equals == 0 || property.empty()) {
      return std::unexpected(Error{fmt::format("{}: cannot understand the property", option), property});
    }
    if (equals != std::string::npos) {
      list.properties_.emplace_back(property.substr(0, equals), property.substr(equals + 1));
    } else if (first && !implied_name.empty()) {
      list.properties_.emplace_back(implied_name, property);
    } else {
      list.properties_.emplace_back(property, "on");
    }
  }
  return list;
}

std::optional<std::string> PropertyList::take(std::string_view name) {
  std::optional<std::string> value;
  std::erase_if(properties_, [&](auto& property) {
    if (property.first != name) return false;
    value = std::move(property.second);
    return true;
  });
  return value;
}

Result<std::optional<bool>> PropertyList::take_switch(std::string_view name) {
  const auto text = take(name);
  if (!text) return std::nullopt;
  const auto value = parse_switch(*text);
  if (!value) return std::unexpected(Error{fmt::format("{}: {} is on or off, not", option_, name), *text});
  return value;
}

Result<std::optional<uint64_t>> PropertyList::take_number(std::string_view name, uint64_t limit) {
  const auto text = take(name);
  if (!text) return std::nullopt;
  const auto value = parse_number(*text);
  if (!value || *value > limit) {
    return std::unexpected(
        Error{fmt::format("{}: {} is a number from 0 to {}, not", option_, name, limit), *text});
  }
  return value;
}

Result<void> PropertyList::nothing_left(std::string_view known) const {
  if (properties_.empty()) return {};
  return std::unexpected(Error{fmt::format("{} does not support the property", option_),
                               properties_.front().first, 0, fmt::format("it has: {}", known)});
}

}  // namespace vitrine::cli

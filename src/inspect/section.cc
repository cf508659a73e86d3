#include "inspect/section.h"

#include <algorithm>

namespace vitrine::inspect {

void Section::count(std::string_view key, std::string_view title, uint64_t events) {
  rows_.push_back({.key = std::string(key), .title = std::string(title), .value = events});
}

void Section::bytes(std::string_view key, std::string_view title, uint64_t bytes) {
  rows_.push_back(
      {.key = std::string(key), .title = std::string(title), .value = bytes, .unit = Unit::Bytes});
}

void Section::time(std::string_view key, std::string_view title, Nanoseconds time) {
  rows_.push_back(
      {.key = std::string(key), .title = std::string(title), .value = time, .unit = Unit::Nanoseconds});
}

void Section::average(std::string_view key, std::string_view title, uint64_t part, uint64_t whole) {
  if (whole == 0) return;
  rows_.push_back({.key = std::string(key),
                   .title = std::string(title),
                   .value = scale(part, 100, whole),
                   .unit = Unit::Hundredths});
}

void Section::cost(std::string_view key, std::string_view title, std::optional<uint64_t> events,
                   Spent spent) {
  rows_.push_back({.key = std::string(key),
                   .title = std::string(title),
                   .value = events.value_or(0),
                   .spent = spent,
                   .counted = events.has_value()});
}

Section& Section::section(std::string_view key, std::string_view title, Kind kind) {
  return sections_.emplace_back(std::string(key), std::string(title), kind);
}

const Row* Section::find_row(std::string_view key) const {
  const auto found = std::ranges::find(rows_, key, &Row::key);
  return found != rows_.end() ? &*found : nullptr;
}

const Section* Section::find_section(std::string_view key) const {
  const auto found = std::ranges::find(sections_, key, &Section::key);
  return found != sections_.end() ? &*found : nullptr;
}

}  // namespace vitrine::inspect

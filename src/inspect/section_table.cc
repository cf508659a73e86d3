// The report as a table for people.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "inspect/section.h"

namespace vitrine::inspect {
namespace {

constexpr size_t kTitleWidth = 46;

std::string duration(double nanoseconds) {
  constexpr double kMicro = 1e3, kMilli = 1e6, kSecond = 1e9;
  if (nanoseconds < kMicro) return fmt::format("{:.0f} ns", nanoseconds);
  if (nanoseconds < kMilli) return fmt::format("{:.2f} us", nanoseconds / kMicro);
  if (nanoseconds < kSecond) return fmt::format("{:.2f} ms", nanoseconds / kMilli);
  return fmt::format("{:.3f} s", nanoseconds / kSecond);
}

std::string quantity(const Row& row) {
  switch (row.unit) {
    case Unit::Events: return fmt::format("{}", row.value);
    case Unit::Bytes: return fmt::format("{} KiB", (row.value + 1023) / 1024);
    case Unit::Hundredths: return fmt::format("{:.2f}", static_cast<double>(row.value) / 100);
    case Unit::Nanoseconds: return duration(static_cast<double>(row.value));
  }
  return {};
}

// What all times of a section add up to, which shares are of.
double whole(const Section& section) {
  double sum = 0;
  for (const Row& row : section.rows())
    if (row.spent) sum += static_cast<double>(row.spent->time);
  return sum;
}

bool is_nothing(const Row& row) {
  if (row.title.empty()) return true;
  return row.value == 0 && (!row.spent || row.spent->time == 0);
}

bool has_something(const Section& section) {
  return !std::ranges::all_of(section.rows(), is_nothing) ||
         std::ranges::any_of(section.sections(), has_something);
}

constexpr std::string_view kColumns = "{}{:<{}}{:>14}{:>12}{:>8}{:>12}";

void write_row(const Row& row, std::string_view title, size_t depth, double all, std::string& text) {
  const std::string indent(2 * depth, ' ');
  std::string time, share, each;
  if (row.spent) {
    const auto nanoseconds = static_cast<double>(row.spent->time);
    time = duration(nanoseconds);
    if (all > 0) share = fmt::format("{:.1f} %", 100 * nanoseconds / all);
    if (row.counted && row.value != 0 && row.spent->samples != 0)
      each = duration(nanoseconds / static_cast<double>(row.value));
  }
  const std::string line = fmt::format(fmt::runtime(kColumns), indent, title, kTitleWidth - indent.size(),
                                       row.counted ? quantity(row) : "", time, share, each);
  text += line.substr(0, line.find_last_not_of(' ') + 1);
}

// "vga   101768   8.04 ms   79 ns   113 reads of ports, …"
void write_line(const Section& section, size_t depth, std::string& text) {
  const std::vector<Row>& rows = section.rows();
  write_row(rows.front(), section.title(), depth, 0, text);
  std::string_view separator = "   ";
  for (size_t n = 1; n < rows.size(); ++n) {
    if (is_nothing(rows[n])) continue;
    fmt::format_to(std::back_inserter(text), "{}{} {}", separator, quantity(rows[n]), rows[n].title);
    separator = ", ";
  }
  text += '\n';
}

void write(const Section& section, size_t depth, std::string& text) {
  if (section.kind() == Section::Kind::Line) return write_line(section, depth, text);
  const std::string indent(2 * depth, ' ');
  const double all = whole(section);
  if (all > 0) {
    fmt::format_to(std::back_inserter(text), fmt::runtime(kColumns), indent, section.title(),
                   kTitleWidth - indent.size(), "count", "time", "share", "each");
  } else {
    text += indent + section.title();
  }
  text += '\n';
  for (const Row& row : section.rows()) {
    if (is_nothing(row)) continue;
    write_row(row, row.title, depth + 1, all, text);
    text += '\n';
  }
  for (const Section& part : section.sections())
    if (has_something(part)) write(part, depth + 1, text);
}

}  // namespace

std::string to_table(const Section& report) {
  std::string text;
  write(report, 0, text);
  return text;
}

}  // namespace vitrine::inspect

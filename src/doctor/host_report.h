// What `vitrine doctor` says of a host: which guarantees it can give, on what they rest, what is missing and
// what to do about it. Everything is tried, not read from a version number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::doctor {

enum class Verdict : uint8_t {
  Yes,
  No,
  Fact,  ///< Neither good nor bad: a limit, a number.
};

struct Row {
  std::string name;  ///< "files", "landlock": one word, for --require and JSON.
  Verdict verdict{};
  std::string text;    ///< What it is.
  std::string detail;  ///< Yes: what it rests on. No: why, and what to do. Fact: the number.
};

struct Section {
  std::string_view name;   ///< In JSON.
  std::string_view title;  ///< In text.
  std::vector<Row> rows;
};

/// Whether guest code runs natively: the row of the section "machine" that decides.
inline constexpr std::string_view kNativeEngine = "native-engine";

using HostReport = std::vector<Section>;

/// Some tenths of a second: every mechanism is tried.
[[nodiscard]] HostReport examine_host();

[[nodiscard]] std::string as_text(const HostReport& report);
[[nodiscard]] std::string as_json(const HostReport& report);

/// Names of the guarantees, and kNativeEngine, that the host cannot give.
[[nodiscard]] std::vector<std::string> missing(const HostReport& report);
/// The row of this name in any section, or nullptr.
[[nodiscard]] const Row* find(const HostReport& report, std::string_view name);

}  // namespace vitrine::doctor

// What `vitrine box` says: verdicts for judges, reports, explanations, and what it learned.
#pragma once

#include <string>
#include <string_view>

#include "cli/box_options.h"
#include "sandbox/child.h"
#include "sandbox/outcome.h"

namespace vitrine::cli {

/// The values are vitrine box's exit statuses; 2 is a wrong command line.
enum class Verdict : uint8_t {
  Ok = 0,
  InternalError = 1,
  RuntimeError = 3,
  TimeLimit = 4,
  MemoryLimit = 5,
  OutputLimit = 6,
  Violation = 7,
};
[[nodiscard]] std::string_view verdict_name(Verdict verdict);
[[nodiscard]] Verdict verdict_of(const sandbox::Outcome& outcome);

/// The option that would grant a right; empty: none does.
[[nodiscard]] std::string_view option_granting(sandbox::Right right);

[[nodiscard]] std::string text_report(const sandbox::Outcome& outcome);
[[nodiscard]] std::string json_report(const sandbox::Outcome& outcome);
/// A verdict without a run: why it could not be started.
[[nodiscard]] std::string json_failure(const Error& error);
/// "time limit (wall-time)": what is said where no report was asked for.
[[nodiscard]] std::string one_line(const sandbox::Outcome& outcome);

[[nodiscard]] std::string text_explanation(const BoxOptions& options,
                                           const sandbox::Explanation& explanation);
[[nodiscard]] std::string json_explanation(const sandbox::Explanation& explanation);

/// The command line with what it lacked. `granted`: what it had.
[[nodiscard]] std::string learned_options(const BoxOptions& options, const sandbox::Outcome& outcome,
                                          const std::vector<sandbox::PathGrant>& granted,
                                          const std::string& working_directory);

}  // namespace vitrine::cli

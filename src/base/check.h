// Assertions about our own code. They stay on in release: a monitor that goes on after a broken
// invariant is worse than one that stops.
#pragma once

#include <fmt/format.h>

#include <string>

namespace vitrine {

/// Called once with the failure message before the process aborts, to print the guest's state.
/// One for the process (a failed CHECK has nobody to return to). Pass nullptr to remove.
using CheckFailureHook = void (*)(void* context);
void set_check_failure_hook(CheckFailureHook hook, void* context);

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& detail);

}  // namespace vitrine

/// CHECK(condition) or CHECK(condition, "format {}", arguments…): aborts when the condition is false.
#define CHECK(condition, ...)                                                               \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::vitrine::check_failed(__FILE__, __LINE__, #condition, fmt::format("" __VA_ARGS__)); \
  } while (false)

#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vitrine {
namespace {

// One for the process: see set_check_failure_hook.
CheckFailureHook failure_hook = nullptr;
void* failure_context = nullptr;

}  // namespace

void set_check_failure_hook(CheckFailureHook hook, void* context) {
  failure_hook = hook;
  failure_context = context;
}

void check_failed(const char* file, int line, const char* condition, const std::string& detail) {
  fmt::print(stderr, "vitrine: internal error at {}:{}: {} does not hold. {}\n", file, line, condition,
             detail);
  if (CheckFailureHook hook = failure_hook) {
    failure_hook = nullptr;  // A CHECK inside the hook must not recurse.
    hook(failure_context);
  }
  std::fflush(nullptr);
  std::abort();
}

}  // namespace vitrine

// From rules to the kernel's filter program (linux/filter.h, seccomp(2)): one search tree over the numbers of
// calls, another one over the values of an argument where a call has many. Neighbours that are answered alike
// are one leaf, so that the whole is a page or less, and every box can afford to make its own.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sandbox/system_calls.h"

namespace vitrine::sandbox {

/// A call that gets `action` (SECCOMP_RET_…) where all conditions hold. Several for one call: the first that
/// fits; one without a condition fits always.
struct FilterRule {
  int number;
  uint32_t action;
  std::array<Condition, 2> conditions = {};
};

struct FilterActions {
  uint32_t otherwise;    ///< For calls that no rule fits.
  uint32_t other_entry;  ///< For those of another way into the kernel: int 0x80, x32.
};

[[nodiscard]] std::vector<sock_filter> make_filter_code(std::span<const FilterRule> rules,
                                                        const FilterActions& actions);

}  // namespace vitrine::sandbox

// How much memory the host still promises. Only with vm.overcommit_memory=2 does it keep count; otherwise
// memory is there until it is not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace vitrine {

/// In bytes; nothing: the host does not count. `proc` is where /proc is.
[[nodiscard]] std::optional<uint64_t> memory_left_to_promise(const std::string& proc = "/proc");

/// Whether guest memory of this size can be touched to its end. Where it cannot, a write into it would end
/// the process with SIGBUS. Error: how much there is, and what to do.
[[nodiscard]] Result<void> memory_can_be_promised(uint64_t size, const std::string& proc = "/proc");

}  // namespace vitrine

// Shared memory: a memory file that is sealed against another size, so that a peer cannot make the other side
// fault (SIGBUS) by shrinking what both have mapped.
#pragma once

#include <cstddef>
#include <string>

#include "base/mapping.h"
#include "base/result.h"
#include "capability/capability.h"

namespace vitrine::capability {

/// `size` bytes of zeros, of fixed size, that cannot be executed as a program (where the kernel has
/// MFD_NOEXEC_SEAL, Linux 6.3). `name` shows in /proc only. Rights: Read and Write.
[[nodiscard]] Result<Capability> create_shared_memory(size_t size, const std::string& name);

/// Nobody will write any more, this holder included; a seal, so it cannot be undone. Error: somebody has it
/// mapped writable at this moment.
[[nodiscard]] Result<Capability> freeze(Capability memory);

/// Maps all of it with the access that the rights allow.
[[nodiscard]] Result<Mapping> map(const Capability& memory);

}  // namespace vitrine::capability

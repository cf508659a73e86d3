// What running guest code natively takes of the host beyond x86-64 Linux, and whether it is there: addresses
// for windows, executable memory, a GS base of our own, timers, mappings. Who wants to know before anything
// is made asks host_can_translate(); Engine::create() asks, too.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace vitrine::translate {

struct HostSupport {
  bool fsgsbase = true;   ///< User code may execute WRGSBASE; else arch_prctl(2), a system call, does it.
  int gs_base_errno = 0;  ///< Why neither works; 0: one does.
  int code_errno = 0;     ///< Why memory cannot be made executable; 0: it can.
  int timer_errno = 0;    ///< Why there are no timers; 0: there are.
  uint64_t addresses = UINT64_MAX;  ///< Bytes of address space that the process may still take.
  uint64_t mappings = 65530;        ///< vm.max_map_count.
  /// vm.overcommit_memory=2, or `ulimit -d`: what is mapped writable counts as if it were used, and `commit`
  /// bytes may be.
  bool commits_strictly = false;
  uint64_t commit = UINT64_MAX;
};

/// Looks at the host; a few system calls.
[[nodiscard]] HostSupport probe_host();

/// Whether so many processors can run natively. Error: what the host lacks, in one line, and what can be done
/// about it. It may still become untrue, as when somebody else takes the memory.
[[nodiscard]] Result<void> host_can_translate(const HostSupport& host, unsigned processors = 1);
[[nodiscard]] inline Result<void> host_can_translate(unsigned processors = 1) {
  return host_can_translate(probe_host(), processors);
}

}  // namespace vitrine::translate

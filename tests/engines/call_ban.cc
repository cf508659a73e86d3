#include "engines/call_ban.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <vector>

namespace vitrine::engines {

// Linux, "Seccomp BPF": the instruction pointer is that behind the SYSCALL; a filter sees 32 bits at a time.
bool ban_system_calls(std::initializer_list<const translate::Engine*> engines) {
  std::vector<sock_filter> filter;
  const auto add = [&](uint16_t code, uint32_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    filter.push_back({code, if_true, if_false, value});
  };
  constexpr uint32_t kPointer = offsetof(seccomp_data, instruction_pointer);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  for (const translate::Engine* engine : engines) {
    const translate::CodeMemory& memory = engine->cache().memory();
    const auto first = reinterpret_cast<uint64_t>(memory.executable(0));
    const uint64_t last = first + memory.size();
    // The code memory may reach over a multiple of 4 GiB: each part by itself.
    for (uint64_t start = first; start <= last;) {
      const uint64_t end = std::min(last, start | 0xffffffff);
      add(BPF_LD | BPF_W | BPF_ABS, kPointer + 4);
      add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(start >> 32), 0, 4);
      add(BPF_LD | BPF_W | BPF_ABS, kPointer);
      add(BPF_JMP | BPF_JGE | BPF_K, static_cast<uint32_t>(start), 0, 2);
      add(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(end), 1, 0);
      add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
      start = end + 1;
    }
  }
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

}  // namespace vitrine::engines

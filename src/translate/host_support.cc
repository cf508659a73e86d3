#include "translate/host_support.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>

#include "base/addresses.h"
#include "base/descriptor.h"
#include "base/host_memory.h"
#include "base/mapping.h"
#include "paging/mapping_budget.h"
#include "paging/shadow_window.h"

namespace vitrine::translate {
namespace {

constexpr const char* kInterpret = "--engine interpret needs none of this";

constexpr uint64_t kGiB = uint64_t{1} << 30;
// Each processor has a window for the supervisor and one for the user; an aligned one is cut out of twice its
// size.
constexpr uint64_t kWindows = 2 * paging::ShadowWindow::kSize;
constexpr uint64_t kCutting = paging::ShadowWindow::kSize;
constexpr uint64_t kRest = kGiB;  // code memory twice, tables, heap
constexpr uint64_t kCommit = kGiB / 2;
// Below this the process itself has hardly enough.
constexpr uint64_t kFewestMappings = 1024;

uint64_t addresses_left() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const uint64_t used = pages << kPageShift;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

uint64_t data_left() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  // proc(5): size, resident, shared, text, lib, data.
  uint64_t pages = 0;
  std::ifstream file("/proc/self/statm");
  for (unsigned field = 0; field < 6; ++field) file >> pages;
  const uint64_t used = pages << kPageShift;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

int try_gs_base() {
  constexpr int kArchGetGs = 0x1004, kArchSetGs = 0x1001;
  uint64_t base = 0;
  const bool works =
      ::syscall(SYS_arch_prctl, kArchGetGs, &base) == 0 && ::syscall(SYS_arch_prctl, kArchSetGs, base) == 0;
  return works ? 0 : errno;
}

int try_executable_memory() {
  const Descriptor memfd(::memfd_create("vitrine-probe", MFD_CLOEXEC));
  if (!memfd || ::ftruncate(memfd.get(), kPageSize) != 0) return errno;
  const auto mapping = Mapping::create(kPageSize, PROT_READ | PROT_EXEC, MAP_SHARED, memfd.get());
  return mapping ? 0 : mapping.error().errno_value;
}

int try_timer() {
  struct sigevent event {};
  event.sigev_notify = SIGEV_NONE;
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return errno;
  ::timer_delete(timer);
  return 0;
}

Error refusal(std::string why, int reason, std::string_view advice) {
  return Error{"guest code cannot run natively here: " + std::move(why), "", reason,
               fmt::format("{}; {}", advice, kInterpret)};
}

}  // namespace

HostSupport probe_host() {
  constexpr unsigned long kHwcap2Fsgsbase = 2;
  HostSupport host;
  host.fsgsbase = (::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) != 0;
  if (!host.fsgsbase) host.gs_base_errno = try_gs_base();
  host.code_errno = try_executable_memory();
  host.timer_errno = try_timer();
  host.addresses = addresses_left();
  host.mappings = paging::MappingBudget::host_limit();
  host.commit = std::min(memory_left_to_promise().value_or(UINT64_MAX), data_left());
  host.commits_strictly = host.commit != UINT64_MAX;
  return host;
}

Result<void> host_can_translate(const HostSupport& host, unsigned processors) {
  const uint64_t needed = processors * kWindows + kCutting + kRest;
  if (host.addresses < needed)
    return std::unexpected(
        refusal(fmt::format("it takes {:.0f} GiB of addresses, and the process may have {:.1f} GiB more",
                            static_cast<double>(needed) / kGiB, static_cast<double>(host.addresses) / kGiB),
                0, "'ulimit -v unlimited' lifts the limit"));
  if (host.gs_base_errno != 0)
    return std::unexpected(refusal("the base of GS can be set neither by WRGSBASE nor by arch_prctl",
                                   host.gs_base_errno,
                                   "allow the system call, or start Linux without nofsgsbase"));
  if (host.code_errno != 0)
    return std::unexpected(refusal("memory from memfd_create cannot be made executable", host.code_errno,
                                   "see vm.memfd_noexec and the rules of the sandbox, if there is one"));
  if (host.timer_errno != 0)
    return std::unexpected(
        refusal("timers cannot be had from timer_create", host.timer_errno, "see 'ulimit -i'"));
  if (host.mappings < kFewestMappings)
    return std::unexpected(
        refusal(fmt::format("vm.max_map_count is {}, and {} are too few", host.mappings, kFewestMappings - 1),
                0, "'sysctl vm.max_map_count=65530' raises it"));
  if (host.commit < kCommit * processors)
    return std::unexpected(refusal(
        fmt::format("it takes {} MiB of memory that the host counts beforehand, and there are {}",
                    kCommit * processors >> 20, host.commit >> 20),
        0,
        "'ulimit -d unlimited' lifts one limit; with vm.overcommit_memory=2 more swap space or a higher "
        "vm.overcommit_ratio helps"));
  return {};
}

}  // namespace vitrine::translate

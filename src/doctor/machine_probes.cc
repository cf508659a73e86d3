#include "doctor/machine_probes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "base/descriptor.h"
#include "translate/host_support.h"

namespace vitrine::doctor {
namespace {

// Linux 5.11 and 5.19; older headers do not have them.
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

std::string reason(int error) {
  return error == 0 ? "" : std::strerror(error);
}

Row row(std::string name, int error, std::string text, std::string_view advice) {
  return {std::move(name), error == 0 ? Verdict::Yes : Verdict::No, std::move(text),
          error == 0 ? "" : fmt::format("{}: {}", reason(error), advice)};
}

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  return std::getline(file, line) ? line : "not known";
}

std::string limit_of(__rlimit_resource resource, uint64_t unit, std::string_view unit_name) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return "not known";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return fmt::format("{}{}", limit.rlim_cur / unit, unit_name);
}

int try_openat2() {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const Descriptor root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Descriptor opened(static_cast<int>(::syscall(SYS_openat2, root.get(), ".", &how, sizeof how)));
  return opened ? 0 : errno;
}

int try_user_dispatch() {
  // Off again at once. With the selector at "allow" no call is dispatched meanwhile.
  char selector = 0;
  if (::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) != 0) return errno;
  return ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0) == 0 ? 0 : errno;
}

/// Write protection of shared memory, which is what shadow paging could use it for.
int try_userfaultfd() {
  Descriptor file(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!file) return errno;
  uffdio_api api{};
  api.api = UFFD_API;
  if (::ioctl(file.get(), UFFDIO_API, &api) != 0) return errno;
  return (api.features & UFFD_FEATURE_WP_HUGETLBFS_SHMEM) != 0 ? 0 : EOPNOTSUPP;
}

}  // namespace

std::vector<Row> machine_rows() {
  const translate::HostSupport host = translate::probe_host();
  const auto native = translate::host_can_translate(host);
  std::vector<Row> rows;
  rows.push_back({std::string(kNativeEngine), native ? Verdict::Yes : Verdict::No,
                  "guest code runs on this processor, translated", native ? "" : native.error().message()});
  rows.push_back({"fsgsbase", host.fsgsbase ? Verdict::Yes : Verdict::No,
                  "address spaces change without a system call",
                  host.fsgsbase ? "" : "needs Linux 5.9 without nofsgsbase; arch_prctl is used instead"});
  rows.push_back(row("executable-memory", host.code_errno, "a memfd can be mapped executable",
                     "vm.memfd_noexec=0, and no SELinux rule against it"));
  rows.push_back(
      row("timers", host.timer_errno, "a slice of a processor's time ends by a timer", "raise `ulimit -i`"));
  return rows;
}

std::vector<Row> limit_rows() {
  const auto fact = [](std::string name, std::string text, std::string detail) {
    return Row{std::move(name), Verdict::Fact, std::move(text), std::move(detail)};
  };
  const std::string overcommit = first_line("/proc/sys/vm/overcommit_memory");
  return {fact("max-map-count", "mappings of a process: the budget of shadow paging",
               first_line("/proc/sys/vm/max_map_count")),
          fact("overcommit", "promises of memory (vm.overcommit_memory)",
               overcommit == "2" ? "2: strict, what is mapped writable counts as used" : overcommit),
          fact("address-space", "ulimit -v", limit_of(RLIMIT_AS, 1 << 20, " MiB")),
          fact("data", "ulimit -d", limit_of(RLIMIT_DATA, 1 << 20, " MiB")),
          fact("open-files", "ulimit -n", limit_of(RLIMIT_NOFILE, 1, "")),
          fact("user-processes", "ulimit -u", limit_of(RLIMIT_NPROC, 1, "")),
          fact("locked-memory", "ulimit -l", limit_of(RLIMIT_MEMLOCK, 1 << 10, " KiB"))};
}

std::vector<Row> call_rows() {
  return {
      row("openat2", try_openat2(), "directory capabilities open beneath themselves",
          "needs Linux 5.6 and a container that allows it; nothing else resolves paths safely"),
      row("user-dispatch", try_user_dispatch(), "system calls of the code cache can be denied one by one",
          "needs Linux 5.11; translated code contains none"),
      row("userfaultfd", try_userfaultfd(), "shared memory is write-protected page by page without mappings",
          "needs Linux 5.19 and vm.unprivileged_userfaultfd=1; mprotect is used instead")};
}

}  // namespace vitrine::doctor

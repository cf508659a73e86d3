#include "memory/host_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

namespace vitrine::memory {

Result<void> give_up_pages(RamBlock& block, uint64_t first_page, uint64_t pages) {
  const uint64_t all = block.size() >> kPageShift;
  CHECK(first_page <= all && pages <= all - first_page, "pages {}+{} of {}", first_page, pages, all);
  const auto offset = static_cast<off_t>(first_page << kPageShift);
  const auto length = static_cast<off_t>(pages << kPageShift);
  constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (::fallocate(block.descriptor(), kMode, offset, length) == 0) return {};
  return std::unexpected(error_from_errno("cannot give guest memory back to the host", block.name()));
}

uint64_t resident_bytes(const RamBlock& block) {
  struct stat status {};
  constexpr uint64_t kBlockSize = 512;  // stat(2): whatever st_blksize says
  // Not fstat(3), which the C library makes of a call that takes paths: a confined machine may not make that
  // one. SAFETY: on x86-64 struct stat is the kernel's.
  if (::syscall(SYS_fstat, block.descriptor(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.st_blocks) * kBlockSize;
}

}  // namespace vitrine::memory

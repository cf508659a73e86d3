#include "memory/ram_block.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/check.h"

namespace vitrine::memory {

Result<std::unique_ptr<RamBlock>> RamBlock::create(std::string name, uint64_t size) {
  size = (size + kPageMask) & ~uint64_t{kPageMask};
  Descriptor memfd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!memfd) return std::unexpected(error_from_errno("cannot create guest memory", name));
  if (::ftruncate(memfd.get(), static_cast<off_t>(size)) != 0) {
    return std::unexpected(error_from_errno("cannot size guest memory", name));
  }
  Mapping mapping =
      TRY(Mapping::create(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd.get()));
  return std::unique_ptr<RamBlock>(new RamBlock(std::move(name), std::move(memfd), std::move(mapping)));
}

Result<void> RamBlock::give_up(uint64_t first_page, uint64_t pages) {
  CHECK(first_page <= size() >> kPageShift && pages <= (size() >> kPageShift) - first_page);
  const auto offset = static_cast<off_t>(first_page << kPageShift);
  const auto length = static_cast<off_t>(pages << kPageShift);
  if (::fallocate(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0) return {};
  return std::unexpected(error_from_errno("cannot give guest memory back to the host", name_));
}

uint64_t RamBlock::resident() const {
  struct stat status {};
  constexpr uint64_t kBlockSize = 512;  // stat(2): whatever st_blksize says
  if (::fstat(memfd_.get(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.st_blocks) * kBlockSize;
}

RamBlock::RamBlock(std::string name, Descriptor memfd, Mapping mapping)
    : name_(std::move(name)),
      memfd_(std::move(memfd)),
      mapping_(std::move(mapping)),
      watches_(std::make_unique<std::atomic<uint8_t>[]>(mapping_.size() >> kPageShift)) {}

}  // namespace vitrine::memory

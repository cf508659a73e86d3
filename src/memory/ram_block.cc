#include "memory/ram_block.h"

#include <fcntl.h>
#include <sys/mman.h>

namespace vitrine::memory {

Result<std::unique_ptr<RamBlock>> RamBlock::create(std::string name, uint64_t size) {
  size = (size + kPageMask) & ~uint64_t{kPageMask};
  Descriptor memfd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return std::unexpected(error_from_errno("cannot create guest memory", name));
  if (::ftruncate(memfd.get(), static_cast<off_t>(size)) != 0) {
    return std::unexpected(error_from_errno("cannot size guest memory", name));
  }
  // Whoever has the descriptor cannot make it hold more than that.
  if (::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return std::unexpected(error_from_errno("cannot seal guest memory", name));
  Mapping mapping =
      TRY(Mapping::create(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd.get()));
  return std::unique_ptr<RamBlock>(new RamBlock(std::move(name), std::move(memfd), std::move(mapping)));
}

RamBlock::RamBlock(std::string name, Descriptor memfd, Mapping mapping)
    : name_(std::move(name)),
      memfd_(std::move(memfd)),
      mapping_(std::move(mapping)),
      watches_(std::make_unique<std::atomic<uint8_t>[]>(mapping_.size() >> kPageShift)) {}

}  // namespace vitrine::memory

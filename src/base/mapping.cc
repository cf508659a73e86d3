#include "base/mapping.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include "base/check.h"

namespace vitrine {

Result<Mapping> Mapping::create(size_t size, int protection, int flags, int fd, off_t offset) {
  void* data = ::mmap(nullptr, size, protection, flags, fd, offset);
  if (data == MAP_FAILED) {
    return std::unexpected(error_from_errno(fmt::format("cannot map {} MiB of memory", size >> 20), "",
                                            "less guest memory (-m) or a higher 'ulimit -v' may help"));
  }
  return Mapping(static_cast<uint8_t*>(data), size);
}

void Mapping::unmap() {
  if (data_ == nullptr) return;
  const int result = ::munmap(data_, size_);
  CHECK(result == 0, "munmap of {} bytes failed", size_);
  data_ = nullptr;
}

}  // namespace vitrine

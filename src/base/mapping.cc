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

bool addresses_to_spare(uint64_t size) {
  constexpr uint64_t kRest = uint64_t{1} << 30;
  // What is mapped without rights counts nowhere else.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  return Mapping::create(size + kRest, PROT_NONE, kFlags).has_value();
}

void Mapping::unmap() {
  if (data_ == nullptr) return;
  const int result = ::munmap(data_, size_);
  CHECK(result == 0, "munmap of {} bytes failed", size_);
  data_ = nullptr;
}

}  // namespace vitrine

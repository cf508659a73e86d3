#include "base/shared_bytes.h"

#include <sys/mman.h>

namespace vitrine {

SharedBytes::SharedBytes(std::vector<uint8_t> bytes) {
  if (bytes.empty()) return;
  const auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  bytes_ = *owner;
  owner_ = owner;
}

SharedBytes::SharedBytes(Mapping mapping, size_t size) {
  const auto owner = std::make_shared<const Mapping>(std::move(mapping));
  bytes_ = {owner->data(), size};
  owner_ = owner;
}

Result<SharedBytes> SharedBytes::zeros(size_t size) {
  if (size == 0) return SharedBytes();
  return SharedBytes(TRY(Mapping::create(size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)),
                     size);
}

}  // namespace vitrine

// The pool of host code stubs: see host_code.h.
#include "cpu/host_code.h"

#include <cpuid.h>
#include <sys/mman.h>

#include <cstring>

#include "base/check.h"

namespace vitrine::cpu {

void StubBytes::push(uint8_t byte) {
  CHECK(size_ < kMaximumStub);
  data_[size_++] = byte;
}

Result<HostCode> HostCode::create() {
  const Descriptor memfd(::memfd_create("vitrine-host-code", MFD_CLOEXEC));
  if (!memfd) return std::unexpected(error_from_errno("cannot make memory for host code", "memfd"));
  if (::ftruncate(memfd.get(), kHostCodeSize) != 0)
    return std::unexpected(error_from_errno("cannot make memory for host code", "memfd"));
  Mapping writable = TRY(Mapping::create(kHostCodeSize, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get()));
  Mapping executable = TRY(Mapping::create(kHostCodeSize, PROT_READ | PROT_EXEC, MAP_SHARED, memfd.get()));
  return HostCode(std::move(writable), std::move(executable));
}

const void* HostCode::add(uint64_t key, const StubBytes& stub) {
  const std::span<const uint8_t> code = stub.bytes();
  CHECK(used_ + code.size() <= kHostCodeSize, "the bound in host_code.h is wrong");
  std::memcpy(writable_.data() + used_, code.data(), code.size());
  const void* entry = executable_.data() + used_;
  used_ = (used_ + code.size() + 15) & ~size_t{15};
  stubs_.emplace(key, entry);
  // SDM Vol. 3A, "Handling Self- and Cross-Modifying Code": code written through another linear address needs
  // a serializing instruction before it is executed.
  unsigned a = 0, b = 0, c = 0, d = 0;
  __cpuid(0, a, b, c, d);
  return entry;
}

}  // namespace vitrine::cpu

#include "capability/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace vitrine::capability {
namespace {

// Linux 6.3; Debian 12's headers do not have it yet.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

Descriptor new_memory_file(const std::string& name) {
  Descriptor file(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  // memfd_create(2): a kernel that does not know a flag says EINVAL.
  if (!file && errno == EINVAL) file.reset(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return file;
}

}  // namespace

Result<Capability> create_shared_memory(size_t size, const std::string& name) {
  Descriptor file = new_memory_file(name);
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return std::unexpected(error_from_errno("cannot create shared memory", name));
  }
  return Capability::adopt(Kind::SharedMemory, std::move(file), Right::Read | Right::Write);
}

Result<Capability> freeze(Capability memory) {
  if (auto checked = memory.require(Right::Write, "cannot freeze shared memory"); !checked)
    return std::unexpected(checked.error());
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (::fcntl(memory.descriptor(), F_ADD_SEALS, seals) != 0) {
    return std::unexpected(error_from_errno("cannot freeze shared memory", "",
                                            errno == EBUSY ? "it is mapped writable: unmap it first" : ""));
  }
  const Rights rights = memory.rights() & Right::Read;
  return Capability::adopt(Kind::SharedMemory, std::move(memory).release(), rights);
}

Result<Mapping> map(const Capability& memory) {
  if (auto checked = memory.require(Right::Read, "cannot map shared memory"); !checked)
    return std::unexpected(checked.error());
  struct stat status {};
  if (memory.kind() != Kind::SharedMemory || ::fstat(memory.descriptor(), &status) != 0)
    return std::unexpected(Error{"cannot map: not shared memory", ""});
  const int writable = memory.rights().has(Right::Write) ? PROT_WRITE : 0;
  return Mapping::create(static_cast<size_t>(status.st_size), PROT_READ | writable, MAP_SHARED,
                         memory.descriptor());
}

}  // namespace vitrine::capability

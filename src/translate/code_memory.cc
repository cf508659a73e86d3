#include "translate/code_memory.h"

#include <sys/mman.h>
#include <unistd.h>

namespace vitrine::translate {

Result<CodeMemory> CodeMemory::create(size_t size) {
  const Descriptor memfd(::memfd_create("vitrine-translated-code", MFD_CLOEXEC));
  if (!memfd || ::ftruncate(memfd.get(), static_cast<off_t>(size)) != 0)
    return std::unexpected(error_from_errno("cannot make memory for translated code", "memfd"));
  Mapping writable = TRY(Mapping::create(size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get()));
  Mapping executable = TRY(Mapping::create(size, PROT_READ | PROT_EXEC, MAP_SHARED, memfd.get()));
  return CodeMemory(std::move(writable), std::move(executable));
}

}  // namespace vitrine::translate

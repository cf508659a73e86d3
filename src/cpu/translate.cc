// The processor's page walk, and the debugger's.
#include "cpu/translation.h"
#include "paging/page_walker.h"

namespace vitrine::cpu {

paging::PagingRegisters paging_registers(const Core& core) {
  const CpuState& state = core.state;
  return paging::PagingRegisters{.cr0 = state.cr0,
                                 .cr3 = state.cr3,
                                 .cr4 = state.cr4,
                                 .efer = state.efer,
                                 .pdptes = state.pdptes,
                                 .pse36 = core.env.model.has(Feature::Pse36),
                                 .pat = core.env.model.has(Feature::Pat)};
}

namespace {

paging::AccessKind kind_of(Access access) {
  switch (access) {
    case Access::Read: return paging::AccessKind::Read;
    case Access::Write: return paging::AccessKind::Write;
    case Access::Execute: break;
  }
  return paging::AccessKind::Fetch;
}

}  // namespace

bool translate(Core& core, VirtualAddress address, Access access, Privilege privilege, Translation& result) {
  const paging::PagingRegisters registers = paging_registers(core);
  const bool user = privilege == Privilege::User;
  const auto walked = paging::walk(core.env.memory, registers, address, kind_of(access),
                                   user ? paging::Privilege::User : paging::Privilege::Supervisor,
                                   paging::Effects::SetAccessedAndDirty);
  if (!walked) return core.raise_page_fault(address.value, walked.error().error_code);
  const bool write_allowed = walked->writable || (!user && !registers.write_protect());
  result = Translation{.physical = walked->address,
                       .readable = true,
                       .writable = write_allowed && walked->dirty,
                       .executable = walked->executable,
                       .global = walked->global};
  return true;
}

std::optional<PhysicalAddress> debug_translate(const Core& core, VirtualAddress address) {
  const auto walked = paging::walk(core.env.memory, paging_registers(core), address, paging::AccessKind::Read,
                                   paging::Privilege::Supervisor, paging::Effects::None);
  if (!walked) return std::nullopt;
  return walked->address;
}

}  // namespace vitrine::cpu

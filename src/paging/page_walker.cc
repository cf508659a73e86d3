#include "paging/page_walker.h"

#include <atomic>

#include "x86/control_registers.h"
#include "x86/page_entries.h"
#include "x86/selector.h"

namespace vitrine::paging {

using memory::PhysicalMap;
using memory::Region;

bool PagingRegisters::enabled() const {
  return (cr0 & x86::kCr0Pg) != 0;
}
bool PagingRegisters::pae() const {
  return (cr4 & x86::kCr4Pae) != 0;
}
bool PagingRegisters::no_execute() const {
  return pae() && (efer & x86::kEferNxe) != 0;
}
bool PagingRegisters::write_protect() const {
  return (cr0 & x86::kCr0Wp) != 0;
}

namespace {

// One entry as it was read, so that it can be written back only if it is still the same.
struct EntryRead {
  PhysicalAddress address;
  uint64_t value = 0;
};

// The entries that one walk used and what they say together.
struct Path {
  EntryRead directory;  // address 0 and never updated when the page is large
  EntryRead leaf;
  bool large = false;
  Translation result;
};

// Why there is no path.
struct Obstacle {
  bool reserved = false;      // a present entry has a reserved bit set; otherwise an entry is not present
  uint32_t span = kPageSize;  // how much the entry would have mapped, naturally aligned
};

// SAFETY: entries are naturally aligned within page-aligned storage, so that the host's atomic operations
// apply; other threads reach the same bytes by their own atomic or guest accesses only.
template <typename Entry>
Entry* entry_pointer(MachineAddress where) {
  return reinterpret_cast<Entry*>(where.value);
}

template <typename Entry>
Entry read_entry(const PhysicalMap& memory, PhysicalAddress address, Effects effects) {
  const Region& region = memory.find(address);
  if (const MachineAddress where = region.read_pointer(memory.gated(address))) {
    return std::atomic_ref<Entry>(*entry_pointer<Entry>(where)).load(std::memory_order_acquire);
  }
  if (effects == Effects::None) return 0;
  return static_cast<Entry>(memory.read(address, sizeof(Entry)));
}

// Sets `bits` in an entry unless they are set already. False when the entry has changed since it was read:
// the processor then starts the walk again. SDM Vol. 3A, "Accessed and Dirty Flags": the update is a locked
// one.
template <typename Entry>
bool set_bits(PhysicalMap& memory, EntryRead& entry, Entry bits) {
  Entry expected = static_cast<Entry>(entry.value);
  const Entry desired = expected | bits;
  if (desired == expected) return true;
  const Region& region = memory.find(entry.address);
  const PhysicalAddress gated = memory.gated(entry.address);
  if (const MachineAddress where = region.write_pointer(gated)) {
    memory.note_write(*region.write_block, region.write_page(gated), gated.page_offset(), sizeof(Entry));
    if (!std::atomic_ref<Entry>(*entry_pointer<Entry>(where)).compare_exchange_strong(expected, desired)) {
      // Where reads and writes go to different storage the comparison means nothing; the bits are lost as in
      // ROM.
      return region.read_pointer(gated) != where;
    }
  } else {
    memory.write(entry.address, sizeof(Entry), desired);
  }
  entry.value = desired;
  return true;
}

void combine_rights(Translation& result, uint64_t entry, bool no_execute) {
  result.writable = result.writable && (entry & x86::kPageWritable) != 0;
  result.user = result.user && (entry & x86::kPageUser) != 0;
  if (no_execute && (entry & x86::kPageNoExecute) != 0) result.executable = false;
}

void finish_leaf(Path& path, PhysicalAddress address, uint32_t page_size, bool global_enabled) {
  path.large = page_size != kPageSize;
  path.result.address = address;
  path.result.page_size = page_size;
  path.result.global = global_enabled && (path.leaf.value & x86::kPageGlobal) != 0;
  path.result.accessed = (path.leaf.value & x86::kPageAccessed) != 0;
  path.result.dirty = (path.leaf.value & x86::kPageDirty) != 0;
  path.result.entry_address = path.leaf.address;
  path.result.entry = path.leaf.value;
  path.result.directory_entry = path.large ? path.leaf.value : path.directory.value;
}

// SDM Vol. 3A, "32-Bit Paging". Reserved bits exist only with CR4.PSE.
std::expected<Path, Obstacle> find_legacy(const PhysicalMap& memory, const PagingRegisters& registers,
                                          VirtualAddress address, Effects effects) {
  constexpr uint32_t kLargePage = 1u << x86::kLegacyLargeShift;
  const bool pse = (registers.cr4 & x86::kCr4Pse) != 0;
  const bool global = (registers.cr4 & x86::kCr4Pge) != 0;
  Path path;
  EntryRead directory;
  directory.address = PhysicalAddress((registers.cr3 & x86::kLegacyFrameMask) +
                                      x86::legacy_directory_index(address.value) * 4);
  directory.value = read_entry<uint32_t>(memory, directory.address, effects);
  if ((directory.value & x86::kPagePresent) == 0) return std::unexpected(Obstacle{.span = kLargePage});
  combine_rights(path.result, directory.value, false);

  if (pse && (directory.value & x86::kPageLarge) != 0) {
    uint32_t reserved = x86::legacy_large_reserved(registers.pse36 ? PhysicalMap::kAddressBits : 32);
    if (!registers.pat) reserved |= x86::kPageLargePat;
    if ((directory.value & reserved) != 0)
      return std::unexpected(Obstacle{.reserved = true, .span = kLargePage});
    path.leaf = directory;
    const uint64_t frame = x86::legacy_large_frame(static_cast<uint32_t>(directory.value));
    finish_leaf(path, PhysicalAddress(frame + (address.value & (kLargePage - 1))), kLargePage, global);
    return path;
  }

  path.directory = directory;
  path.leaf.address =
      PhysicalAddress((directory.value & x86::kLegacyFrameMask) + x86::legacy_table_index(address.value) * 4);
  path.leaf.value = read_entry<uint32_t>(memory, path.leaf.address, effects);
  if ((path.leaf.value & x86::kPagePresent) == 0) return std::unexpected(Obstacle{});
  if (pse && !registers.pat && (path.leaf.value & x86::kPagePat) != 0) {
    return std::unexpected(Obstacle{.reserved = true});
  }
  combine_rights(path.result, path.leaf.value, false);
  finish_leaf(path, PhysicalAddress((path.leaf.value & x86::kLegacyFrameMask) + address.page_offset()),
              kPageSize, global);
  return path;
}

// SDM Vol. 3A, "PAE Paging". CR4.PSE does not matter. The pointer-table entries were checked when CR3 was
// loaded.
std::expected<Path, Obstacle> find_pae(const PhysicalMap& memory, const PagingRegisters& registers,
                                       VirtualAddress address, Effects effects) {
  constexpr uint32_t kLargePage = 1u << x86::kPaeLargeShift;
  const bool no_execute = registers.no_execute();
  const bool global = (registers.cr4 & x86::kCr4Pge) != 0;
  uint64_t reserved = x86::pae_reserved(PhysicalMap::kAddressBits);
  if (!no_execute) reserved |= x86::kPageNoExecute;

  const uint64_t pdpte = registers.pdptes[x86::pae_pointer_index(address.value)];
  if ((pdpte & x86::kPagePresent) == 0) return std::unexpected(Obstacle{.span = 1u << x86::kPaePointerShift});
  Path path;
  EntryRead directory;
  directory.address = PhysicalAddress(x86::pae_frame(pdpte) + x86::pae_directory_index(address.value) * 8);
  directory.value = read_entry<uint64_t>(memory, directory.address, effects);
  if ((directory.value & x86::kPagePresent) == 0) return std::unexpected(Obstacle{.span = kLargePage});
  if ((directory.value & reserved) != 0)
    return std::unexpected(Obstacle{.reserved = true, .span = kLargePage});
  combine_rights(path.result, directory.value, no_execute);

  if ((directory.value & x86::kPageLarge) != 0) {
    const uint64_t large_reserved = x86::kPaeLargeReserved | (registers.pat ? 0 : x86::kPageLargePat);
    if ((directory.value & large_reserved) != 0)
      return std::unexpected(Obstacle{.reserved = true, .span = kLargePage});
    path.leaf = directory;
    const uint64_t frame = x86::pae_large_frame(directory.value);
    finish_leaf(path, PhysicalAddress(frame + (address.value & (kLargePage - 1))), kLargePage, global);
    return path;
  }

  path.directory = directory;
  path.leaf.address =
      PhysicalAddress(x86::pae_frame(directory.value) + x86::pae_table_index(address.value) * 8);
  path.leaf.value = read_entry<uint64_t>(memory, path.leaf.address, effects);
  if ((path.leaf.value & x86::kPagePresent) == 0) return std::unexpected(Obstacle{});
  if ((path.leaf.value & (reserved | (registers.pat ? 0 : x86::kPagePat))) != 0) {
    return std::unexpected(Obstacle{.reserved = true});
  }
  combine_rights(path.result, path.leaf.value, no_execute);
  finish_leaf(path, PhysicalAddress(x86::pae_frame(path.leaf.value) + address.page_offset()), kPageSize,
              global);
  return path;
}

std::expected<Path, Obstacle> find_path(const PhysicalMap& memory, const PagingRegisters& registers,
                                        VirtualAddress address, Effects effects) {
  return registers.pae() ? find_pae(memory, registers, address, effects)
                         : find_legacy(memory, registers, address, effects);
}

// SDM Vol. 3A, "Determination of Access Rights".
bool permitted(const Translation& page, const PagingRegisters& registers, AccessKind kind,
               Privilege privilege) {
  if (privilege == Privilege::User && !page.user) return false;
  switch (kind) {
    case AccessKind::Read: return true;
    case AccessKind::Write:
      return page.writable || (privilege == Privilege::Supervisor && !registers.write_protect());
    case AccessKind::Fetch: return page.executable;
  }
  return false;
}

uint32_t access_bits(const PagingRegisters& registers, AccessKind kind, Privilege privilege) {
  uint32_t code = 0;
  if (kind == AccessKind::Write) code |= x86::kPageFaultWrite;
  if (privilege == Privilege::User) code |= x86::kPageFaultUser;
  // The instruction-fetch bit exists only where there is no-execute.
  if (kind == AccessKind::Fetch && registers.no_execute()) code |= x86::kPageFaultFetch;
  return code;
}

template <typename Entry>
bool set_accessed_and_dirty(PhysicalMap& memory, Path& path, AccessKind kind) {
  if (!path.large && !set_bits<Entry>(memory, path.directory, x86::kPageAccessed)) return false;
  const bool write = kind == AccessKind::Write;
  if (!set_bits<Entry>(memory, path.leaf, x86::kPageAccessed | (write ? x86::kPageDirty : 0))) return false;
  path.result.accessed = true;
  path.result.dirty = path.result.dirty || write;
  path.result.entry = path.leaf.value;
  path.result.directory_entry = path.large ? path.leaf.value : path.directory.value;
  return true;
}

}  // namespace

std::expected<Translation, WalkFault> walk(PhysicalMap& memory, const PagingRegisters& registers,
                                           VirtualAddress address, AccessKind kind, Privilege privilege,
                                           Effects effects) {
  if (!registers.enabled()) {
    Translation identity;
    identity.address = PhysicalAddress(address.value);
    identity.accessed = identity.dirty = true;
    return identity;
  }
  const uint32_t code = access_bits(registers, kind, privilege);
  // Repeated only when another processor changed an entry between its reading and its update.
  while (true) {
    std::expected<Path, Obstacle> path = find_path(memory, registers, address, effects);
    if (!path) {
      const uint32_t why = path.error().reserved ? x86::kPageFaultPresent | x86::kPageFaultReserved : 0;
      return std::unexpected(WalkFault{code | why});
    }
    if (!permitted(path->result, registers, kind, privilege)) {
      return std::unexpected(WalkFault{code | x86::kPageFaultPresent});
    }
    if (effects == Effects::None) return path->result;
    const bool updated = registers.pae() ? set_accessed_and_dirty<uint64_t>(memory, *path, kind)
                                         : set_accessed_and_dirty<uint32_t>(memory, *path, kind);
    if (updated) return path->result;
  }
}

std::optional<std::array<uint64_t, 4>> read_pdptes(const PhysicalMap& memory, uint32_t cr3) {
  constexpr uint64_t kReserved =
      x86::kPdpteReserved | x86::pae_reserved(PhysicalMap::kAddressBits) | x86::kPageNoExecute;
  std::array<uint64_t, 4> pdptes{};
  for (unsigned i = 0; i < 4; ++i) {
    const PhysicalAddress address((cr3 & x86::kPaeCr3Mask) + i * 8);
    pdptes[i] = read_entry<uint64_t>(memory, address, Effects::SetAccessedAndDirty);
    if ((pdptes[i] & x86::kPagePresent) != 0 && (pdptes[i] & kReserved) != 0) return std::nullopt;
  }
  return pdptes;
}

void for_each_mapping(const PhysicalMap& memory, const PagingRegisters& registers,
                      const std::function<void(VirtualAddress, const Translation&)>& visit) {
  if (!registers.enabled()) return;
  for (uint64_t start = 0; start >> 32 == 0;) {
    const VirtualAddress address(static_cast<uint32_t>(start));
    const std::expected<Path, Obstacle> path = find_path(memory, registers, address, Effects::None);
    if (path) visit(address, path->result);
    start += path ? path->result.page_size : path.error().span;
  }
}

}  // namespace vitrine::paging

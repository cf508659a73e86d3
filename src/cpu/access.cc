// Memory accesses that the look-aside buffer does not answer: see access.h.
//
// An access that crosses a page is checked on both before either is touched. A device sees the part of an
// access within one page as one access where it is 1, 2, 4 or 8 bytes long, as naturally aligned pieces
// otherwise.
#include "cpu/access.h"

#include <span>

#include "base/check.h"
#include "cpu/code_cache.h"
#include "cpu/fpu_state.h"
#include "cpu/native_engine.h"
#include "cpu/translation.h"
#include "memory/single_copy.h"
#include "x86/control_registers.h"
#include "x86/debug_registers.h"

namespace vitrine::cpu {

using x86::BreakpointKind;

namespace {

// std::has_single_bit() is a call where the compiler may not use POPCNT.
constexpr bool is_power_of_two(unsigned size) {
  return size != 0 && (size & (size - 1)) == 0;
}

TlbRight right_for(Access access) {
  switch (access) {
    case Access::Read: return kTlbReadable;
    case Access::Write: return kTlbWritable;
    case Access::Execute: break;
  }
  return kTlbExecutable;
}

// Gives the entry the tags for which direct access is possible.
void set_tags(Core& core, TlbEntry& entry) {
  const PhysicalAddress where = core.env.memory.gated(PhysicalAddress(entry.physical & ~uint64_t{kPageMask}));
  const memory::Region& region = core.env.memory.find(where);
  core.tlbs->forbid_write(entry);
  entry.read_tag = entry.execute_tag = kNoTag;
  entry.physical &= ~uint64_t{kTlbStorage};
  const MachineAddress readable = region.read_pointer(where);
  if (!readable) return;
  entry.addend = reinterpret_cast<uintptr_t>(readable.value) - entry.page;
  if (entry.has(kTlbReadable)) entry.read_tag = entry.page;
  if (entry.has(kTlbExecutable)) entry.execute_tag = entry.page;
  const bool same = region.write_block != nullptr && region.write_pointer(where) == readable;
  if (same) entry.physical |= kTlbStorage;
  if (entry.has(kTlbWritable) && same && region.write_block->watches(region.write_page(where)) == 0) {
    core.tlbs->permit_write(entry);
  }
}

// SDM Vol. 3A, "Alignment Check Exception (#AC)": by natural size; only at CPL 3, never for supervisor
// accesses.
bool aligned(Core& core, uint32_t linear, unsigned size, Privilege privilege) {
  if (!core.alignment_check || privilege == Privilege::Supervisor) return true;
  if (!is_power_of_two(size)) size = size == 10 ? 8 : size == 6 ? 4 : 1;
  if ((linear & (size - 1)) == 0) return true;
  return core.raise(x86::Vector::AlignmentCheck);
}

// Where the two parts of an access go. `second` is meaningless when all of it lies in one page.
struct Parts {
  PhysicalAddress first, second;
  unsigned first_size = 0;
};

bool find_parts(Core& core, uint32_t linear, unsigned size, Access access, Privilege privilege,
                Parts& parts) {
  const TlbEntry* entry = resolve(core, linear, access, privilege);
  if (entry == nullptr) return false;
  parts.first = physical_of(*entry, linear);
  parts.first_size = std::min<unsigned>(size, kPageSize - (linear & kPageMask));
  if (parts.first_size == size) return true;
  const uint32_t next = linear + parts.first_size;
  entry = resolve(core, next, access, privilege);
  if (entry == nullptr) return false;
  parts.second = physical_of(*entry, next);
  return true;
}

void read_part(Core& core, PhysicalAddress where, uint8_t* data, unsigned size) {
  if (is_power_of_two(size) && size <= 8) {
    const uint64_t value = core.env.memory.read(where, size);
    std::memcpy(data, &value, size);
  } else {
    core.env.memory.read(where, std::span(data, size));
  }
}

void write_part(Core& core, PhysicalAddress where, const uint8_t* data, unsigned size) {
  if (is_power_of_two(size) && size <= 8) {
    uint64_t value = 0;
    std::memcpy(&value, data, size);
    core.env.memory.write(where, size, value);
  } else {
    core.env.memory.write(where, std::span(data, size));
  }
}

void read_parts(Core& core, const Parts& parts, unsigned size) {
  fpu_leave(core);  // A device may answer.
  read_part(core, parts.first, core.transfer.data(), parts.first_size);
  if (parts.first_size < size) {
    read_part(core, parts.second, core.transfer.data() + parts.first_size, size - parts.first_size);
  }
}

void write_parts(Core& core, const Parts& parts, unsigned size) {
  fpu_leave(core);
  // A device may reach back into this processor while it is written to; it must find the data untouched.
  const auto data = core.transfer;
  write_part(core, parts.first, data.data(), parts.first_size);
  if (parts.first_size < size)
    write_part(core, parts.second, data.data() + parts.first_size, size - parts.first_size);
}

// What the fast path would have found, had it looked into the table of this privilege: implicit accesses of
// the supervisor, pushes onto an inner stack. Null: take the long way.
uint8_t* direct(Core& core, uint32_t linear, unsigned size, Access access, Privilege privilege) {
  const bool user = privilege == Privilege::User;
  if (core.watch_data || (core.alignment_check && user)) return nullptr;
  const TlbEntry& entry = (user ? core.tlbs->user() : core.tlbs->supervisor())[Tlb::slot(linear)];
  const uint32_t tag = access == Access::Write ? entry.write_tag : entry.read_tag;
  return tag_of(linear, size) == tag ? host_pointer(entry, linear) : nullptr;
}

// The short way to write to a page with code, where many stores go that are no change of code: tells the
// page's watchers and gives the place. Null: it is no such page, or the access is not a simple one.
uint8_t* beside_code(Core& core, uint32_t linear, unsigned size, Privilege privilege) {
  const bool user = privilege == Privilege::User;
  if (core.watch_data || (core.alignment_check && user)) return nullptr;
  const TlbEntry& entry = (user ? core.tlbs->user() : core.tlbs->supervisor())[Tlb::slot(linear)];
  const bool in_page = (linear & ~kPageMask) == entry.page && tag_of(linear, size) == entry.page;
  if (!in_page || !entry.has(kTlbWritable) || !entry.has(kTlbStorage)) return nullptr;
  const CodeCache::Place place = core.code->place_of(host_pointer(entry, entry.page));
  if (place.owner == nullptr) return nullptr;
  core.env.memory.note_write(*place.owner, place.page, linear & kPageMask, size);
  return host_pointer(entry, linear);
}

}  // namespace

TlbEntry* resolve(Core& core, uint32_t linear, Access access, Privilege privilege) {
  TlbEntry* const table = privilege == Privilege::User ? core.tlbs->user() : core.tlbs->supervisor();
  TlbEntry& found = table[Tlb::slot(linear)];
  const TlbRight right = right_for(access);
  if (found.page == (linear & ~kPageMask) && found.has(right)) {
    set_tags(core, found);
    return &found;
  }
  Translation walked;
  if (!translate(core, VirtualAddress(linear), access, privilege, walked)) {
    // SDM Vol. 3A, "Invalidation of TLBs and Paging-Structure Caches": a page fault drops the entry.
    core.tlbs->flush_page(linear);
    return nullptr;
  }
  TlbEntry& entry = core.tlbs->claim(table, linear);
  entry.physical = (walked.physical.value & ~uint64_t{kPageMask}) | (walked.global ? kTlbGlobal : 0) |
                   (walked.readable ? kTlbReadable : 0) | (walked.writable ? kTlbWritable : 0) |
                   (walked.executable ? kTlbExecutable : 0);
  entry.physical |= right;
  set_tags(core, entry);
  return &entry;
}

void note_data_access(Core& core, uint32_t linear, unsigned size, Access access) {
  const bool write = access == Access::Write;
  uint32_t hits = 0;
  for (unsigned i = 0; i < x86::kBreakpointCount; ++i) {
    const BreakpointKind kind = x86::breakpoint_kind(core.state.dr7, i);
    const bool wanted = kind == BreakpointKind::ReadWrite || (kind == BreakpointKind::Write && write);
    if (!wanted || !x86::breakpoint_enabled(core.state.dr7, i)) continue;
    const uint32_t length = x86::breakpoint_length(core.state.dr7, i);
    const uint32_t start = core.state.dr[i] & ~(length - 1);
    if (start - linear < size || linear - start < length) hits |= 1u << i;
  }
  if (hits != 0) {
    core.pending_dr6 |= hits;
    core.leave_after_current(kAttentionTrap);
  }
  for (const Watchpoint& watch : core.debug.watchpoints) {
    const bool wanted =
        watch.kind == Watchpoint::Kind::Access || (watch.kind == Watchpoint::Kind::Write) == write;
    if (!wanted || !(watch.start.value - linear < size || linear - watch.start.value < watch.size)) continue;
    core.watchpoint_hit = watch.start;
    core.leave_after_current(kAttentionStop);
  }
}

void note_port_access(Core& core, uint16_t port, unsigned size) {
  if ((core.state.cr4 & x86::kCr4De) == 0) return;
  for (unsigned i = 0; i < x86::kBreakpointCount; ++i) {
    if (!x86::breakpoint_enabled_for(core.state.dr7, i, BreakpointKind::Io)) continue;
    const uint32_t length = x86::breakpoint_length(core.state.dr7, i);
    const uint32_t start = core.state.dr[i] & ~(length - 1);
    if (start - port < size || port - start < length) {
      core.pending_dr6 |= 1u << i;
      core.leave_after_current(kAttentionTrap);
    }
  }
}

bool load_slow(Core& core, uint32_t linear, unsigned size, Privilege privilege) {
  CHECK(size >= 1 && size <= core.transfer.size(), "{} bytes", size);
  if (const uint8_t* host = direct(core, linear, size, Access::Read, privilege)) {
    memory::single_copy(core.transfer.data(), host, size);
    return true;
  }
  if (!aligned(core, linear, size, privilege)) return false;
  Parts parts;
  if (!find_parts(core, linear, size, Access::Read, privilege, parts)) return false;
  if (core.watch_data) note_data_access(core, linear, size, Access::Read);
  read_parts(core, parts, size);
  return true;
}

bool store_slow(Core& core, uint32_t linear, unsigned size, Privilege privilege) {
  CHECK(size >= 1 && size <= core.transfer.size(), "{} bytes", size);
  if (uint8_t* host = direct(core, linear, size, Access::Write, privilege)) {
    memory::single_copy(host, core.transfer.data(), size);
    return true;
  }
  if (uint8_t* host = beside_code(core, linear, size, privilege)) {
    memory::single_copy(host, core.transfer.data(), size);
    return true;
  }
  if (!aligned(core, linear, size, privilege)) return false;
  Parts parts;
  if (!find_parts(core, linear, size, Access::Write, privilege, parts)) return false;
  if (core.watch_data) note_data_access(core, linear, size, Access::Write);
  write_parts(core, parts, size);
  return true;
}

void lock_bus(Core& core) {
  const Instruction& i = *core.current;
  // SDM Vol. 2, XCHG: the LOCK# signal is asserted whether there is a prefix or not.
  if ((i.prefixes & kPrefixLock) != 0 || i.operation == Operation::Xchg) core.native->stop_others();
}

bool begin_update_slow(Core& core, uint32_t linear, unsigned size) {
  const Privilege privilege = current_privilege(core);
  core.pending_write.host = beside_code(core, linear, size, privilege);
  if (core.pending_write.host != nullptr) {
    memory::single_copy(core.transfer.data(), core.pending_write.host, size);
    return true;
  }
  if (!aligned(core, linear, size, privilege)) return false;
  Parts parts;
  if (!find_parts(core, linear, size, Access::Write, privilege, parts)) return false;
  if (core.native != nullptr) lock_bus(core);
  if (core.watch_data) {
    note_data_access(core, linear, size, Access::Read);
    note_data_access(core, linear, size, Access::Write);
  }
  read_parts(core, parts, size);
  core.pending_write = {nullptr, parts.first, parts.second, parts.first_size};
  return true;
}

void finish_update_slow(Core& core, unsigned size) {
  const PendingWrite& pending = core.pending_write;
  if (pending.host != nullptr) {
    memory::single_copy(pending.host, core.transfer.data(), size);
    return;
  }
  write_parts(core, Parts{pending.first, pending.second, pending.first_size}, size);
}

bool raise_segment_fault(Core& core, unsigned segment) {
  return core.raise(segment == x86::kSs ? x86::Vector::StackFault : x86::Vector::GeneralProtection);
}

bool probe_write(Core& core, uint32_t linear, unsigned size, Privilege privilege) {
  if (!aligned(core, linear, size, privilege)) return false;
  Parts parts;
  return find_parts(core, linear, size, Access::Write, privilege, parts);
}

}  // namespace vitrine::cpu

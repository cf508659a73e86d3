// The monitor's view of the other two page tables: physical to machine (`info p2m`), and virtual to machine,
// the shadow (`info shadow`, `info spaces`). docs/shadow.md.
#include "machine/monitor_commands.h"
#include "x86/page_entries.h"

namespace vitrine::machine {
namespace {

using paging::ShadowRights;

/// Null, with a word about it: there is no shadow.
const paging::ShadowSpaces* shadow_of(MonitorSession& session) {
  const paging::ShadowSpaces* const spaces = session.target().shadow_spaces(session.cpu());
  if (spaces == nullptr) session.print("there are no shadow page tables: guest code is interpreted\n");
  return spaces;
}

paging::PagingRegisters registers_of(const cpu::CpuState& state, const paging::ShadowSpaces& spaces) {
  paging::PagingRegisters registers = spaces.registers();
  registers.cr0 = state.cr0;
  registers.cr3 = state.cr3;
  registers.cr4 = state.cr4;
  registers.efer = state.efer;
  registers.pdptes = state.pdptes;
  return registers;
}

std::string_view rights(ShadowRights rights) {
  switch (rights) {
    case ShadowRights::None: break;
    case ShadowRights::Read: return "r-";
    case ShadowRights::ReadWrite: return "rw";
  }
  return "--";
}

std::string_view window_name(const paging::ShadowSpace& space, size_t window) {
  if (space.windows.size() == 1) return "both";
  return window == static_cast<size_t>(paging::Privilege::User) ? "user" : "kernel";
}

std::string watchers(uint8_t watches) {
  using memory::Watch;
  std::string text;
  const auto add = [&](Watch watch, const char* name) {
    if ((watches & static_cast<uint8_t>(watch)) != 0) text += fmt::format(" {}", name);
  };
  add(Watch::Code, "code");
  add(Watch::Translated, "translated");
  add(Watch::PageTable, "page-table");
  add(Watch::Recorded, "recorded");
  return text.empty() ? text : " watched for:" + text;
}

void print_physical_page(MonitorSession& session, PhysicalAddress address) {
  const memory::PhysicalMap& map = session.target().physical_map();
  const PhysicalAddress where = map.gated(address);
  const memory::Region& region = map.find(where);
  if (region.read_block == nullptr) {
    return session.print("{:09x}: {}\n", where.value,
                         region.device != nullptr ? "device registers" : "nothing");
  }
  const uint64_t page = region.read_page(where);
  const bool ram = region.write_block == region.read_block && region.write_offset == region.read_offset;
  session.print("{:09x}: machine {:012x}, {} page {:#x} of {}{}\n", where.value,
                reinterpret_cast<uint64_t>(region.read_pointer(where).value), ram ? "RAM," : "read-only,",
                page, region.read_block->name(), watchers(region.read_block->watches(page)));
}

void print_space(MonitorSession& session, const paging::ShadowSpaces& spaces,
                 const paging::ShadowSpace& space) {
  if (space.last_used == 0 && &space != &spaces.active()) return;
  session.print("{} CR3 {:08x}{}, {} page tables, load {}\n", &space == &spaces.active() ? '*' : ' ',
                space.registers.cr3, space.registers.enabled() ? "" : " (paging off)", space.derived.count(),
                space.last_used);
  for (size_t i = 0; i < space.windows.size(); ++i) {
    const paging::ShadowWindow& window = *space.windows[i];
    session.print("    {:<6} at {:012x}: {} pages in {} mappings\n", window_name(space, i),
                  reinterpret_cast<uint64_t>(window.base().value), window.book().live(), window.mappings());
  }
}

}  // namespace

void info_p2m(MonitorSession& session, std::string_view arguments) {
  if (!arguments.empty()) {
    const auto address = session.evaluate(arguments);
    if (!address) return session.print_error(address.error());
    return print_physical_page(session, PhysicalAddress(static_cast<uint64_t>(*address)));
  }
  for (const memory::Region& region : session.target().physical_map().regions()) {
    if (region.read_block == nullptr) continue;
    const auto machine = reinterpret_cast<uint64_t>(region.read_pointer(region.start).value);
    const uint64_t size = region.last.value - region.start.value;
    const bool ram = region.write_block == region.read_block && region.write_offset == region.read_offset;
    session.print("{:09x}-{:09x} {:012x}-{:012x} {} {}\n", region.start.value, region.last.value, machine,
                  machine + size, ram ? "rw" : "r-", region.read_block->name());
  }
}

void info_shadow(MonitorSession& session, std::string_view arguments) {
  if (arguments.empty()) return session.print("usage: info shadow ADDRESS\n");
  const auto value = session.evaluate(arguments);
  if (!value) return session.print_error(value.error());
  const paging::ShadowSpaces* const spaces = shadow_of(session);
  if (spaces == nullptr) return;
  const VirtualAddress address(static_cast<uint32_t>(*value));
  const paging::PagingRegisters registers = registers_of(session.cpu_state(), *spaces);
  if (const auto walked = spaces->look(registers, address); !walked) {
    session.print("guest    {:08x}: not mapped\n", address.value);
  } else {
    if (registers.enabled()) {
      session.print("guest    {:08x}: entry {:0{}x} at {:09x}, directory entry {:0{}x}\n", address.value,
                    walked->entry, registers.pae() ? 16 : 8, walked->entry_address.value,
                    walked->directory_entry, registers.pae() ? 16 : 8);
    }
    session.print("physical ");
    print_physical_page(session, walked->address);
  }
  const paging::ShadowSpace* const space = spaces->find(registers);
  if (space == nullptr) return session.print("shadow   none: this page table has no windows\n");
  for (size_t i = 0; i < space->windows.size(); ++i) {
    const paging::ShadowWindow& window = *space->windows[i];
    const paging::ShadowEntry entry = window.entry(address);
    const auto machine = reinterpret_cast<uint64_t>(window.base().value) + address.value;
    session.print("shadow   {:<6} {:012x}: {}", window_name(*space, i), machine, rights(entry.rights));
    if (entry.block != nullptr) session.print(" page {:#x} of {}", entry.page, entry.block->name());
    session.print("\n");
  }
}

void info_spaces(MonitorSession& session, std::string_view) {
  const paging::ShadowSpaces* const spaces = shadow_of(session);
  if (spaces == nullptr) return;
  for (const auto& space : spaces->spaces()) print_space(session, *spaces, *space);
  session.print("{} of {} host mappings\n", spaces->budget().used(), spaces->budget().limit());
  const paging::ShadowCounters& counts = spaces->counters();
  session.print(
      "faults: {} hidden, {} true, {} emulated; {} loads, {} switches; {} pages filled, {} prefetches\n",
      counts.hidden_faults, counts.true_faults, counts.emulated, counts.page_table_loads,
      counts.window_switches, counts.pages_filled, counts.prefetches);
  session.print("tables: {} compared, {} protected, {} writes applied, {} released\n", counts.tables_compared,
                counts.tables_protected, counts.table_writes, counts.tables_released);
}

}  // namespace vitrine::machine

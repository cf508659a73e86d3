// The monitor's view of the guest's page tables: `info mem` (ranges with equal rights) and `info tlb` (each
// page). Walks the guest's tables as they lie in memory, without side effects.
// SDM Vol. 3A, "Paging": 32-bit paging with and without PSE, and PAE paging.

#include <functional>

#include "machine/monitor_commands.h"

namespace vitrine::machine {
namespace {

constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80,
                   kGlobal = 0x100, kNoExecute = uint64_t{1} << 63;
constexpr uint64_t kPaeAddress = 0x0000'000f'ffff'f000;  // 36 bits
constexpr uint32_t kCr0Paging = uint32_t{1} << 31, kCr4Pse = 1 << 4, kCr4Pae = 1 << 5;

/// Lines that one command prints at most; hostile tables could describe a million pages.
constexpr unsigned kMostLines = 4096;

struct MappedPage {
  uint64_t virtual_address;
  uint64_t size;
  uint64_t physical_address;
  uint64_t flags;  ///< Of the last entry, with U/S and R/W being the AND over all levels.
};

/// Calls back for each mapped page in ascending order, until it returns false.
class TableWalk {
 public:
  using Visitor = std::function<bool(const MappedPage&)>;
  TableWalk(const memory::PhysicalMap& map, const cpu::CpuState& state, Visitor visit)
      : map_(map), state_(state), visit_(std::move(visit)) {}

  void run() {
    if ((state_.cr4 & kCr4Pae) != 0) {
      for (uint64_t i = 0; i < 4; ++i) {
        const uint64_t pointer = state_.pdptes[i];
        if ((pointer & kPresent) != 0 && !pae_directory(pointer & kPaeAddress, i << 30)) return;
      }
      return;
    }
    for (uint64_t i = 0; i < 1024; ++i) {
      const uint64_t entry = read(((state_.cr3 & ~uint32_t{kPageMask})) + i * 4, 4);
      if ((entry & kPresent) == 0) continue;
      if ((entry & kLarge) != 0 && (state_.cr4 & kCr4Pse) != 0) {
        // Bits 13–16 are bits 32–35 of the physical address (PSE-36).
        const uint64_t physical = (entry & 0xffc00000) | (entry >> 13 & 0xf) << 32;
        if (!visit_({i << 22, uint64_t{4} << 20, physical, entry})) return;
      } else if (!table(entry & ~uint64_t{kPageMask}, i << 22, entry, 4)) {
        return;
      }
    }
  }

 private:
  [[nodiscard]] uint64_t read(uint64_t address, unsigned size) const {
    // Tables in a device's registers would be read with side effects: they count as empty.
    const memory::Region& region = map_.find(PhysicalAddress(address));
    return region.read_block == nullptr ? 0 : map_.read(PhysicalAddress(address), size);
  }

  bool pae_directory(uint64_t directory, uint64_t base) {
    for (uint64_t i = 0; i < 512; ++i) {
      const uint64_t entry = read(directory + i * 8, 8);
      if ((entry & kPresent) == 0) continue;
      const uint64_t address = base | i << 21;
      const bool more =
          (entry & kLarge) != 0
              ? visit_({address, uint64_t{2} << 20, entry & kPaeAddress & ~uint64_t{0x1fffff}, entry})
              : table(entry & kPaeAddress, address, entry, 8);
      if (!more) return false;
    }
    return true;
  }

  bool table(uint64_t table, uint64_t base, uint64_t above, unsigned entry_size) {
    const uint64_t address_mask = entry_size == 8 ? kPaeAddress : 0xfffff000;
    for (uint64_t i = 0; i < kPageSize / entry_size; ++i) {
      uint64_t entry = read(table + i * entry_size, entry_size);
      if ((entry & kPresent) == 0) continue;
      entry &= (above & (kWritable | kUser)) | ~(kWritable | kUser);
      entry |= above & kNoExecute;
      entry &= ~kLarge;  // in a last-level entry the bit is PAT
      if (!visit_({base | i << kPageShift, kPageSize, entry & address_mask, entry})) return false;
    }
    return true;
  }

  const memory::PhysicalMap& map_;
  const cpu::CpuState& state_;
  Visitor visit_;
};

bool paging_enabled(MonitorSession& session) {
  if ((session.cpu_state().cr0 & kCr0Paging) != 0) return true;
  session.print("paging is off\n");
  return false;
}

/// Adjacent pages with equal rights, joined.
struct Range {
  uint64_t start = 0;
  uint64_t size = 0;
  uint64_t rights = 0;
};

}  // namespace

void info_mem(MonitorSession& session, std::string_view) {
  if (!paging_enabled(session)) return;
  Range range;
  unsigned lines = 0;
  const auto finish = [&] {
    if (range.size == 0) return;
    ++lines;
    session.print("{:08x}-{:08x} {:08x} {}r{}\n", range.start, range.start + range.size, range.size,
                  (range.rights & kUser) != 0 ? 'u' : '-', (range.rights & kWritable) != 0 ? 'w' : '-');
  };
  TableWalk(session.target().physical_map(), session.cpu_state(), [&](const MappedPage& page) {
    const uint64_t rights = page.flags & (kUser | kWritable);
    if (range.size != 0 && range.start + range.size == page.virtual_address && range.rights == rights) {
      range.size += page.size;
      return true;
    }
    finish();
    range = {page.virtual_address, page.size, rights};
    return lines < kMostLines;
  }).run();
  if (lines >= kMostLines) return session.print("… and more\n");
  finish();
}

void info_tlb(MonitorSession& session, std::string_view) {
  if (!paging_enabled(session)) return;
  unsigned lines = 0;
  TableWalk(session.target().physical_map(), session.cpu_state(), [&](const MappedPage& page) {
    if (++lines > kMostLines) {
      session.print("… and more\n");
      return false;
    }
    const auto flag = [&](uint64_t bit, char letter) { return (page.flags & bit) != 0 ? letter : '-'; };
    session.print("{:08x}: {:016x} {}{}{}{}{}{}{}{}{}\n", page.virtual_address, page.physical_address,
                  flag(kNoExecute, 'X'), flag(kGlobal, 'G'), page.size > kPageSize ? 'P' : '-',
                  flag(kDirty, 'D'), flag(kAccessed, 'A'), flag(0x10, 'C'), flag(8, 'T'), flag(kUser, 'U'),
                  flag(kWritable, 'W'));
    return true;
  }).run();
}

}  // namespace vitrine::machine

// The walker against a model written down straight from the manual's tables, over every combination of the
// entry bits that matter; then the corners: PSE-36, reserved bits, tables outside RAM, ROM tables, monitors'
// listing.
#include "paging/page_walker.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::paging {
namespace {

using memory::PhysicalMap;
using memory::Placement;
using memory::RamBlock;

constexpr uint32_t kDirectory = 0x1000;
constexpr uint32_t kTable = 0x2000;
constexpr uint32_t kFrame = 0x00034000;
constexpr uint32_t kAddress = 0x00401234;  // directory entry 1 (PAE: 2), table entry 1

class PageWalker : public testing::Test {
 protected:
  PageWalker() : block_(RamBlock::create("ram", 0x100000).value()) {
    memory_.add(Placement::ram(PhysicalAddress(0), 0x100000, *block_, 0));
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg;
    registers_.cr3 = kDirectory;
  }

  std::expected<Translation, WalkFault> go(AccessKind kind, Privilege privilege,
                                           Effects effects = Effects::SetAccessedAndDirty) {
    return walk(memory_, registers_, VirtualAddress(kAddress), kind, privilege, effects);
  }
  void use_pae() {
    registers_.cr4 = x86::kCr4Pae;
    registers_.pdptes[0] = kDirectory | x86::kPagePresent;
  }
  void put(uint32_t address, uint32_t value) { memory_.write(PhysicalAddress(address), 4, value); }
  void put64(uint32_t address, uint64_t value) { memory_.write(PhysicalAddress(address), 8, value); }
  uint32_t get(uint32_t address) { return static_cast<uint32_t>(memory_.read(PhysicalAddress(address), 4)); }
  uint64_t get64(uint32_t address) { return memory_.read(PhysicalAddress(address), 8); }

  std::unique_ptr<RamBlock> block_;
  PhysicalMap memory_;
  PagingRegisters registers_;
};

uint32_t entry_bits(unsigned n) {
  return (n & 1 ? x86::kPagePresent : 0) | (n & 2 ? x86::kPageWritable : 0) | (n & 4 ? x86::kPageUser : 0) |
         (n & 8 ? x86::kPageAccessed : 0) | (n & 16 ? x86::kPageDirty : 0);
}

// What the manual says about a two-level walk, without reserved bits: the error code, or nothing.
std::optional<uint32_t> expected_fault(uint64_t directory, uint64_t leaf, bool write_protect, bool nx,
                                       AccessKind kind, Privilege privilege) {
  const bool user = privilege == Privilege::User;
  uint32_t code = (kind == AccessKind::Write ? 2u : 0u) | (user ? 4u : 0u);
  if (kind == AccessKind::Fetch && nx) code |= 16;
  if ((directory & 1) == 0 || (leaf & 1) == 0) return code;
  const bool user_page = (directory & 4) != 0 && (leaf & 4) != 0;
  const bool writable = (directory & 2) != 0 && (leaf & 2) != 0;
  const bool no_fetch = nx && (((directory | leaf) >> 63) & 1) != 0;
  if (user && !user_page) return code | 1;
  if (kind == AccessKind::Write && !writable && (user || write_protect)) return code | 1;
  if (kind == AccessKind::Fetch && no_fetch) return code | 1;
  return std::nullopt;
}

constexpr AccessKind kKinds[] = {AccessKind::Read, AccessKind::Write, AccessKind::Fetch};
constexpr Privilege kPrivileges[] = {Privilege::Supervisor, Privilege::User};

TEST_F(PageWalker, PagingOffIsIdentity) {
  registers_.cr0 = x86::kCr0Pe;
  const auto result = go(AccessKind::Write, Privilege::User);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, kAddress);
}

TEST_F(PageWalker, EveryCombinationOf32BitEntries) {
  for (unsigned n = 0; n < 32 * 32 * 2 * 2; ++n) {
    const uint32_t directory = kTable | entry_bits(n & 31);
    const uint32_t leaf = kFrame | entry_bits(n >> 5 & 31);
    const bool write_protect = (n >> 10 & 1) != 0;
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg | (write_protect ? x86::kCr0Wp : 0);
    registers_.cr4 = (n >> 11 & 1) != 0 ? x86::kCr4Pse : 0;
    for (const AccessKind kind : kKinds) {
      for (const Privilege privilege : kPrivileges) {
        put(kDirectory + 4, directory);
        put(kTable + 4, leaf);
        const auto fault = expected_fault(directory, leaf, write_protect, false, kind, privilege);
        const auto peek = go(kind, privilege, Effects::None);
        ASSERT_EQ(get(kDirectory + 4), directory);
        ASSERT_EQ(get(kTable + 4), leaf);
        const auto result = go(kind, privilege);
        ASSERT_EQ(result.has_value(), !fault.has_value()) << n;
        ASSERT_EQ(peek.has_value(), result.has_value());
        if (fault) {
          ASSERT_EQ(result.error().error_code, *fault) << n;
          ASSERT_EQ(get(kDirectory + 4), directory);
          ASSERT_EQ(get(kTable + 4), leaf);
          continue;
        }
        ASSERT_EQ(result->address.value, kFrame + 0x234u);
        ASSERT_EQ(result->writable, (directory & leaf & 2) != 0);
        ASSERT_EQ(result->user, (directory & leaf & 4) != 0);
        ASSERT_EQ(get(kDirectory + 4), directory | x86::kPageAccessed);
        const uint32_t dirty = kind == AccessKind::Write ? x86::kPageDirty : 0;
        ASSERT_EQ(get(kTable + 4), leaf | x86::kPageAccessed | dirty);
        ASSERT_EQ(result->dirty, (leaf & x86::kPageDirty) != 0 || dirty != 0);
      }
    }
  }
}

TEST_F(PageWalker, EveryCombinationOfPaeEntries) {
  use_pae();
  for (unsigned n = 0; n < 32 * 32 * 16; ++n) {
    const bool nx = (n >> 10 & 1) != 0;
    uint64_t directory = kTable | entry_bits(n & 31);
    uint64_t leaf = kFrame | entry_bits(n >> 5 & 31);
    if ((n >> 11 & 1) != 0) directory |= x86::kPageNoExecute;
    if ((n >> 12 & 1) != 0) leaf |= x86::kPageNoExecute;
    const bool write_protect = (n >> 13 & 1) != 0;
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg | (write_protect ? x86::kCr0Wp : 0);
    registers_.efer = nx ? x86::kEferNxe : 0;
    for (const AccessKind kind : kKinds) {
      for (const Privilege privilege : kPrivileges) {
        put64(kDirectory + 16, directory);
        put64(kTable + 8, leaf);
        auto fault = expected_fault(directory, leaf, write_protect, nx, kind, privilege);
        if (!nx && (directory & 1) != 0) {
          // Without NXE bit 63 is reserved, level by level.
          const bool reserved = (directory >> 63) != 0 || ((leaf & 1) != 0 && (leaf >> 63) != 0);
          const uint32_t code =
              (kind == AccessKind::Write ? 2u : 0u) | (privilege == Privilege::User ? 4u : 0u);
          if (reserved) fault = code | 9;
        }
        const auto result = go(kind, privilege);
        ASSERT_EQ(result.has_value(), !fault.has_value()) << n;
        if (fault) {
          ASSERT_EQ(result.error().error_code, *fault) << n;
          ASSERT_EQ(get64(kTable + 8), leaf);
          continue;
        }
        ASSERT_EQ(result->address.value, kFrame + 0x234u);
        ASSERT_EQ(result->executable, !nx || (directory | leaf) >> 63 == 0);
        ASSERT_EQ(get64(kDirectory + 16), directory | x86::kPageAccessed);
        ASSERT_EQ(get64(kTable + 8),
                  leaf | x86::kPageAccessed | (kind == AccessKind::Write ? x86::kPageDirty : 0u));
      }
    }
  }
}

TEST_F(PageWalker, LargePagesNeedPse) {
  put(kDirectory + 4, 0x00800000 | 0x83);
  registers_.cr4 = x86::kCr4Pse | x86::kCr4Pge;
  auto result = go(AccessKind::Write, Privilege::Supervisor);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0x00801234u);
  EXPECT_EQ(result->page_size, 4u << 20);
  EXPECT_FALSE(result->global);
  EXPECT_EQ(get(kDirectory + 4), 0x008000e3u);

  // Without PSE the same entry names a table, at 800000h, where nothing is: FFFFFFFFh reads as present.
  registers_.cr4 = 0;
  result = go(AccessKind::Read, Privilege::Supervisor);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address.value, 0xfffff234u);
  EXPECT_FALSE(go(AccessKind::Read, Privilege::Supervisor, Effects::None));
}

TEST_F(PageWalker, Pse36AndItsReservedBits) {
  registers_.cr4 = x86::kCr4Pse;
  put(kDirectory + 4, 0x00800000 | 0xf << 13 | 0x83);
  ASSERT_TRUE(go(AccessKind::Read, Privilege::Supervisor));
  EXPECT_EQ(go(AccessKind::Read, Privilege::Supervisor)->address.value, 0xf'00801234u);
  registers_.pse36 = false;
  EXPECT_EQ(go(AccessKind::Read, Privilege::User).error().error_code, 0xdu);
  registers_.pse36 = true;
  for (unsigned bit = 17; bit <= 21; ++bit) {
    put(kDirectory + 4, 0x00800000 | 1u << bit | 0x83);
    EXPECT_EQ(go(AccessKind::Write, Privilege::Supervisor).error().error_code, 0xbu) << bit;
    EXPECT_EQ(get(kDirectory + 4), 0x00800000 | 1u << bit | 0x83);
  }
  put(kDirectory + 4, 0x00801083);  // the PAT bit
  EXPECT_TRUE(go(AccessKind::Read, Privilege::Supervisor));
  registers_.pat = false;
  EXPECT_EQ(go(AccessKind::Read, Privilege::Supervisor).error().error_code, 9u);
}

TEST_F(PageWalker, ReservedBitsInPaeEntries) {
  use_pae();
  put64(kTable + 8, kFrame | 7);
  for (unsigned bit = 36; bit <= 63; ++bit) {
    put64(kDirectory + 16, kTable | 7 | uint64_t{1} << bit);
    EXPECT_EQ(go(AccessKind::Read, Privilege::Supervisor).error().error_code, 9u) << bit;
  }
  for (unsigned bit = 13; bit <= 20; ++bit) {
    put64(kDirectory + 16, uint64_t{1} << bit | 0x87);
    EXPECT_EQ(go(AccessKind::Fetch, Privilege::Supervisor).error().error_code, 9u) << bit;
  }
  put64(kDirectory + 16, 0x8'00600087);
  EXPECT_EQ(go(AccessKind::Read, Privilege::Supervisor)->address.value, 0x8'00601234u);
  EXPECT_EQ(go(AccessKind::Read, Privilege::Supervisor)->page_size, 2u << 20);
}

TEST_F(PageWalker, GlobalNeedsPge) {
  put(kDirectory + 4, kTable | 7 | x86::kPageGlobal);
  put(kTable + 4, kFrame | 7);
  registers_.cr4 = x86::kCr4Pge;
  EXPECT_FALSE(go(AccessKind::Read, Privilege::User)->global);  // ignored in an entry that names a table
  put(kTable + 4, kFrame | 7 | x86::kPageGlobal);
  EXPECT_TRUE(go(AccessKind::Read, Privilege::User)->global);
  registers_.cr4 = 0;
  EXPECT_FALSE(go(AccessKind::Read, Privilege::User)->global);
}

TEST_F(PageWalker, PdptesAreCheckedWhenPresent) {
  put64(0x1020, 0x2001);
  put64(0x1028, 0xffff'ffff'ffff'fffe);  // not present: anything goes
  put64(0x1030, 0xf'fffff'e01 | 0x018);
  const auto good = read_pdptes(memory_, 0x1020 | 0x18);
  ASSERT_TRUE(good);
  EXPECT_EQ((*good)[0], 0x2001u);
  for (const unsigned bit : {1, 2, 5, 6, 7, 8, 36, 62, 63}) {
    put64(0x1030, 0x3001 | uint64_t{1} << bit);
    EXPECT_FALSE(read_pdptes(memory_, 0x1020)) << bit;
  }
}

TEST_F(PageWalker, TablesInRomKeepTheirBits) {
  auto rom = RamBlock::create("rom", 0x1000).value();
  memory_.add(Placement::rom(PhysicalAddress(kTable), 0x1000, *rom, 0, 1));
  const uint32_t leaf = kFrame | 3;
  std::memcpy(rom->data() + 4, &leaf, 4);
  put(kDirectory + 4, kTable | 3);
  EXPECT_TRUE(go(AccessKind::Write, Privilege::Supervisor));
  EXPECT_EQ(get(kTable + 4), leaf);
}

struct Registers : memory::MemoryDevice {
  uint64_t read_memory(uint64_t, unsigned) override {
    ++reads;
    return kFrame | 3;
  }
  void write_memory(uint64_t, unsigned, uint64_t value) override { written = value; }
  int reads = 0;
  uint64_t written = 0;
};

TEST_F(PageWalker, TablesInDeviceRegisters) {
  Registers device;
  memory_.add(Placement::mmio(PhysicalAddress(kTable), 0x1000, device, 0, 1));
  put(kDirectory + 4, kTable | 3);
  EXPECT_FALSE(go(AccessKind::Write, Privilege::Supervisor, Effects::None));
  EXPECT_EQ(device.reads, 0);
  ASSERT_TRUE(go(AccessKind::Write, Privilege::Supervisor));
  EXPECT_EQ(device.written, kFrame | 0x63u);
}

struct Watcher : memory::WriteListener {
  void watched_page_written(RamBlock&, uint64_t page, uint8_t) override { pages.push_back(page); }
  std::vector<uint64_t> pages;
};

TEST_F(PageWalker, UpdatesTellTheWatcher) {
  Watcher watcher;
  memory_.add_write_listener(watcher);
  put(kDirectory + 4, kTable | 3);
  put(kTable + 4, kFrame | 3);
  memory_.watch(*block_, kTable >> kPageShift, memory::Watch::PageTable);
  ASSERT_TRUE(go(AccessKind::Read, Privilege::Supervisor));
  EXPECT_EQ(watcher.pages, std::vector<uint64_t>{kTable >> kPageShift});
  ASSERT_TRUE(go(AccessKind::Read, Privilege::Supervisor));  // nothing left to set
  EXPECT_EQ(watcher.pages.size(), 1u);
}

TEST_F(PageWalker, ListsMappings) {
  registers_.cr4 = x86::kCr4Pse;
  put(kDirectory, kTable | 7);
  put(kTable, 0x1003);
  put(kTable + 4 * 1023, 0x5007);
  put(kDirectory + 4 * 1023, 0x00c00083);
  std::vector<std::pair<uint32_t, uint64_t>> found;
  for_each_mapping(memory_, registers_, [&](VirtualAddress start, const Translation& page) {
    found.emplace_back(start.value, page.address.value);
  });
  const std::vector<std::pair<uint32_t, uint64_t>> expected = {
      {0, 0x1000}, {0x3ff000, 0x5000}, {0xffc00000, 0x00c00000}};
  EXPECT_EQ(found, expected);

  use_pae();
  put64(kDirectory, 0);
  put64(kDirectory + 16, 0x200087);
  registers_.pdptes = {0, 0, 0, kDirectory | 1};
  found.clear();
  for_each_mapping(memory_, registers_, [&](VirtualAddress start, const Translation& page) {
    found.emplace_back(start.value, page.page_size);
  });
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found.front(), (std::pair<uint32_t, uint64_t>{0xc0400000, 2u << 20}));
}

}  // namespace
}  // namespace vitrine::paging

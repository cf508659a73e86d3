// ShadowPolicy::Proactive: what is written to a page table holds at once, for all that were filled from it.
#include <gtest/gtest.h>

#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

using memory::Watch;
using enum AccessKind;
using enum FillOutcome;
using enum Privilege;

constexpr uint32_t kUsed =
    x86::kPagePresent | x86::kPageWritable | x86::kPageUser | x86::kPageAccessed | x86::kPageDirty;
constexpr uint32_t kAddress = 0x08000000;
constexpr uint32_t kFrame = 0x00800000;
constexpr auto kWatched = static_cast<uint8_t>(Watch::PageTable);

class Proactive : public ShadowGuest {
 protected:
  static constexpr uint32_t kOther = 0x3000;  // another directory, with the same tables

  static uint64_t directory_page() { return kDirectory >> kPageShift; }
  static uint64_t table_page(uint32_t address = kAddress) { return table(address) >> kPageShift; }

  Proactive() {
    for (uint32_t page = 0; page < 64; ++page)
      map(kAddress + page * kPageSize, kFrame + page * 2 * kPageSize, kUsed);
    put(kOther + (kAddress >> 22) * 4, table(kAddress) | kUsed);
  }
  void begin() { start({.policy = ShadowPolicy::Proactive}); }
  void load(uint32_t directory) {
    registers_.cr3 = directory;
    spaces_->load(registers_);
  }
  void fill_some(uint32_t pages = 4) {
    for (uint32_t page = 0; page < pages; ++page)
      ASSERT_EQ(fill(kAddress + page * kPageSize, Write, User), Filled);
  }
};

TEST_F(Proactive, AWriteHoldsAtOnceInAllSpaces) {
  begin();
  fill_some();
  ShadowWindow& first = spaces_->window(User);
  load(kOther);
  fill_some();
  ASSERT_NE(&spaces_->window(User), &first);
  put(entry_at(kAddress + 0x1000), 0x00900000 | kUsed);
  put(entry_at(kAddress + 0x2000), (kFrame + 0x4000) | (kUsed & ~uint32_t{x86::kPageWritable}));
  for (ShadowWindow* window : {&first, &spaces_->window(User)}) {
    EXPECT_TRUE(probe_write(window->base() + kAddress, 1));
    EXPECT_FALSE(probe_read(window->base() + kAddress + 0x1000));
    EXPECT_TRUE(probe_read(window->base() + kAddress + 0x2000));
    EXPECT_FALSE(probe_write(window->base() + kAddress + 0x2000, 1));
  }
  EXPECT_EQ(spaces_->counters().table_writes, 2u);
  load(kDirectory);
  EXPECT_EQ(&spaces_->window(User), &first);
  EXPECT_EQ(spaces_->counters().tables_compared, 0u);
}

TEST_F(Proactive, TablesAndDirectoriesCannotBeWrittenThroughAWindow) {
  map(kAddress + 0x400000, table(kAddress), kUsed);
  map(kAddress + 0x401000, kDirectory, kUsed);
  begin();
  ASSERT_EQ(fill(kAddress + 0x400000, Write, User), Filled);
  EXPECT_TRUE(write(kAddress + 0x400000, 0, User));
  put(entry_at(kAddress), kFrame | kUsed);
  fill_some();
  EXPECT_EQ(ram_->watches(table_page()), kWatched);
  EXPECT_EQ(ram_->watches(directory_page()), kWatched);
  EXPECT_FALSE(write(kAddress + 0x400000, 0, User))
      << "it could be written before it was found to be a table";
  EXPECT_EQ(fill(kAddress + 0x400000, Write, User), Emulate);
  EXPECT_EQ(fill(kAddress + 0x401000, Write, User), Emulate);
  EXPECT_EQ(fill(kAddress + 0x401000, Read, User), Filled);
}

// The kernel's mapping of all memory shows its own tables.
TEST_F(Proactive, AFillGivesNobodyTheRightToWriteToItsOwnTable) {
  for (uint32_t page = 0; page < 256; ++page)
    map(kTables + page * kPageSize, kTables + page * kPageSize, kUsed);
  map(0, kDirectory - 0x1000, kUsed);
  map(0x1000, kDirectory, kUsed);
  begin();
  ASSERT_EQ(fill(kTables + 0x80000, Write), Filled);
  EXPECT_TRUE(write(kTables + 0x80000, 1));
  EXPECT_FALSE(write(table(kTables), 1)) << "the run goes around the table";
  EXPECT_EQ(fill(0x1000, Write), Emulate);
}

TEST_F(Proactive, ADirectoryEntryTakesAllThatCameThroughIt) {
  begin();
  fill_some();
  load(kOther);
  fill_some();
  put(kDirectory + (kAddress >> 22) * 4, 0);
  EXPECT_TRUE(read(kAddress, User)) << "the other's";
  EXPECT_EQ(ram_->watches(table_page()), kWatched);
  load(kDirectory);
  EXPECT_FALSE(read(kAddress, User));
  load(kOther);
  put(kOther + (kAddress >> 22) * 4, 0);
  EXPECT_FALSE(read(kAddress, User));
  EXPECT_EQ(ram_->watches(table_page()), 0) << "nobody uses the table any more";
}

TEST_F(Proactive, AccessedAndDirtyBitsOfTheWalkChangeNothing) {
  put(entry_at(kAddress + 0x5000), kFrame | x86::kPagePresent | x86::kPageWritable | x86::kPageUser);
  begin();
  fill_some();
  ASSERT_EQ(fill(kAddress + 0x5000, Read, User), Filled);
  ASSERT_EQ(fill(kAddress + 0x5000, Write, User), Filled);
  EXPECT_TRUE(write(kAddress, 1, User));
  EXPECT_EQ(spaces_->counters().drops, 0u);
  EXPECT_EQ(spaces_->counters().table_writes, 0u);
  put(entry_at(kAddress), kFrame | (kUsed & ~uint32_t{x86::kPageAccessed}));
  EXPECT_FALSE(read(kAddress, User)) << "the guest wants to see it set again";
}

TEST_F(Proactive, APageThatIsWrittenAgainAndAgainIsReleased) {
  begin();
  fill_some();
  for (uint32_t i = 0; i <= TableTracker::kMostWrites; ++i)
    put(entry_at(kAddress + (64 + i) * kPageSize), 0x12345678 + i);
  EXPECT_EQ(ram_->watches(table_page()), 0);
  EXPECT_EQ(spaces_->counters().tables_released, 1u);
  EXPECT_FALSE(read(kAddress, User)) << "nothing remains that would not be told of";
  put(entry_at(kAddress), 0x00900000 | kUsed);
  fill_some();
  EXPECT_EQ(spaces_->window(User).entry(VirtualAddress(kAddress)).page, 0x900u);
  EXPECT_EQ(ram_->watches(table_page()), kWatched) << "a table after all";
  // A directory that is dead, in the middle of what its space has in common with others.
  load(kOther);
  for (uint32_t i = 0; i <= TableTracker::kMostWrites; ++i) put(kDirectory + 0x800 + i * 4, i);
  EXPECT_EQ(ram_->watches(directory_page()), 0);
  EXPECT_EQ(spaces_->counters().tables_released, 2u);
  registers_.cr3 = kDirectory;
  EXPECT_TRUE(spaces_->find(registers_)->outdated);
  spaces_->load(registers_);
  EXPECT_TRUE(read(kAddress, User)) << "which it has in common with the other";
  EXPECT_EQ(ram_->watches(directory_page()), kWatched);
}

// The next process's page table lies where that of one that has ended did.
TEST_F(Proactive, ASpaceThatNobodyUsesKeepsWhatItHasInCommon) {
  constexpr uint32_t kOwn = kAddress + 0x400000, kShared = kAddress;
  map(kOwn, kFrame + 0x100000, kUsed);
  begin();
  fill_some();
  ASSERT_EQ(fill(kOwn, Write, User), Filled);
  load(kOther);
  ASSERT_EQ(fill(kShared, Write, User), Filled);
  const uint64_t filled = spaces_->counters().hidden_faults;
  const uint32_t own = get(kDirectory + (kOwn >> 22) * 4), shared = get(kDirectory + (kShared >> 22) * 4);
  put(kDirectory + (kOwn >> 22) * 4, 0);
  put(kDirectory + (kShared >> 22) * 4, 0);
  EXPECT_EQ(ram_->watches(table(kOwn) >> kPageShift), 0) << "its own table is none any more";
  put(kDirectory + (kShared >> 22) * 4, shared);
  load(kDirectory);
  EXPECT_TRUE(read(kShared, User));
  EXPECT_FALSE(read(kOwn, User));
  EXPECT_EQ(spaces_->counters().hidden_faults, filled);
  // In use again: what changes is gone at once, with and without the other's table.
  put(kDirectory + (kOwn >> 22) * 4, own);
  ASSERT_EQ(fill(kOwn, Write, User), Filled);
  put(kDirectory + (kOwn >> 22) * 4, 0);
  put(kDirectory + (kShared >> 22) * 4, 0);
  EXPECT_FALSE(read(kOwn, User));
  EXPECT_FALSE(read(kShared, User));
}

TEST_F(Proactive, WritesThatFillsComeBetweenAreATables) {
  begin();
  for (uint32_t i = 0; i < 10 * TableTracker::kMostWrites; ++i) {
    put(entry_at(kAddress), (kFrame + i * kPageSize) | kUsed);
    ASSERT_EQ(fill(kAddress, Write, User), Filled);
    ASSERT_EQ(spaces_->window(User).entry(VirtualAddress(kAddress)).page, (kFrame >> kPageShift) + i);
  }
  EXPECT_EQ(spaces_->counters().tables_released, 0u);
}

TEST_F(Proactive, AnotherProcessorsWindowsFollow) {
  begin();
  auto other = ShadowSpaces::create(memory_, {.policy = ShadowPolicy::Proactive}).value();
  other->load(registers_);
  fill_some();
  ASSERT_EQ(other->fill(VirtualAddress(kAddress), Write, User).outcome, Filled);
  put(entry_at(kAddress), 0x00900000 | kUsed);
  EXPECT_FALSE(read(kAddress, User));
  EXPECT_FALSE(probe_read(other->window(User).base() + kAddress));
  ASSERT_EQ(other->fill(VirtualAddress(kAddress), Write, User).outcome, Filled);
  ASSERT_EQ(fill(kAddress, Write, User), Filled);
  // What one lets go stays watched for the other.
  other.reset();
  EXPECT_EQ(ram_->watches(table_page()), kWatched);
  put(entry_at(kAddress), 0);
  EXPECT_FALSE(read(kAddress, User));
  spaces_.reset();
  EXPECT_EQ(ram_->watches(table_page()), 0);
  EXPECT_EQ(ram_->watches(directory_page()), 0);
}

TEST_F(Proactive, OtherPagesOfDirectoryEntriesAreComparedAtALoad) {
  constexpr uint32_t kPaeTable = 0x7000, kFirst = 0x20000, kSecond = 0x21000;
  registers_.cr4 = x86::kCr4Pae;
  for (const uint32_t directory : {kFirst, kSecond})
    put64(directory, (directory == kFirst ? kPaeTable : kPaeTable + 0x1000) | kUsed);
  put64(kPaeTable, kFrame | kUsed);
  put64(kPaeTable + 0x1000, 0x00900000 | kUsed);
  registers_.pdptes[0] = kFirst | x86::kPagePresent;
  begin();
  ASSERT_EQ(fill(0, Write), Filled);
  registers_.pdptes[0] = kSecond | x86::kPagePresent;
  spaces_->load(registers_);
  EXPECT_FALSE(read(0));
  EXPECT_EQ(ram_->watches(kFirst >> kPageShift), 0);
  ASSERT_EQ(fill(0, Write), Filled);
  put64(kSecond, 0);
  EXPECT_FALSE(read(0));
}

}  // namespace
}  // namespace vitrine::paging

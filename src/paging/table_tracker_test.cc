#include "paging/table_tracker.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstring>

#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

using memory::Watch;
using enum AccessKind;
using enum FillOutcome;
using enum Privilege;

constexpr uint32_t kUsed =
    x86::kPagePresent | x86::kPageWritable | x86::kPageUser | x86::kPageAccessed | x86::kPageDirty;
constexpr uint32_t kUser = 0x08000000;
constexpr uint32_t kKernel = 0xc0000000;

// Address spaces with a table of their own for kUser, and one in common for kKernel.
class Unsync : public ShadowGuest {
 protected:
  static constexpr uint32_t kCommon = 0x3f000;

  static uint32_t directory(uint32_t space) { return 0x200000 + space * 0x2000; }
  static uint32_t user_entry(uint32_t space, uint32_t page) { return directory(space) + 0x1000 + page * 4; }

  void make(uint32_t space) {
    put(directory(space) + (kUser >> 22) * 4, (directory(space) + 0x1000) | kUsed);
    put(directory(space) + (kKernel >> 22) * 4, kCommon | kUsed);
    for (uint32_t page = 0; page < 4; ++page) {
      put(user_entry(space, page), (0x800000 + (space * 16 + page * 2) * kPageSize) | kUsed);
      put(kCommon + page * 4, (0x400000 + page * kPageSize) | kUsed);
    }
  }
  void begin(uint32_t spaces, ShadowSpaces::Options options = {}) {
    for (uint32_t i = 0; i < spaces; ++i) make(i);
    options.policy = ShadowPolicy::Unsync;
    registers_.cr3 = directory(0);
    start(options);
  }
  void load(uint32_t space) {
    registers_.cr3 = directory(space);
    spaces_->load(registers_);
  }
  void fill_user() {
    for (uint32_t page = 0; page < 4; ++page) ASSERT_EQ(fill(kUser + page * kPageSize, Write, User), Filled);
  }
};

// Code is translated from RAM, so looking it up takes no mapping. But whoever knows code has to hear when
// what the guest's tables gave is given no more.
TEST_F(Unsync, CodeIsLookedUpWithoutAMapping) {
  begin(2);
  ASSERT_EQ(fill(kUser, Fetch, User), Filled);
  EXPECT_EQ(last_.page, 0x800u);
  EXPECT_FALSE(read(kUser, User));
  spaces_->invalidate_page(VirtualAddress(kUser));
  load(1);
  load(0);
  EXPECT_EQ(told_, 0) << "nothing has changed";

  put(user_entry(0, 0), 0x900000 | kUsed);
  EXPECT_EQ(told_, 0) << "not invalidated yet";
  spaces_->invalidate_page(VirtualAddress(kUser));
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(last_told_.first, kUser >> kPageShift);
  ASSERT_EQ(fill(kUser, Fetch, User), Filled);
  EXPECT_EQ(last_.page, 0x900u);

  put(user_entry(0, 0), 0);
  load(0);
  EXPECT_EQ(told_, 2) << "compared at a load";
  EXPECT_EQ(fill(kUser, Fetch, User), TrueFault);

  ASSERT_EQ(fill(kUser + kPageSize, Fetch, User), Filled);
  put(directory(0) + (kUser >> 22) * 4, 0);
  load(0);
  EXPECT_EQ(told_, 3) << "the whole table";
  EXPECT_EQ(spaces_->counters().maps, 0u);
  EXPECT_EQ(spaces_->counters().fetches, 3u);
}

TEST_F(Unsync, CodeAndDataOfAPageGoTogether) {
  begin(1);
  for (const bool code_first : {true, false}) {
    told_ = 0;
    ASSERT_EQ(fill(kUser, code_first ? Fetch : Read, User), Filled);
    ASSERT_EQ(fill(kUser, code_first ? Read : Fetch, User), Filled);
    EXPECT_TRUE(read(kUser, User));
    EXPECT_EQ(told_, 0);
    put(user_entry(0, 0), 0);
    load(0);
    EXPECT_EQ(told_, 1);
    EXPECT_FALSE(read(kUser, User));
    make(0);
  }
  // What the map of physical memory says, everything depends on.
  ASSERT_EQ(fill(kUser + kPageSize, Fetch, User), Filled);
  told_ = 0;
  memory_.set_a20(false);
  EXPECT_EQ(told_, 1);
}

TEST_F(Unsync, WindowsOutliveLoads) {
  begin(2);
  fill_user();
  load(1);
  EXPECT_FALSE(read(kUser, User));
  fill_user();
  const uint64_t faults = spaces_->counters().hidden_faults;
  for (uint32_t i = 0; i < 10; ++i) {
    load(i % 2);
    for (uint32_t page = 0; page < 4; ++page) EXPECT_TRUE(write(kUser + page * kPageSize, 1, User));
    EXPECT_EQ(spaces_->window(User).entry(VirtualAddress(kUser)).page, 0x800u + i % 2 * 16);
  }
  EXPECT_EQ(spaces_->counters().hidden_faults, faults);
  EXPECT_EQ(spaces_->counters().drops, 0u);
}

TEST_F(Unsync, ALoadDropsWhatChangedAndNothingElse) {
  begin(2);
  fill_user();
  put(user_entry(0, 1), 0x00900000 | kUsed);
  put(user_entry(0, 3), 0);
  load(0);
  EXPECT_TRUE(write(kUser, 1, User));
  EXPECT_FALSE(read(kUser + 0x1000, User));
  EXPECT_TRUE(write(kUser + 0x2000, 1, User));
  EXPECT_FALSE(read(kUser + 0x3000, User));
}

TEST_F(Unsync, AnEntryIsStaleUntilInvalidated) {
  begin(1);
  fill_user();
  put(user_entry(0, 1), 0);
  EXPECT_TRUE(read(kUser + 0x1000, User));
  spaces_->invalidate_page(VirtualAddress(kUser));
  EXPECT_TRUE(read(kUser + 0x1000, User));
  spaces_->invalidate_page(VirtualAddress(kUser + 0x1fff));
  EXPECT_FALSE(read(kUser + 0x1000, User));
}

TEST_F(Unsync, ARangeTakenDownPageByPageGoesInFewSteps) {
  begin(1);
  constexpr uint32_t kPages = 40;
  for (uint32_t page = 0; page < kPages; ++page)
    put(user_entry(0, page), (0x900000 + page * kPageSize) | kUsed);
  for (uint32_t page = 0; page < kPages; ++page)
    ASSERT_EQ(fill(kUser + page * kPageSize, Write, User), Filled);
  for (uint32_t page = 0; page < kPages; ++page) {
    put(user_entry(0, page), 0);
    spaces_->invalidate_page(VirtualAddress(kUser + page * kPageSize));
    ASSERT_FALSE(read(kUser + page * kPageSize, User));
  }
  EXPECT_LE(spaces_->counters().drops, 5u);
}

TEST_F(Unsync, WhatGoesWithItsNeighboursComesBackWhenWanted) {
  begin(1);
  fill_user();
  for (uint32_t page = 0; page < 2; ++page) {
    put(user_entry(0, page), 0);
    spaces_->invalidate_page(VirtualAddress(kUser + page * kPageSize));
  }
  for (uint32_t page = 0; page < 2; ++page) EXPECT_EQ(fill(kUser + page * kPageSize, Read, User), TrueFault);
  for (uint32_t page = 2; page < 4; ++page) EXPECT_EQ(fill(kUser + page * kPageSize, Write, User), Filled);
  EXPECT_EQ(spaces_->window(User).entry(VirtualAddress(kUser + 0x2000)).page, 0x804u);
}

TEST_F(Unsync, LosingTheRightToWriteKeepsThePage) {
  begin(1);
  fill_user();
  for (uint32_t page = 0; page < 3; ++page) {
    put(user_entry(0, page), get(user_entry(0, page)) & ~uint32_t{x86::kPageWritable});
  }
  put(user_entry(0, 3), get(user_entry(0, 3)) & ~uint32_t{x86::kPageAccessed});
  load(0);
  for (uint32_t page = 0; page < 3; ++page) {
    EXPECT_TRUE(read(kUser + page * kPageSize, User));
    EXPECT_FALSE(write(kUser + page * kPageSize, 1, User));
  }
  EXPECT_FALSE(read(kUser + 0x3000, User)) << "the guest wants to see the accessed bit again";
  EXPECT_EQ(told_, 1);
}

TEST_F(Unsync, ATableInCommonIsComparedForAll) {
  begin(2);
  ASSERT_EQ(fill(kKernel, Write), Filled);
  load(1);
  ASSERT_EQ(fill(kKernel, Write), Filled);
  put(kCommon, 0x00900000 | kUsed);
  load(1);
  EXPECT_FALSE(read(kKernel));
  load(0);
  EXPECT_FALSE(read(kKernel));
}

TEST_F(Unsync, AnAbandonedSpaceGivesItsWindowsAndTheKernelsPart) {
  begin(3);
  load(1);
  fill_user();
  ASSERT_EQ(fill(kKernel, Write), Filled);
  ShadowWindow* const window = &spaces_->window(Supervisor);
  load(0);
  EXPECT_EQ(spaces_->counters().spaces_made, 2u);
  // The end of the process: its tables are taken down, its directory is kept for a while.
  put(directory(1) + (kUser >> 22) * 4, 0);
  load(2);
  EXPECT_EQ(spaces_->counters().spaces_made, 2u);
  EXPECT_EQ(spaces_->counters().spaces_recycled, 1u);
  EXPECT_EQ(&spaces_->window(Supervisor), window);
  EXPECT_TRUE(write(kKernel, 1));
  EXPECT_FALSE(read(kUser, User));
  fill_user();
  EXPECT_EQ(spaces_->window(User).entry(VirtualAddress(kUser)).page, 0x800u + 32);
}

TEST_F(Unsync, ANewSpaceBeginsWithWhatItHasInCommonWithTheOneBefore) {
  begin(3);
  for (const ShadowPolicy policy : {ShadowPolicy::Unsync, ShadowPolicy::Proactive}) {
    start({.policy = policy});
    load(0);
    for (uint32_t page = 0; page < 3; ++page) ASSERT_EQ(fill(kKernel + page * kPageSize, Write), Filled);
    fill_user();
    put(kCommon + 4, 0x00900000 | kUsed);
    put(kCommon + 8, get(kCommon + 8) & ~uint32_t{x86::kPageWritable});
    load(1);
    const uint64_t faults = spaces_->counters().hidden_faults;
    EXPECT_TRUE(write(kKernel, 1));
    EXPECT_FALSE(read(kKernel + 0x1000)) << "it has changed since";
    EXPECT_TRUE(read(kKernel + 0x2000));
    EXPECT_FALSE(write(kKernel + 0x2000, 1));
    EXPECT_FALSE(read(kUser, User));
    EXPECT_EQ(spaces_->counters().hidden_faults, faults);
    // From here on each has its own.
    put(kCommon, 0);
    load(0);
    EXPECT_FALSE(read(kKernel));
    load(1);
    EXPECT_FALSE(read(kKernel));
    spaces_.reset();
    for (uint32_t space = 0; space < 3; ++space) make(space);
  }
}

TEST_F(Unsync, SpacesAreBounded) {
  begin(40, {.most_spaces = 5});
  for (uint32_t i = 0; i < 200; ++i) {
    const uint32_t space = i * 7 % 40;
    load(space);
    fill_user();
    ASSERT_EQ(spaces_->window(User).entry(VirtualAddress(kUser)).page, 0x800u + space * 16);
  }
  EXPECT_EQ(spaces_->counters().spaces_made, 5u);
}

TEST_F(Unsync, AQuietTableIsWatchedUntilItIsWritten) {
  begin(1, {.table_patience = 3});
  const uint64_t page = user_entry(0, 0) >> kPageShift;
  fill_user();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ram_->watches(page), 0);
    load(0);
  }
  EXPECT_EQ(ram_->watches(page), static_cast<uint8_t>(Watch::PageTable));
  // A write through a window needs no emulation; one by DMA tells as well.
  put(kCommon + 4, static_cast<uint32_t>(page << kPageShift) | kUsed);
  ASSERT_EQ(fill(kKernel + 0x1000, Read), Filled);
  EXPECT_FALSE(write(kKernel + 0x1000, 1));
  ASSERT_EQ(fill(kKernel + 0x1000, Write), Filled);
  EXPECT_EQ(ram_->watches(page), 0);
  const uint32_t entry = 0x00900000 | kUsed;
  for (uint32_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(write(kKernel + 0x1000 + i, static_cast<uint8_t>(entry >> 8 * i)));
  }
  load(0);
  EXPECT_FALSE(read(kUser, User));
  EXPECT_TRUE(read(kUser + 0x1000, User));
}

TEST_F(Unsync, ATableThatServesNoMoreIsReleased) {
  begin(1, {.table_patience = 1});
  const uint64_t page = user_entry(0, 0) >> kPageShift;
  fill_user();
  load(0);
  ASSERT_NE(ram_->watches(page), 0);
  put(directory(0) + (kUser >> 22) * 4, 0);
  load(0);
  EXPECT_EQ(ram_->watches(page), 0);
  EXPECT_FALSE(read(kUser, User));
}

TEST_F(Unsync, ModesAreSpacesOfTheirOwn) {
  begin(1);
  put(user_entry(0, 0), get(user_entry(0, 0)) & ~uint32_t{x86::kPageWritable});
  registers_.cr0 &= ~x86::kCr0Wp;
  load(0);
  ASSERT_EQ(fill(kUser, Write), Filled);
  registers_.cr0 |= x86::kCr0Wp;
  load(0);
  EXPECT_FALSE(write(kUser, 1));
  registers_.cr0 &= ~x86::kCr0Wp;
  load(0);
  EXPECT_TRUE(write(kUser, 1));
}

TEST_F(Unsync, ATableInEveryDirectoryEntryIsNoTrap) {
  begin(1);
  for (uint32_t slot = 0; slot < 1024; ++slot) put(directory(0) + slot * 4, kCommon | kUsed);
  for (uint32_t slot = 0; slot < 1024; ++slot) ASSERT_EQ(fill(slot << 22, Write, User), Filled);
  put(kCommon, 0x00900000 | kUsed);
  load(0);
  for (uint32_t slot = 0; slot < 1024; ++slot) ASSERT_FALSE(read(slot << 22, User));
}

// The exit status of a child in which addresses are scarce: how many spaces it could make, or 100.
int spaces_with_limit(rlim_t extra) {
  const pid_t child = ::fork();
  if (child == 0) {
    memory::PhysicalMap memory;
    long pages = 0;
    if (FILE* file = std::fopen("/proc/self/statm", "r")) {
      if (std::fscanf(file, "%ld", &pages) != 1) std::_Exit(99);
      (void)std::fclose(file);
    }
    const rlimit limit{static_cast<rlim_t>(pages) * kPageSize + extra, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(99);
    auto spaces = ShadowSpaces::create(memory, {.policy = ShadowPolicy::Unsync});
    if (!spaces) std::_Exit(spaces.error().advice.empty() ? 101 : 100);
    PagingRegisters registers;
    registers.cr0 = x86::kCr0Pe | x86::kCr0Pg;
    for (uint32_t i = 1; i < 20; ++i) {
      registers.cr3 = i * kPageSize;
      (*spaces)->load(registers);
    }
    std::_Exit(static_cast<int>((*spaces)->counters().spaces_made));
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST(ShadowLimits, LittleAddressSpaceIsAnErrorOrFewerSpaces) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer needs address space of its own";
#endif
  EXPECT_EQ(spaces_with_limit(uint64_t{1} << 30), 100);
  const int some = spaces_with_limit(uint64_t{30} << 30);
  EXPECT_GE(some, 2);
  EXPECT_LE(some, 4);
}

}  // namespace
}  // namespace vitrine::paging

#include "paging/shadow_spaces.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

using memory::Placement;
using memory::RamBlock;
using memory::Watch;
using enum AccessKind;
using enum FillOutcome;
using enum Privilege;

constexpr uint32_t kRw = x86::kPagePresent | x86::kPageWritable;
constexpr uint32_t kUserRw = kRw | x86::kPageUser;
constexpr uint32_t kUsed = x86::kPageAccessed | x86::kPageDirty;
constexpr uint32_t kAddress = 0x00c05000;
constexpr uint32_t kFrame = 0x00805000;

class ShadowSpacesTest : public ShadowGuest {};

TEST_F(ShadowSpacesTest, NothingShowsBeforeAFill) {
  map(kAddress, kFrame, kRw);
  start();
  EXPECT_EQ(read(kAddress), std::nullopt);
  EXPECT_FALSE(write(kAddress, 1));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(spaces_->window(User).base().value) & 0xffffffff, 0u);
  EXPECT_NE(spaces_->window(User).base().value, spaces_->window(Supervisor).base().value);
}

TEST_F(ShadowSpacesTest, AReadShowsTheByteAndSetsAccessedOnly) {
  map(kAddress, kFrame, kRw);
  ram_->data()[kFrame + 5] = 0x5a;
  start();
  ASSERT_EQ(fill(kAddress + 5, Read), Filled);
  EXPECT_EQ(last_.block, ram_.get());
  EXPECT_EQ(last_.page, kFrame >> 12);
  EXPECT_EQ(read(kAddress + 5), 0x5a);
  EXPECT_EQ(get(entry_at(kAddress)) & kUsed, x86::kPageAccessed);
  EXPECT_FALSE(write(kAddress + 5, 1)) << "the dirty bit is not set yet";
  ASSERT_EQ(fill(kAddress + 5, Write), Filled);
  EXPECT_EQ(get(entry_at(kAddress)) & kUsed, kUsed);
  EXPECT_TRUE(write(kAddress + 5, 0x77));
  EXPECT_EQ(ram_->data()[kFrame + 5], 0x77);
  EXPECT_EQ(told_, 0) << "a change of rights is nobody's business";
  EXPECT_EQ(read(kAddress + 0x1000), std::nullopt);
  EXPECT_EQ(read(kAddress - 0x1000), std::nullopt);
}

TEST_F(ShadowSpacesTest, FaultsOfTheGuestAreItsOwn) {
  start();
  EXPECT_EQ(fill(kAddress, Write, User), TrueFault);
  EXPECT_EQ(last_.error_code, 6u);
  map(kAddress, kFrame, x86::kPagePresent | x86::kPageUser);
  EXPECT_EQ(fill(kAddress, Write, Supervisor), TrueFault);
  EXPECT_EQ(last_.error_code, 3u);
  EXPECT_EQ(get(entry_at(kAddress)) & kUsed, 0u);
  EXPECT_EQ(spaces_->counters().true_faults, 2u);
}

TEST_F(ShadowSpacesTest, APrefetchShowsWhatHasBeenAccessedAndSetsNothing) {
  map(kAddress, kFrame, kRw | x86::kPageAccessed);
  map(kAddress + 0x2000, kFrame, kRw);
  map(kAddress + 0x4000, kFrame, kUserRw | kUsed);
  map(kAddress + 0x6000, kFrame, kRw | kUsed);
  start();
  spaces_->prefetch(VirtualAddress(kAddress), Supervisor);
  EXPECT_TRUE(read(kAddress));
  EXPECT_FALSE(write(kAddress, 1)) << "the dirty bit is not set yet";
  spaces_->prefetch(VirtualAddress(kAddress + 0x2000), Supervisor);
  EXPECT_EQ(read(kAddress + 0x2000), std::nullopt);
  EXPECT_EQ(get(entry_at(kAddress + 0x2000)) & kUsed, 0u);
  spaces_->prefetch(VirtualAddress(kAddress + 0x3000), Supervisor);  // absent
  spaces_->prefetch(VirtualAddress(kAddress + 0x4000), User);
  EXPECT_TRUE(write(kAddress + 0x4000, 1, User));
  spaces_->prefetch(VirtualAddress(kAddress + 0x6000), User);
  EXPECT_EQ(read(kAddress + 0x6000, User), std::nullopt);
  put(kDirectory + (kAddress >> 22) * 4, table(kAddress) | 7);
  spaces_->load(registers_);
  spaces_->prefetch(VirtualAddress(kAddress), Supervisor);
  EXPECT_EQ(read(kAddress), std::nullopt) << "the directory entry has not been accessed";
  EXPECT_EQ(spaces_->counters().prefetches, 2u);
  EXPECT_EQ(spaces_->counters().hidden_faults + spaces_->counters().true_faults, 0u);
}

TEST_F(ShadowSpacesTest, SupervisorPagesAreNotInTheUserWindow) {
  map(kAddress, kFrame, kRw | kUsed);
  map(kAddress + 0x1000, kFrame + 0x1000, kUserRw | kUsed);
  start();
  ASSERT_EQ(fill(kAddress + 0x1000, Read, User), Filled);
  EXPECT_EQ(fill(kAddress, Read, User), TrueFault);
  EXPECT_EQ(read(kAddress, User), std::nullopt);
  EXPECT_TRUE(write(kAddress + 0x1000, 1, User));
  EXPECT_EQ(read(kAddress + 0x1000, Supervisor), std::nullopt);
  ASSERT_EQ(fill(kAddress, Read, Supervisor), Filled);
  EXPECT_TRUE(read(kAddress, Supervisor));
}

TEST_F(ShadowSpacesTest, OneWindowForBothIsEmptiedAtAChangeOfPrivilege) {
  map(kAddress, kFrame, kRw | kUsed);
  map(kAddress + 0x1000, kFrame + 0x1000, kUserRw | kUsed);
  for (const ShadowPolicy policy : {ShadowPolicy::OnDemand, ShadowPolicy::Unsync}) {
    start({.policy = policy, .views = ShadowViews::One});
    EXPECT_EQ(&spaces_->window(User), &spaces_->window(Supervisor));
    (void)spaces_->enter(Supervisor);
    ASSERT_EQ(fill(kAddress, Write, Supervisor), Filled);
    ASSERT_EQ(fill(kAddress + 0x1000, Write, Supervisor), Filled);
    (void)spaces_->enter(Supervisor);
    EXPECT_TRUE(write(kAddress, 1, Supervisor));
    (void)spaces_->enter(User);
    EXPECT_EQ(read(kAddress, User), std::nullopt);
    EXPECT_EQ(read(kAddress + 0x1000, User), std::nullopt);
    EXPECT_EQ(fill(kAddress, Read, User), TrueFault);
    ASSERT_EQ(fill(kAddress + 0x1000, Write, User), Filled);
    // A page table that was left in user mode and is loaded by the kernel.
    spaces_->load(registers_);
    (void)spaces_->enter(Supervisor);
    EXPECT_EQ(read(kAddress + 0x1000), std::nullopt);
    EXPECT_EQ(spaces_->counters().windows_emptied, 2u + (policy == ShadowPolicy::OnDemand ? 1u : 0u));
    spaces_.reset();
  }
}

TEST_F(ShadowSpacesTest, GlobalPagesSurviveALoadButNotAnInvalidationOfAll) {
  map(kAddress, kFrame, kRw | kUsed | x86::kPageGlobal);
  start();
  ASSERT_EQ(fill(kAddress, Write), Filled);
  spaces_->load(registers_);
  EXPECT_TRUE(read(kAddress));
  spaces_->invalidate_all();
  spaces_->load(registers_);
  EXPECT_FALSE(read(kAddress));
}

TEST_F(ShadowSpacesTest, WithoutWriteProtectTheSupervisorWritesReadOnlyPages) {
  map(kAddress, kFrame, x86::kPagePresent | x86::kPageUser);
  registers_.cr0 &= ~x86::kCr0Wp;
  start();
  ASSERT_EQ(fill(kAddress, Write, Supervisor), Filled);
  EXPECT_TRUE(write(kAddress, 1, Supervisor));
  EXPECT_EQ(fill(kAddress, Write, User), TrueFault);
  ASSERT_EQ(fill(kAddress, Read, User), Filled);
  EXPECT_FALSE(write(kAddress, 1, User));
  registers_.cr0 |= x86::kCr0Wp;
  spaces_->load(registers_);
  EXPECT_FALSE(write(kAddress, 1, Supervisor));
  EXPECT_EQ(fill(kAddress, Write, Supervisor), TrueFault);
}

TEST_F(ShadowSpacesTest, ARunTakesWhatIsContiguousAndUsed) {
  for (uint32_t i = 0; i < 64; ++i) map(0x00c00000 + i * 0x1000, 0x00800000 + i * 0x1000, kRw | kUsed);
  map(0x00c03000, 0x00803000, kRw);                       // not accessed
  map(0x00c10000, 0x00900000, kRw | kUsed);               // elsewhere
  map(0x00c0a000, 0x0080a000, kRw | x86::kPageAccessed);  // clean
  start();
  ASSERT_EQ(fill(0x00c06000, Read), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 6u);  // 4…9
  EXPECT_FALSE(read(0x00c03000));
  EXPECT_TRUE(write(0x00c04000, 1));
  EXPECT_TRUE(write(0x00c09fff, 1));
  EXPECT_FALSE(read(0x00c0a000));
  ASSERT_EQ(fill(0x00c0a000, Read), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 7u);
  EXPECT_FALSE(write(0x00c0a000, 1));
  ASSERT_EQ(fill(0x00c20000, Read), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 7u + 47u);
  EXPECT_EQ(get(entry_at(0x00c03000)) & kUsed, 0u);
}

TEST_F(ShadowSpacesTest, RaisingRightsTakesDirtyNeighboursAlong) {
  for (uint32_t i = 0; i < 8; ++i)
    map(0x00c00000 + i * 0x1000, 0x00800000 + i * 0x1000, kRw | x86::kPageAccessed);
  start();
  ASSERT_EQ(fill(0x00c00000, Read), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 8u);
  for (uint32_t i = 2; i < 5; ++i)
    put(entry_at(0x00c00000 + i * 0x1000), get(entry_at(0x00c00000 + i * 0x1000)) | kUsed);
  ASSERT_EQ(fill(0x00c03000, Write), Filled);
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(write(0x00c00000 + i * 0x1000, 1), i >= 2 && i < 5) << i;
  for (uint32_t i = 0; i < 8; ++i) EXPECT_TRUE(read(0x00c00000 + i * 0x1000)) << i;
}

TEST_F(ShadowSpacesTest, PopulatingTakesNoMemoryThatNobodyTouched) {
  for (uint32_t i = 0; i < 16; ++i) map(0x00c00000 + i * 0x1000, 0x02000000 + i * 0x1000, kRw | kUsed);
  start();
  ASSERT_EQ(fill(0x00c05000, Read), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 16u);
  unsigned char vector[16] = {};
  ASSERT_EQ(::mincore(ram_->data() + 0x02000000, sizeof vector * kPageSize, vector), 0);
  int present = 0;
  for (const unsigned char page : vector) present += page & 1;
  EXPECT_LE(present, 1);
}

TEST_F(ShadowSpacesTest, LargePagesAndInvlpg) {
  put(kDirectory + 3 * 4, 0x00800000 | kUserRw | kUsed | x86::kPageLarge);
  start();
  ASSERT_EQ(fill(0x00c12345, Write, User), Filled);
  EXPECT_GE(spaces_->counters().pages_filled, 256u);
  EXPECT_TRUE(write(0x00c12345, 9, User));
  EXPECT_EQ(ram_->data()[0x00812345], 9);
  // Any address of the page drops all of it.
  spaces_->invalidate_page(VirtualAddress(0x00fff000));
  EXPECT_FALSE(read(0x00c12345, User));
  EXPECT_EQ(told_, 1);
}

TEST_F(ShadowSpacesTest, InvlpgDropsOnePageOfARunInBothWindows) {
  for (uint32_t i = 0; i < 8; ++i) map(0x00c00000 + i * 0x1000, 0x00800000 + i * 0x1000, kUserRw | kUsed);
  start();
  ASSERT_EQ(fill(0x00c00000, Read, User), Filled);
  ASSERT_EQ(fill(0x00c00000, Read, Supervisor), Filled);
  map(0x00c03000, 0x00900000, kUserRw | kUsed);
  ram_->data()[0x00900000] = 0x11;
  spaces_->invalidate_page(VirtualAddress(0x00c03abc));
  for (const Privilege privilege : {User, Supervisor}) {
    EXPECT_FALSE(read(0x00c03000, privilege));
    EXPECT_TRUE(read(0x00c02fff, privilege));
    EXPECT_TRUE(read(0x00c04000, privilege));
    ASSERT_EQ(fill(0x00c03000, Read, privilege), Filled);
    EXPECT_EQ(read(0x00c03000, privilege), 0x11);
  }
  EXPECT_EQ(last_told_.first, 0x00c03u);
  EXPECT_EQ(last_told_.count, 1u);
}

TEST_F(ShadowSpacesTest, PaeAndNoExecute) {
  registers_.cr4 = x86::kCr4Pae;
  registers_.efer = x86::kEferNxe;
  registers_.pdptes[0] = 0x2000 | x86::kPagePresent;
  put64(0x2000 + 6 * 8, 0x3000 | kUserRw);  // 00c00000h
  put64(0x3000 + 5 * 8, kFrame | kUserRw | kUsed | x86::kPageNoExecute);
  put64(0x3000 + 6 * 8, (kFrame + 0x1000) | kUserRw | kUsed | x86::kPageNoExecute);
  put64(0x3000 + 7 * 8, (kFrame + 0x2000) | kUserRw | kUsed);
  put64(0x2000 + 7 * 8, 0x00800000 | kRw | kUsed | x86::kPageLarge);
  start();
  EXPECT_EQ(fill(kAddress, Fetch, User), TrueFault);
  EXPECT_EQ(last_.error_code, 0x15u);
  ASSERT_EQ(fill(kAddress, Write, User), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 2u) << "the third differs in no-execute";
  ASSERT_EQ(fill(kAddress + 0x2000, Fetch, User), Filled);
  EXPECT_EQ(fill(0x00e01000, Read, User), TrueFault);
  ram_->data()[0x00801000] = 3;
  ASSERT_EQ(fill(0x00e01000, Fetch), Filled);
  EXPECT_EQ(read(0x00e01000), 3);
}

TEST_F(ShadowSpacesTest, GlobalEntriesSurviveALoad) {
  map(kAddress, kFrame, kRw | kUsed | x86::kPageGlobal);
  map(0x00400000, kFrame, kRw | kUsed);
  map(0xc0400000, kFrame, kRw | kUsed);
  start();
  for (const uint32_t address : {kAddress, 0x00400000u, 0xc0400000u}) ASSERT_EQ(fill(address, Write), Filled);
  put(entry_at(kAddress), 0);
  put(entry_at(0x00400000), 0);
  put(entry_at(0xc0400000), 0);
  spaces_->load(registers_);
  EXPECT_FALSE(read(0x00400000));
  EXPECT_FALSE(read(0xc0400000));
  registers_.cr4 &= ~x86::kCr4Pge;
  spaces_->load(registers_);
  EXPECT_FALSE(read(kAddress));
}

TEST_F(ShadowSpacesTest, WatchedPagesAreNeverWritable) {
  for (uint32_t i = 0; i < 8; ++i) {
    map(0x00c00000 + i * 0x1000, 0x00800000 + i * 0x1000, kUserRw | kUsed);
    map(0xc0800000 + i * 0x1000, 0x00800000 + i * 0x1000, kRw | kUsed);
  }
  memory_.watch(*ram_, 0x806, Watch::Code);
  start();
  ASSERT_EQ(fill(0x00c00000, Write, User), Filled);
  ASSERT_EQ(fill(0xc0803000, Write), Filled);
  ASSERT_EQ(fill(0x00c03000, Fetch, User), Filled);
  EXPECT_TRUE(write(0x00c03000, 1, User));
  EXPECT_FALSE(read(0x00c06000, User)) << "other rights, not of the run";
  EXPECT_EQ(fill(0x00c06000, Write, User), Emulate);
  ASSERT_EQ(fill(0x00c06000, Read, User), Filled);
  EXPECT_FALSE(write(0x00c06000, 1, User));

  memory_.watch(*ram_, 0x803, Watch::Code);
  EXPECT_FALSE(write(0x00c03000, 1, User));
  EXPECT_FALSE(write(0xc0803000, 1));
  EXPECT_TRUE(read(0x00c03000, User));
  EXPECT_TRUE(write(0x00c02000, 1, User));
  EXPECT_TRUE(write(0xc0804000, 1));
  EXPECT_EQ(fill(0x00c03000, Write, User), Emulate);
  EXPECT_EQ(told_, 0);

  ram_->unwatch(0x803, Watch::Code);
  ASSERT_EQ(fill(0x00c03000, Write, User), Filled);
  EXPECT_TRUE(write(0x00c03000, 1, User));
}

TEST_F(ShadowSpacesTest, WithPagingOffRunsAreLongAndWatchedPagesReadOnly) {
  registers_.cr0 = x86::kCr0Pe;
  memory_.watch(*ram_, 0x107, Watch::Code);
  start();
  ASSERT_EQ(fill(0x00100000, Write), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 7u);
  ASSERT_EQ(fill(0x00200000, Write), Filled);
  EXPECT_GE(spaces_->counters().pages_filled, 7u + 64u);
  EXPECT_EQ(fill(0x00107000, Write), Emulate);
  ASSERT_EQ(fill(0x00107000, Read), Filled);
  EXPECT_FALSE(write(0x00107000, 1));
}

struct Registers : memory::MemoryDevice {
  uint64_t read_memory(uint64_t, unsigned) override { return ++accesses; }
  void write_memory(uint64_t, unsigned, uint64_t) override { ++accesses; }
  int accesses = 0;
};

TEST_F(ShadowSpacesTest, DevicesRomAndNothing) {
  Registers device;
  auto rom = RamBlock::create("rom", 0x10000).value();
  rom->data()[0x1234] = 0xaa;
  memory_.add(Placement::mmio(PhysicalAddress(0xfee00000), kPageSize, device));
  memory_.add(Placement::rom(PhysicalAddress(0xffff0000), 0x10000, *rom, 0));
  Placement split = Placement::rom(PhysicalAddress(0xc0000), 0x4000, *rom, 0x4000, 1);
  split.write_block = ram_.get();
  split.write_offset = 0xc0000;
  memory_.add(split);
  registers_.cr0 = x86::kCr0Pe;
  start();
  for (const AccessKind kind : {Read, Write, Fetch}) {
    EXPECT_EQ(fill(0xfee00000, kind), Emulate);
    EXPECT_EQ(fill(0xe0000000, kind), Emulate);
  }
  EXPECT_EQ(device.accesses, 0);
  EXPECT_EQ(fill(0xffff1234, Write), Emulate);
  ASSERT_EQ(fill(0xffff1234, Read), Filled);
  EXPECT_EQ(last_.block, rom.get());
  EXPECT_EQ(read(0xffff1234), 0xaa);
  EXPECT_FALSE(write(0xffff1234, 0));
  EXPECT_EQ(fill(0xc0000, Write), Emulate);
  ASSERT_EQ(fill(0xc0000, Read), Filled);
  EXPECT_FALSE(write(0xc0000, 0));
  EXPECT_FALSE(read(0xc4000));
}

TEST_F(ShadowSpacesTest, AChangeOfTheMapDropsEverything) {
  auto rom = RamBlock::create("rom", 0x10000).value();
  const auto id = memory_.add(Placement::rom(PhysicalAddress(0xf0000), 0x10000, *rom, 0, 1));
  registers_.cr0 = x86::kCr0Pe;
  start();
  ASSERT_EQ(fill(0xf0000, Read), Filled);
  ASSERT_EQ(fill(0x200000, Write), Filled);
  memory_.remove(id);
  EXPECT_FALSE(read(0xf0000));
  EXPECT_FALSE(read(0x200000));
  EXPECT_EQ(spaces_->window(Supervisor).mappings(), 1u);
  rom.reset();
  ASSERT_EQ(fill(0xf0000, Write), Filled);
  EXPECT_EQ(last_.block, ram_.get());
  EXPECT_TRUE(write(0xf0000, 1));
}

TEST_F(ShadowSpacesTest, TheA20GateFoldsOddMegabytes) {
  registers_.cr0 = x86::kCr0Pe;
  start();
  ram_->data()[0x10] = 1;
  ram_->data()[0x100010] = 2;
  ASSERT_EQ(fill(0x100010, Read), Filled);
  EXPECT_EQ(read(0x100010), 2);
  memory_.set_a20(false);
  ASSERT_EQ(fill(0x100010, Read), Filled);
  EXPECT_EQ(read(0x100010), 1);
  ASSERT_EQ(fill(0x1ff000, Write), Filled);
  for (uint32_t address = 0; address < 0x400000; address += kPageSize) {
    const ShadowEntry entry = spaces_->window(Supervisor).entry(VirtualAddress(address));
    if (entry.block != nullptr) {
      ASSERT_EQ(entry.page, (address & ~0x100000u) >> 12);
    }
  }
}

TEST_F(ShadowSpacesTest, NoRunCrossesAMegabyteWhileA20IsClosed) {
  memory_.set_a20(false);
  for (uint32_t i = 0; i < 8; ++i) map(0x02000000 + i * 0x1000, 0x002fc000 + i * 0x1000, kRw | kUsed);
  start();
  ASSERT_EQ(fill(0x02003000, Write), Filled);
  EXPECT_EQ(spaces_->counters().pages_filled, 4u);
  ASSERT_EQ(fill(0x02004000, Write), Filled);
  EXPECT_EQ(last_.page, 0x200u);  // 300000h without bit 20
}

TEST_F(ShadowSpacesTest, ASmallBudgetEvictsAndFillsOn) {
  for (uint32_t i = 0; i < 1024; ++i)
    map(0x00c00000 + i * 0x1000, 0x00800000 + (i * 7 % 1024) * 0x1000, kRw | kUsed);
  for (uint32_t i = 0; i < 8; ++i) map(0x08000000 + i * 0x2000000, 0x00800000, kRw | kUsed);
  start({.mapping_budget = 60});
  for (uint32_t i = 0; i < 1024; ++i) {
    const uint32_t address = 0x00c00000 + (i * 5 % 1024) * 0x1000;
    ASSERT_EQ(fill(address, Write), Filled);
    ASSERT_TRUE(write(address, 1));
    ASSERT_LE(spaces_->budget().used(), 60u);
  }
  EXPECT_GT(spaces_->counters().evictions, 5u);
  // Splitting beyond the budget is never refused.
  for (uint32_t i = 0; i < 1024; i += 2) memory_.watch(*ram_, 0x800 + i, Watch::Code);
  for (uint32_t i = 0; i < 1024; ++i) {
    const uint32_t address = 0x00c00000 + i * 0x1000;
    ASSERT_EQ(fill(address, Read), Filled);
    ASSERT_EQ(write(address, 1), (i * 7 % 1024) % 2 == 1);
    ASSERT_LE(spaces_->budget().used(), 60u);
  }
}

}  // namespace
}  // namespace vitrine::paging

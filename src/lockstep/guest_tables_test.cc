// A directory at 1000h and a table at 2000h, as the guest changes them and as two engines set flags in them.
#include "lockstep/guest_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::lockstep {
namespace {

using cpu::Invalidation;
using testing::HasSubstr;

constexpr uint32_t kDirectory = 0x1000, kTable = 0x2000;
constexpr unsigned kEntry = 5;  // of the table, for the page at 5000h
constexpr uint32_t kPage = kEntry << 12 | 3, kAccessed = x86::kPageAccessed, kDirty = x86::kPageDirty;

class GuestTablesTest : public testing::TestWithParam<bool> {
 protected:
  GuestTablesTest() : tables_(memory_), size_(GetParam() ? 8 : 4) {
    ram_ = *memory::RamBlock::create("ram", 0x10000);
    memory_.add(memory::Placement::ram(PhysicalAddress(0), 0x10000, *ram_, 0));
    state_.cr0 = x86::kCr0Pg | x86::kCr0Pe;
    state_.cr3 = kDirectory;
    if (GetParam()) {
      state_.cr4 = x86::kCr4Pae;
      state_.pdptes[0] = kDirectory | x86::kPagePresent;
    }
    put(kDirectory, 0, kTable | 3);
    put(kTable, kEntry, kPage);
    tables_.learn(state_);
    tables_.step_ended();
  }

  void put(uint32_t table, unsigned index, uint32_t value) {
    std::memcpy(ram_->data() + table + size_t{index} * size_, &value, sizeof value);
  }
  PageOf page(uint32_t table) { return {ram_.get(), table >> kPageShift}; }

  /// Both engines have done something: what it has become with each. Memory has the leader's, or what both
  /// are to have.
  GuestTables::Verdict judge(uint32_t table, unsigned index, uint32_t leader, uint32_t follower) {
    put(table, index, leader);
    std::array<uint8_t, kPageSize> ours, theirs;
    std::memcpy(ours.data(), ram_->data() + table, kPageSize);
    theirs = ours;
    std::memcpy(theirs.data() + size_t{index} * size_, &follower, sizeof follower);
    GuestTables::Verdict verdict = tables_.judge(page(table), ours, theirs, tried_);
    if (verdict.merged) std::memcpy(ram_->data() + table, ours.data(), kPageSize);
    return verdict;
  }
  void guest_writes(uint32_t table, unsigned index, uint32_t value) {
    const auto verdict = judge(table, index, value, value);
    EXPECT_EQ(verdict.difference, "");
    EXPECT_FALSE(verdict.merged);
  }
  void expect_fixed(uint32_t leader, uint32_t follower) {
    EXPECT_THAT(judge(kTable, kEntry, leader, follower).difference, HasSubstr("the manual fixes"));
  }
  void expect_free(uint32_t leader, uint32_t follower) {
    const auto verdict = judge(kTable, kEntry, leader, follower);
    EXPECT_EQ(verdict.difference, "");
    EXPECT_TRUE(verdict.merged);
    uint32_t now = 0;
    std::memcpy(&now, ram_->data() + kTable + size_t{kEntry} * size_, sizeof now);
    EXPECT_EQ(now, leader | follower);
  }

  memory::PhysicalMap memory_;
  std::unique_ptr<memory::RamBlock> ram_;
  cpu::CpuState state_;
  GuestTables tables_;
  GuestTables::Tried tried_ = GuestTables::Tried::No;
  unsigned size_;
};

TEST_P(GuestTablesTest, KnowsWhatThereIs) {
  EXPECT_TRUE(tables_.knows(page(kDirectory)));
  EXPECT_TRUE(tables_.knows(page(kTable)));
  EXPECT_FALSE(tables_.knows(page(0x3000)));
  guest_writes(kDirectory, 1, 0x3003);
  EXPECT_TRUE(tables_.knows(page(0x3000)));
}

TEST_P(GuestTablesTest, WhatCr3LeadsToNoMoreIsMemory) {
  state_.cr3 = 0x4000;
  state_.pdptes[0] = GetParam() ? 0x4000 | x86::kPagePresent : 0;
  put(0x4000, 1, 0x5003);
  tables_.learn(state_);
  EXPECT_TRUE(tables_.knows(page(kTable)));
  tables_.step_ended();
  EXPECT_FALSE(tables_.knows(page(kTable)));
  EXPECT_FALSE(tables_.knows(page(kDirectory)));
  EXPECT_TRUE(tables_.knows(page(0x4000)));
  EXPECT_TRUE(tables_.knows(page(0x5000)));
}

TEST_P(GuestTablesTest, AnAccessSetsFlagsInBothOrNeither) {
  expect_fixed(kPage | kAccessed, kPage);
  expect_fixed(kPage, kPage | kAccessed);
  expect_fixed(kPage | kAccessed | kDirty, kPage | kAccessed);
}

TEST_P(GuestTablesTest, WhatTheGuestHasClearedIsFreeUntilItInvalidates) {
  guest_writes(kTable, kEntry, kPage | kAccessed);
  guest_writes(kTable, kEntry, kPage);
  expect_free(kPage | kAccessed, kPage);
  guest_writes(kTable, kEntry, kPage);
  expect_free(kPage, kPage | kAccessed);
  guest_writes(kTable, kEntry, kPage);
  // The dirty flag was not among what was cleared.
  expect_fixed(kPage | kDirty, kPage);
}

TEST_P(GuestTablesTest, ClearedAndSetByOneInTheSameStep) {
  guest_writes(kTable, kEntry, kPage | kAccessed);
  expect_free(kPage, kPage | kAccessed);
}

TEST_P(GuestTablesTest, Invalidations) {
  for (const Invalidation what : {Invalidation::All, Invalidation::NonGlobal, Invalidation::Page}) {
    guest_writes(kTable, kEntry, kPage | kAccessed);
    guest_writes(kTable, kEntry, kPage);
    tables_.invalidated(Invalidation::Page, (kEntry + 1) << 12, state_);
    expect_free(kPage | kAccessed, kPage);
    guest_writes(kTable, kEntry, kPage);
    tables_.invalidated(what, (kEntry << 12) + 0x123, state_);
    expect_fixed(kPage | kAccessed, kPage);
    guest_writes(kTable, kEntry, kPage);
  }
}

TEST_P(GuestTablesTest, GlobalEntriesOutliveALoadOfCr3) {
  constexpr uint32_t kGlobal = kPage | x86::kPageGlobal;
  guest_writes(kTable, kEntry, kGlobal | kAccessed);
  tables_.invalidated(Invalidation::All, 0, state_);
  guest_writes(kTable, kEntry, kGlobal);
  tables_.invalidated(Invalidation::NonGlobal, 0, state_);
  expect_free(kGlobal | kAccessed, kGlobal);
  guest_writes(kTable, kEntry, kGlobal);
  tables_.invalidated(Invalidation::All, 0, state_);
  expect_fixed(kGlobal | kAccessed, kGlobal);
}

TEST_P(GuestTablesTest, AnEntryThatBecomesPresentWasNotRemembered) {
  guest_writes(kTable, kEntry, 0);
  tables_.invalidated(Invalidation::All, 0, state_);
  guest_writes(kTable, kEntry, kPage);
  expect_fixed(kPage | kAccessed, kPage);
}

TEST_P(GuestTablesTest, AnotherTableLeavesEverythingFree) {
  guest_writes(kDirectory, 0, 0x3003);
  expect_free(kPage | kAccessed, kPage);
  tables_.invalidated(Invalidation::NonGlobal, 0, state_);
  guest_writes(kTable, kEntry, kPage);
  tables_.invalidated(Invalidation::NonGlobal, 0, state_);
  expect_fixed(kPage | kAccessed, kPage);
}

TEST_P(GuestTablesTest, TheFollowerMayHaveTriedTheNextInstruction) {
  tried_ = GuestTables::Tried::Yes;
  const auto verdict = judge(kTable, kEntry, kPage, kPage | kAccessed);
  EXPECT_TRUE(verdict.early);
  EXPECT_EQ(verdict.difference, "");
  expect_fixed(kPage | kAccessed, kPage);
  tried_ = GuestTables::Tried::No;
  expect_fixed(kPage, kPage | kAccessed);
  tried_ = GuestTables::Tried::YesButInterrupted;
  expect_free(kPage, kPage | kAccessed);
}

TEST_P(GuestTablesTest, OtherBitsAreNeverFree) {
  guest_writes(kTable, kEntry, 0x7003);
  EXPECT_NE(judge(kTable, kEntry, 0x7003, 0x7007).difference, "");
}

INSTANTIATE_TEST_SUITE_P(All, GuestTablesTest, testing::Bool(),
                         [](const auto& parameters) { return parameters.param ? "Pae" : "Legacy"; });

}  // namespace
}  // namespace vitrine::lockstep

// Two processors' windows on one guest: what one of them watches stays watched while the other walks, writes
// and lets go.
#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

using memory::Watch;
using enum AccessKind;
using enum FillOutcome;
using enum Privilege;

constexpr uint32_t kUsed = x86::kPageAccessed | x86::kPageDirty;
constexpr uint32_t kAddress = 0x00c00000;
constexpr uint64_t kTablePage = (0x100000 + (kAddress >> 22) * kPageSize) >> kPageShift;
constexpr auto kWatched = static_cast<uint8_t>(Watch::PageTable);

class ShadowSharedTest : public ShadowGuest {
 protected:
  ShadowSharedTest() {
    map(kAddress, 0x00800000, 3 | kUsed);
    map(kAddress + 0x1000, 0x00900000, 3);
    options_.table_patience = 2;
    start(options_);
    other_ = ShadowSpaces::create(memory_, options_).value();
    other_->load(registers_);
  }

  // Until the table has not changed for so long that it is watched.
  void make_watch(ShadowSpaces& spaces) {
    ASSERT_EQ(spaces.fill(VirtualAddress(kAddress), Read, Supervisor).outcome, Filled);
    for (int i = 0; i < 4; ++i) spaces.load(registers_);
    ASSERT_EQ(ram_->watches(kTablePage), kWatched);
  }

  ShadowSpaces::Options options_{.policy = ShadowPolicy::Unsync};
  std::unique_ptr<ShadowSpaces> other_;
};

TEST_F(ShadowSharedTest, AWalkThatSetsAccessedLeavesTheTableWatchedForTheWalker) {
  make_watch(*spaces_);
  make_watch(*other_);
  ASSERT_EQ(fill(kAddress + 0x1000, Read), Filled);
  EXPECT_EQ(ram_->watches(kTablePage), kWatched);
}

TEST_F(ShadowSharedTest, AWriteIsNoticedByBoth) {
  make_watch(*spaces_);
  make_watch(*other_);
  put(entry_at(kAddress), 0x00a00000 | 3 | kUsed);
  EXPECT_EQ(ram_->watches(kTablePage), 0);
  for (ShadowSpaces* spaces : {spaces_.get(), other_.get()}) {
    spaces->invalidate_page(VirtualAddress(kAddress));
    EXPECT_EQ(spaces->window(Supervisor).entry(VirtualAddress(kAddress)).block, nullptr);
  }
}

TEST_F(ShadowSharedTest, OneThatLetsGoOfATableLeavesItWatchedForTheOther) {
  make_watch(*spaces_);
  make_watch(*other_);
  other_.reset();
  EXPECT_EQ(ram_->watches(kTablePage), kWatched);
  spaces_.reset();
  EXPECT_EQ(ram_->watches(kTablePage), 0);
}

// As if another processor had written the entry after the walk.
TEST_F(ShadowSharedTest, NothingIsDerivedFromAnEntryThatIsNotAsItWasWalked) {
  ShadowContext context(1000);
  TableTracker tracker(memory_, context.counters, {.patience = 2});
  ShadowSpace space;
  while (space.windows.size() < 2) space.windows.push_back(ShadowWindow::create(context).value());
  space.slots.resize(ShadowSpace::kSlots);
  const PageRun run{kAddress >> kPageShift, 1};
  const auto walked =
      walk(memory_, registers_, VirtualAddress(kAddress), Read, Supervisor, Effects::SetAccessedAndDirty);
  ASSERT_TRUE(walked.has_value());
  EXPECT_TRUE(tracker.derive(space, registers_, *walked, run, ShadowState::ReadWrite));
  put(entry_at(kAddress), 0x00800000 | 3 | x86::kPageAccessed);
  EXPECT_FALSE(tracker.derive(space, registers_, *walked, run, ShadowState::ReadWrite));
  EXPECT_TRUE(tracker.derive(space, registers_, *walked, run, ShadowState::Read));
  put(entry_at(kAddress), 0x00a00000 | 3 | kUsed);
  EXPECT_FALSE(tracker.derive(space, registers_, *walked, run, ShadowState::Read));
  tracker.detach(space);
}

}  // namespace
}  // namespace vitrine::paging

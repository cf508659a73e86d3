// Instructions whose page has to be filled again and again are left to the interpreter, which needs no
// window; a page that is used often is filled nevertheless. The counters say so.
#include <gtest/gtest.h>

#include "engines/paging_guest.h"

namespace vitrine::engines {
namespace {

constexpr uint32_t kAddress = PagingGuest::kDirect + PagingGuest::kFirstTable + PagingGuest::kSignature;
constexpr unsigned kRounds = 300;

class FillSites : public testing::Test {
 protected:
  // Whatever is not global leaves the windows when CR3 is loaded.
  FillSites() {
    PagingGuest::Options options;
    options.engine.emplace();
    options.engine->shadow.policy = paging::ShadowPolicy::OnDemand;
    options.engine->fills = paging::ShadowFills::Again;
    options.engine->code_size = size_t{1} << 20;
    guest_ = std::make_unique<PagingGuest>(options);
  }
  void empty() { ASSERT_TRUE(guest_->run(0, Command::LoadCr3, {.eax = guest_->root(0)})); }
  void load(uint32_t address = kAddress, uint32_t signature = PagingGuest::kFirstTable) {
    const auto result = guest_->run(0, Command::Load, {.ebx = address});
    ASSERT_TRUE(result) << guest_->complaint();
    EXPECT_EQ(result->eax, signature);
  }
  [[nodiscard]] bool kernel_shown(uint32_t address) const {
    const paging::ShadowWindow& window =
        guest_->engine(0)->shadow().active().window(paging::Privilege::Supervisor);
    return window.entry(VirtualAddress(address)).block != nullptr;
  }
  [[nodiscard]] uint64_t hidden_faults() const { return guest_->engine(0)->shadow_counters().hidden_faults; }

  std::unique_ptr<PagingGuest> guest_;
};

TEST_F(FillSites, ThatFillEachTimeAreInterpreted) {
  for (unsigned i = 0; i < kRounds; ++i) {
    empty();
    load();
  }
  const uint64_t before = guest_->engine(0)->counters().all_traps();
  for (unsigned i = 0; i < kRounds; ++i) {
    empty();
    load();
  }
  // Two a round otherwise, one by the load. The dispatcher's branch by memory goes the long way out, where
  // nobody learns what it has spared.
  EXPECT_LE(guest_->engine(0)->counters().all_traps() - before, kRounds);
}

TEST_F(FillSites, FillWhatIsUsedOften) {
  for (unsigned i = 0; i < kRounds; ++i) {
    empty();
    load();
  }
  const uint64_t prefetches = guest_->engine(0)->shadow_counters().prefetches;
  const uint64_t faults = hidden_faults();
  for (unsigned i = 0; i < kRounds; ++i) load();
  EXPECT_GT(guest_->engine(0)->shadow_counters().prefetches, prefetches);
  EXPECT_LE(hidden_faults() - faults, 20u);
  // And is native again.
  const auto declined = [&] {
    return guest_->engine(0)->counters().leaves[static_cast<unsigned>(translate::Leave::Decline)];
  };
  const uint64_t before = declined();
  for (unsigned i = 0; i < kRounds; ++i) load();
  EXPECT_LE(declined() - before, 2 * kRounds) << "HLT, and no more than one other";
}

// What each process uses once is not used often, though it is the same place each time.
TEST_F(FillSites, DoNotFillWhatIsUsedOnceBetweenLoads) {
  for (unsigned i = 0; i < kRounds; ++i) {
    empty();
    load();
  }
  constexpr unsigned kLoadsOfOneProcess = 4;
  unsigned shown = 0;
  for (unsigned i = 0; i < kRounds; ++i) {
    for (unsigned n = 0; n < kLoadsOfOneProcess; ++n) empty();
    load();
    if (kernel_shown(kAddress)) ++shown;
  }
  EXPECT_LE(shown, kRounds / 20);
}

// A kernel that copies something from or to a program's page once has no use for a mapping of it; a second
// time it has, and of its own pages at once.
TEST_F(FillSites, ThatAreTheKernelsLeaveAProgramsPageForOnce) {
  constexpr uint32_t kProgram = 0x40000000, kKernel = kProgram + kPageSize, kUsed = 0x63, kUser = 4;
  guest_->set_word(PagingGuest::kDirectories + (kProgram >> 22) * 4,
                   PagingGuest::kFirstTable | kUsed | kUser);
  guest_->set_word(PagingGuest::kFirstTable, PagingGuest::kFrames | kUsed | kUser);
  guest_->set_word(PagingGuest::kFirstTable + 4, PagingGuest::kFrames | kUsed);
  empty();
  for (const bool shown : {false, true}) {
    load(kProgram + PagingGuest::kSignature, PagingGuest::kFrames);
    EXPECT_EQ(kernel_shown(kProgram), shown);
  }
  load(kKernel + PagingGuest::kSignature, PagingGuest::kFrames);
  EXPECT_TRUE(kernel_shown(kKernel));
}

}  // namespace
}  // namespace vitrine::engines

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
    options.engine->code_size = size_t{1} << 20;
    guest_ = std::make_unique<PagingGuest>(options);
  }
  void empty() { ASSERT_TRUE(guest_->run(0, Command::LoadCr3, {.eax = guest_->root(0)})); }
  void load() {
    const auto result = guest_->run(0, Command::Load, {.ebx = kAddress});
    ASSERT_TRUE(result) << guest_->complaint();
    EXPECT_EQ(result->eax, PagingGuest::kFirstTable);
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
    const paging::ShadowWindow& window =
        guest_->engine(0)->shadow().active().window(paging::Privilege::Supervisor);
    if (window.entry(VirtualAddress(kAddress)).block != nullptr) ++shown;
  }
  EXPECT_LE(shown, kRounds / 20);
}

}  // namespace
}  // namespace vitrine::engines

// Code that goes and comes back with the guest's page tables, as that of a program that is started again: it
// is known again with the first page that is looked up among those that systems give together, if the tables
// give the same page and it has been accessed; anything else is found by whoever executes it.
#include <gtest/gtest.h>

#include "engines/paging_guest.h"
#include "x86/page_entries.h"

namespace vitrine::engines {
namespace {

constexpr uint32_t kProgram = 0x08040000, kPages = 16;
constexpr uint32_t kFlags = x86::kPagePresent | x86::kPageWritable | x86::kPageUser;
constexpr uint32_t kAccessed = kFlags | x86::kPageAccessed;
constexpr uint32_t frame(uint32_t n) {
  return PagingGuest::kFrames + n * kPageSize;
}

class KnownAgain : public testing::TestWithParam<paging::ShadowPolicy> {
 protected:
  KnownAgain() {
    PagingGuest::Options options;
    options.engine.emplace();
    options.engine->shadow.policy = GetParam();
    guest_ = std::make_unique<PagingGuest>(options);
    guest_->set_word(guest_->root(0) + (kProgram >> 22) * 4, PagingGuest::kFirstTable | kAccessed);
  }

  static uint32_t entry(uint32_t page) {
    return PagingGuest::kFirstTable + (((kProgram >> kPageShift) + page) % 1024) * 4;
  }
  void flush() {
    ASSERT_TRUE(guest_->run(0, Command::LoadCr3, {.eax = guest_->root(0)})) << guest_->complaint();
  }
  /// All pages, by frames of the same number, or none.
  void give(uint32_t flags) {
    for (uint32_t page = 0; page < kPages; ++page)
      guest_->set_word(entry(page), flags != 0 ? frame(page) | flags : 0);
    flush();
  }
  void restart(uint32_t flags) {
    give(0);
    give(flags);
  }
  /// What the code of a page returns.
  uint32_t execute(uint32_t page) {
    const auto result =
        guest_->run(0, Command::UserJump, {.ebx = kProgram + page * kPageSize + PagingGuest::kCode});
    EXPECT_TRUE(result) << guest_->complaint();
    return result && !result->fault ? result->eax : 0;
  }
  void execute_all() {
    for (uint32_t page = 0; page < kPages; ++page) EXPECT_EQ(execute(page), frame(page)) << page;
  }
  [[nodiscard]] const paging::ShadowCounters& counters() const {
    return guest_->engine(0)->shadow_counters();
  }

  std::unique_ptr<PagingGuest> guest_;
};

TEST_P(KnownAgain, WithTheFirstPage) {
  give(kAccessed);
  execute_all();
  const uint64_t first = counters().fetches;
  EXPECT_GE(first, kPages);
  restart(kAccessed);
  execute_all();
  EXPECT_EQ(counters().code_prefetches, kPages - 1);
  EXPECT_LE(counters().fetches - first, 4u) << "one of the program's, and the guest's own";
}

TEST_P(KnownAgain, WhereItHasBeenAccessedOnly) {
  give(kAccessed);
  execute_all();
  restart(kFlags);
  EXPECT_EQ(execute(3), frame(3));
  for (uint32_t page = 0; page < kPages; ++page)
    EXPECT_EQ(guest_->word(entry(page)) & x86::kPageAccessed, page == 3 ? x86::kPageAccessed : 0) << page;
  EXPECT_EQ(counters().code_prefetches, 0u);
  execute_all();
}

TEST_P(KnownAgain, WhereTheSameIsGiven) {
  give(kAccessed);
  execute_all();
  restart(kAccessed);
  guest_->set_word(entry(5), frame(20) | kAccessed);
  guest_->set_word(entry(6), frame(6) | x86::kPagePresent | x86::kPageAccessed);  // the supervisor's
  flush();
  EXPECT_EQ(execute(4), frame(4));
  EXPECT_EQ(execute(5), frame(20));
  const auto refused =
      guest_->run(0, Command::UserJump, {.ebx = kProgram + 6 * kPageSize + PagingGuest::kCode});
  EXPECT_TRUE(refused && refused->fault);
  EXPECT_EQ(execute(7), frame(7));
}

INSTANTIATE_TEST_SUITE_P(Policies, KnownAgain,
                         testing::Values(paging::ShadowPolicy::Unsync, paging::ShadowPolicy::Proactive),
                         [](const auto& shown) {
                           return shown.param == paging::ShadowPolicy::Unsync ? "Unsync" : "Proactive";
                         });

}  // namespace
}  // namespace vitrine::engines

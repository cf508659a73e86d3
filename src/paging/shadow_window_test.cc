#include "paging/shadow_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>

#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

constexpr uint32_t kPages = 512;  // of the window that the test plays with

// Mappings of this process that lie in the window, as the host lists them.
uint64_t host_mappings(const ShadowWindow& window) {
  std::ifstream maps("/proc/self/maps");
  const auto base = reinterpret_cast<uint64_t>(window.base().value);
  uint64_t found = 0;
  for (std::string line; std::getline(maps, line);) {
    const uint64_t start = std::stoull(line, nullptr, 16);
    const uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    if (start < base + ShadowWindow::kSize + ShadowWindow::kGuard && end > base - ShadowWindow::kGuard)
      ++found;
  }
  return found;
}

class ShadowWindowTest : public testing::Test {
 protected:
  ShadowContext context_{0};
  std::unique_ptr<memory::RamBlock> ram_ = memory::RamBlock::create("ram", kPages* kPageSize).value();
  std::unique_ptr<ShadowWindow> window_ = ShadowWindow::create(context_).value();
};

TEST_F(ShadowWindowTest, TheBooksCountWhatTheHostCounts) {
  std::mt19937 random(7);
  const unsigned block = context_.reverse.number(*ram_);
  for (int i = 0; i < 2000; ++i) {
    const uint32_t first = static_cast<uint32_t>(random()) % (kPages - 8);
    const uint32_t count = 1 + static_cast<uint32_t>(random()) % 8;
    switch (random() % 6) {
      case 0:
      case 1: {
        // Mostly the page of the same number, so that neighbours join.
        const uint64_t page = random() % 3 != 0 ? first : random() % (kPages - 8);
        const ShadowState state = random() % 2 != 0 ? ShadowState::Read : ShadowState::ReadWrite;
        ASSERT_TRUE(window_->map(first, count, ShadowWord::make(block, page, state, 0), Populate::No));
        break;
      }
      case 2: window_->drop(first, count); break;
      case 3: window_->lower(first, count); break;
      case 4: window_->discard(first, count); break;
      case 5: window_->note_fetch(first); break;
    }
    ASSERT_EQ(window_->mappings(), context_.budget.used());
    ASSERT_EQ(window_->mappings(), host_mappings(*window_)) << i;
  }
  window_->discard_all();
  EXPECT_EQ(window_->mappings(), 1u);
  EXPECT_TRUE(window_->empty());
  EXPECT_EQ(context_.leaves.in_use(), 0u);
}

// A program that is run again and again lies at the same place each time, its stack at another.
TEST_F(ShadowWindowTest, WhatIsNotShownAgainIsGivenBack) {
  const unsigned block = context_.reverse.number(*ram_);
  constexpr uint32_t kProgram = 0x8048, kStack = 0x90000, kRuns = 1000;
  uint64_t most = 0;
  for (uint32_t i = 0; i < kRuns; ++i) {
    for (uint32_t page = 0; page < 8; page += 2) {
      ASSERT_TRUE(window_->map(kProgram + page, 1, ShadowWord::make(block, page, ShadowState::Read, 0),
                               Populate::No));
    }
    ASSERT_TRUE(window_->map(kStack + i * 64, 1, ShadowWord::make(block, 100, ShadowState::ReadWrite, 0),
                             Populate::No));
    window_->drop(0, ShadowBook::kPages);
    most = std::max(most, window_->mappings());
  }
  EXPECT_EQ(window_->mappings(), host_mappings(*window_));
  EXPECT_LT(most, 200u);
  EXPECT_EQ(context_.counters.revivals, 4 * (kRuns - 1)) << "the program's pages have been kept";
}

// The host steps over each mapping in a range whose rights change.
TEST_F(ShadowWindowTest, ADropLeavesOutWhatShowsNothing) {
  const unsigned block = context_.reverse.number(*ram_);
  for (const uint32_t between : {4u, 60u}) {
    window_->discard_all();
    for (uint32_t i = 0; i < between; ++i) {
      ASSERT_TRUE(window_->map(2 + 2 * i, 1, ShadowWord::make(block, i, ShadowState::Read, 0), Populate::No));
    }
    window_->drop(0, 256);
    for (const uint32_t page : {0u, 200u, 201u}) {
      ASSERT_TRUE(
          window_->map(page, 1, ShadowWord::make(block, page, ShadowState::ReadWrite, 0), Populate::No));
    }
    const uint64_t before = context_.counters.drops;
    window_->drop(0, 256);
    EXPECT_EQ(context_.counters.drops - before, between == 4 ? 1u : 2u);
    EXPECT_EQ(window_->mappings(), host_mappings(*window_));
    for (const uint32_t page : {0u, 2u, 200u, 201u}) {
      EXPECT_EQ(window_->entry(VirtualAddress(page << kPageShift)).rights, ShadowRights::None);
      EXPECT_FALSE(probe_read(window_->base() + (page << kPageShift))) << page;
    }
  }
}

TEST_F(ShadowWindowTest, TheReverseMapKnowsAllWritablePlaces) {
  const unsigned block = context_.reverse.number(*ram_);
  auto other = ShadowWindow::create(context_).value();
  ASSERT_TRUE(window_->map(100, 4, ShadowWord::make(block, 0, ShadowState::ReadWrite, 0), Populate::No));
  ASSERT_TRUE(other->map(0, 1, ShadowWord::make(block, 2, ShadowState::ReadWrite, 0), Populate::No));
  ASSERT_TRUE(window_->map(0xfffff, 1, ShadowWord::make(block, 2, ShadowState::ReadWrite, 0), Populate::No));
  ASSERT_TRUE(other->map(9, 1, ShadowWord::make(block, 2, ShadowState::Read, 0), Populate::No));
  int places = 0;
  while (context_.reverse.first(block, 2) != ReverseMap::kNowhere) {
    const ReverseMap::Place place = context_.reverse.first(block, 2);
    context_.reverse.window(place).lower(ReverseMap::page_of(place), 1);
    ++places;
  }
  EXPECT_EQ(places, 3);
  EXPECT_EQ(window_->entry(VirtualAddress(102 << kPageShift)).rights, ShadowRights::Read);
  EXPECT_EQ(window_->entry(VirtualAddress(103 << kPageShift)).rights, ShadowRights::ReadWrite);
  EXPECT_NE(context_.reverse.first(block, 3), ReverseMap::kNowhere);
}

}  // namespace
}  // namespace vitrine::paging

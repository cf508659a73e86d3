#include "base/shared_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vitrine {
namespace {

TEST(SharedBytes, PartsOutliveTheWhole) {
  SharedBytes part;
  {
    const SharedBytes whole(std::vector<uint8_t>{1, 2, 3, 4, 5});
    part = whole.part(1, 3);
    EXPECT_EQ(part.data(), whole.data() + 1);  // no copy
  }
  EXPECT_EQ(std::vector(part.begin(), part.end()), (std::vector<uint8_t>{2, 3, 4}));
}

TEST(SharedBytes, EmptyAndZeros) {
  EXPECT_TRUE(SharedBytes().empty());
  EXPECT_TRUE(SharedBytes(std::vector<uint8_t>()).empty());
  const auto zeros = SharedBytes::zeros(10'000);
  ASSERT_TRUE(zeros);
  EXPECT_EQ(zeros->size(), 10'000u);
  EXPECT_TRUE(std::ranges::all_of(zeros->span(), [](uint8_t byte) { return byte == 0; }));
  const auto nothing = SharedBytes::zeros(0);
  EXPECT_TRUE(nothing && nothing->empty());
}

}  // namespace
}  // namespace vitrine

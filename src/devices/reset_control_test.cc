#include "devices/reset_control.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

TEST(ResetControl, TheRisingBitResets) {
  std::vector<ResetControl::Kind> resets;
  ResetControl control([&](ResetControl::Kind kind) { resets.push_back(kind); });
  control.write_port(0xcf9, 1, 0x02);
  EXPECT_TRUE(resets.empty());
  EXPECT_EQ(control.read_port(0xcf9, 1), 0x02u);
  control.write_port(0xcf9, 1, 0x06);
  control.write_port(0xcf9, 1, 0x06);  // no change
  control.write_port(0xcf9, 1, 0x00);
  control.write_port(0xcf9, 1, 0xfc);
  EXPECT_EQ(resets, (std::vector{ResetControl::Kind::Hard, ResetControl::Kind::Soft}));
  EXPECT_EQ(control.read_port(0xcf9, 1), 0x04u);
  control.reset();
  EXPECT_EQ(control.read_port(0xcf9, 1), 0u);
}

}  // namespace
}  // namespace vitrine::devices

#include "devices/debug_exit.h"

#include <gtest/gtest.h>

#include <vector>

namespace vitrine::devices {
namespace {

TEST(DebugExit, ReportsTheStatus) {
  std::vector<uint32_t> statuses;
  DebugExit device([&](uint32_t status) { statuses.push_back(status); });
  memory::PortMap ports;
  ports.map(0xf4, 4, device, memory::PortWidth::Dword);
  EXPECT_EQ(ports.read(0xf4, 4), 0u);
  ports.write(0xf4, 1, 0);
  ports.write(0xf4, 1, 0x10);
  ports.write(0xf4, 4, 0x1234);
  EXPECT_EQ(statuses, (std::vector<uint32_t>{1, 0x21, 0x2469}));
}

}  // namespace
}  // namespace vitrine::devices

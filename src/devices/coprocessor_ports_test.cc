#include "devices/coprocessor_ports.h"

#include <gtest/gtest.h>

#include "devices/irq_sink_for_test.h"

namespace vitrine::devices {
namespace {

TEST(CoprocessorPorts, FerrIsLatchedUntilTheGuestClearsIt) {
  IrqSinkForTest line;
  int ignored = 0;
  CoprocessorPorts ports(IrqLine(line, 13), [&] { ++ignored; });
  ports.set_ferr(true);
  EXPECT_TRUE(line.level);
  ports.write_port(0xf0, 1, 0);
  EXPECT_FALSE(line.level);
  EXPECT_EQ(ignored, 1);
  ports.set_ferr(true);  // the same exception, still there
  EXPECT_FALSE(line.level);
  ports.set_ferr(false);
  ports.set_ferr(true);
  EXPECT_TRUE(line.level);
}

TEST(CoprocessorPorts, NothingToIgnoreWithoutAnException) {
  IrqSinkForTest line;
  int ignored = 0;
  CoprocessorPorts ports(IrqLine(line, 13), [&] { ++ignored; });
  ports.write_port(0xf0, 1, 0);
  EXPECT_EQ(ignored, 0);
  ports.set_ferr(true);
  ports.set_ferr(false);
  EXPECT_TRUE(line.level);
  ports.reset();
  EXPECT_FALSE(line.level);
}

}  // namespace
}  // namespace vitrine::devices

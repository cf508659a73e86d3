// The far end of one interrupt wire, for the tests of devices: its level, and how often it has risen.
#pragma once

#include "devices/irq_line.h"

namespace vitrine::devices {

struct IrqSinkForTest : IrqSink {
  void set_irq_line(unsigned /*line*/, bool now) override {
    if (now && !level) ++rises;
    level = now;
  }

  bool level = false;
  unsigned rises = 0;
};

}  // namespace vitrine::devices

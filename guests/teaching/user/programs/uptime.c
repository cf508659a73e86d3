// uptime: how long the machine has been running.
#include "user/library/pane.h"

int main(void) {
  int ticks = uptime();
  print("%d.%02d s\n", ticks / kTicksPerSecond, ticks % kTicksPerSecond * 100 / kTicksPerSecond);
  return 0;
}

// Writes lines of 64 characters to the console, which is the serial line. `count` is the number of lines.
#include "runtime.h"

u32 work(u32 count) {
  static const char kLine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+\n";
  for (u32 i = 0; i < count; ++i) {
    if (CALL3(kWrite, 1, kLine, 64) != 64) give_up("write");
  }
  return 1;
}

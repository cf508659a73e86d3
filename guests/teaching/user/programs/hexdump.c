// hexdump [file]…
#include "user/library/pane.h"

enum { kRow = 16 };

static void dump(int file, const char* name) {
  (void)name;
  unsigned char row[kRow];
  int size;
  for (unsigned offset = 0; (size = read(file, row, kRow)) > 0; offset += (unsigned)size) {
    char text[kRow + 1];
    print("%08x ", offset);
    for (int i = 0; i < kRow; ++i) {
      if (i < size) {
        print(" %02x", row[i]);
      } else {
        print("   ");
      }
      text[i] = i < size && row[i] >= ' ' && row[i] <= '~' ? (char)row[i] : '.';
    }
    text[size] = 0;
    print("  %s\n", text);
  }
}

int main(int count, char** arguments) {
  for_each_input(count - 1, arguments + 1, dump);
  return 0;
}

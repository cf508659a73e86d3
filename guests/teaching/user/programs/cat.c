// cat [file]…: copies to the standard output.
#include "user/library/pane.h"

static void copy(int file, const char* name) {
  (void)name;
  static char buffer[1024];
  int size;
  while ((size = read(file, buffer, sizeof buffer)) > 0) {
    if (write(1, buffer, size) != size) fail("cat: cannot write\n");
  }
  if (size < 0) fail("cat: cannot read\n");
}

int main(int count, char** arguments) {
  for_each_input(count - 1, arguments + 1, copy);
  return 0;
}

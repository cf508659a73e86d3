// rm file or empty directory…
#include "user/library/pane.h"

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (unlink(arguments[i]) < 0) fail("rm: cannot remove %s\n", arguments[i]);
  }
  return 0;
}

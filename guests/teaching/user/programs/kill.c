// kill pid…
#include "user/library/pane.h"

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (kill(number_of(arguments[i])) < 0) fail("kill: no process %s\n", arguments[i]);
  }
  return 0;
}

// echo [word]…
#include "user/library/pane.h"

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) print(i > 1 ? " %s" : "%s", arguments[i]);
  print("\n");
  return 0;
}

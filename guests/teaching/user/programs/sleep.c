// sleep seconds
#include "user/library/pane.h"

int main(int count, char** arguments) {
  return sleep(count > 1 ? number_of(arguments[1]) * kTicksPerSecond : 0);
}

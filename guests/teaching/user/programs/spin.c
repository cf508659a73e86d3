// spin: does nothing, busily. For trying out &, ps, kill and control-C.
#include "user/library/pane.h"

int main(void) {
  for (;;) __asm__ volatile("");
}

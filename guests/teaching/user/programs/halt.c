// halt: switches the machine off.
#include "user/library/pane.h"

int main(void) {
  halt();
}

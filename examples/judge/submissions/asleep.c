/* expect: time limit */
#include <unistd.h>
int main(void) {
  pause();
}

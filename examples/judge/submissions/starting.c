/* expect: violation */
#include <unistd.h>
int main(void) {
  execl("/bin/sh", "sh", "-c", "echo 6", (char*)0);
}

/* count-words: counts the words of standard input. It needs nothing but to read and to write, and sees to it that it cannot do
 * anything else, whatever the input makes of it. */
#include <stdio.h>
#include <unistd.h>
#include <vitrine/sandbox.h>

int main(void) {
  if (EnterSandbox() != 0) return 1;
  char part[4096];
  unsigned long words = 0;
  int inside = 0;
  ssize_t size = 0;
  while ((size = read(0, part, sizeof part)) > 0) {
    for (ssize_t i = 0; i < size; ++i) {
      const int letter = part[i] > ' ';
      words += letter && !inside;
      inside = letter;
    }
  }
  char text[32];
  const int length = snprintf(text, sizeof text, "%lu\n", words); /* No stream: nothing is allocated. */
  if (write(1, text, (size_t)length) != length) LeaveSandbox(1);
  LeaveSandbox(size == 0 ? 0 : 1);
}

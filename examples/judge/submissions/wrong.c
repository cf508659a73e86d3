/* expect: wrong answer */
#include <stdio.h>
int main(void) {
  long sum = 0, number;
  while (scanf("%ld", &number) == 1) sum += number > 0 ? number : 0;
  printf("%ld\n", sum);
}

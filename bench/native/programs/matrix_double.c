// Matrix product in double. Built twice: for the x87 (what gcc -m32 does by itself) and for SSE2.
typedef double Number;
#include "matrix.h"

// Matrix product in float. Built twice: for the x87 (what gcc -m32 does by itself) and for SSE2.
typedef float Number;
#include "matrix.h"

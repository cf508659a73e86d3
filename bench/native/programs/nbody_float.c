// Five bodies that attract each other, in float. Built twice: for the x87 and for SSE2.
typedef float Number;
#include "nbody.h"

// Five bodies that attract each other, in double. Built twice: for the x87 and for SSE2.
typedef double Number;
#include "nbody.h"

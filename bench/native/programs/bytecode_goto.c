// The same bytecode with computed goto: every operation ends with an indirect jump of its own.
#include "bytecode.h"

#define NEXT() do { code = *at++; goto *kLabels[code.operation]; } while (0)

static NOINLINE u32 one(void) {
  static const void* const kLabels[] = {&&stop, &&load, &&add, &&subtract, &&and, &&shift, &&multiply, &&jump, &&if_zero, &&if_less,
                                        &&move, &&folding};
  u32 r[8] = {0}, sum = 0;
  const Code* at = kProgram;
  Code code;
  NEXT();
load: r[code.a] = code.b; NEXT();
add: r[code.a] = r[code.b] + r[code.c]; NEXT();
subtract: r[code.a] = r[code.b] - r[code.c]; NEXT();
and: r[code.a] = r[code.b] & r[code.c]; NEXT();
shift: r[code.a] = r[code.b] >> (r[code.c] & 31); NEXT();
multiply: r[code.a] = r[code.b] * r[code.c]; NEXT();
jump: at = kProgram + code.b; NEXT();
if_zero: if (r[code.a] == 0) at = kProgram + code.b; NEXT();
if_less: if (r[code.a] < r[code.c]) at = kProgram + code.b; NEXT();
move: r[code.a] = r[code.b]; NEXT();
folding: sum = fold(sum, r[code.b]); NEXT();
stop: return sum;
}

u32 work(u32 count) { return repeat(count, one); }

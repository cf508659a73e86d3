// A bytecode interpreter whose loop is a switch: one indirect jump that goes everywhere.
#include "bytecode.h"

static NOINLINE u32 one(void) {
  u32 r[8] = {0}, sum = 0;
  for (const Code* at = kProgram;;) {
    Code code = *at++;
    switch (code.operation) {
      case kStop: return sum;
      case kLoad: r[code.a] = code.b; break;
      case kAdd: r[code.a] = r[code.b] + r[code.c]; break;
      case kSubtract: r[code.a] = r[code.b] - r[code.c]; break;
      case kAnd: r[code.a] = r[code.b] & r[code.c]; break;
      case kShiftRight: r[code.a] = r[code.b] >> (r[code.c] & 31); break;
      case kMultiply: r[code.a] = r[code.b] * r[code.c]; break;
      case kJump: at = kProgram + code.b; break;
      case kJumpIfZero: if (r[code.a] == 0) at = kProgram + code.b; break;
      case kJumpIfLess: if (r[code.a] < r[code.c]) at = kProgram + code.b; break;
      case kMove: r[code.a] = r[code.b]; break;
      case kFold: sum = fold(sum, r[code.b]); break;
      default: give_up("no such operation");
    }
  }
}

u32 work(u32 count) { return repeat(count, one); }

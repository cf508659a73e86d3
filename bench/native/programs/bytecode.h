// The program that both bytecode interpreters run: for the numbers 1 to 3000, the length of their Collatz
// sequence. One byte of operation, three registers out of eight, or a jump target; registers[0] is zero.
#pragma once

#include "runtime.h"

enum Operation {
  kStop,
  kLoad,
  kAdd,
  kSubtract,
  kAnd,
  kShiftRight,
  kMultiply,
  kJump,
  kJumpIfZero,
  kJumpIfLess,
  kMove,
  kFold
};
typedef struct {
  u8 operation, a, b, c;
} Code;

static const Code kProgram[] = {
    {kLoad, 1, 1, 0},         // 0: one = 1
    {kLoad, 2, 3, 0},         // 1: three = 3
    {kLoad, 3, 1, 0},         // 2: n = 1
    {kLoad, 7, 125, 0},       // 3: limit = 125 * 24
    {kLoad, 6, 24, 0},        // 4
    {kMultiply, 7, 7, 6},     // 5
    {kMove, 4, 3, 0},         // 6: outer: x = n
    {kMove, 5, 0, 0},         // 7:   length = 0
    {kSubtract, 6, 4, 1},     // 8: inner: if (x - 1 == 0) goto done
    {kJumpIfZero, 6, 17, 0},  // 9
    {kAdd, 5, 5, 1},          // 10:  ++length
    {kAnd, 6, 4, 1},          // 11:  if (x & 1) == 0 goto even
    {kJumpIfZero, 6, 15, 0},  // 12
    {kMultiply, 4, 4, 2},     // 13:  x = 3 x + 1, goto inner
    {kJump, 0, 20, 0},        // 14
    {kShiftRight, 4, 4, 1},   // 15: even: x /= 2, goto inner
    {kJump, 0, 8, 0},         // 16
    {kFold, 0, 5, 0},         // 17: done: fold the length
    {kAdd, 3, 3, 1},          // 18:  ++n
    {kJumpIfLess, 3, 6, 7},   // 19:  if (n < limit) goto outer
    {kJumpIfLess, 3, 22, 7},  // 20: (also the way from 14)
    {kStop, 0, 0, 0},         // 21
    {kAdd, 4, 4, 1},          // 22:  x += 1
    {kJump, 0, 8, 0},         // 23
};

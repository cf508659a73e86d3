// A recursive-descent parser of arithmetic expressions and a backtracking pattern matcher (. * ? and classes)
// over the same text: branches that depend on data, short functions.
#include "runtime.h"

enum { kText = 24 << 10 };
static char text[kText + 1];

static void make_text(void) {
  static const char* const kPieces[] = {"12",          "+",  "(3*4)", "-",     "987", "*",
                                        "(1+(2-3)*5)", "/7", "x1",    "count", "%11", "+0"};
  u32 state = 77, at = 0;
  int operand = 1;
  while (at < kText - 40) {
    u32 random = next_random(&state) >> 8;
    const char* piece;
    if (operand)
      piece = kPieces[(u32[]){0, 2, 4, 6, 8, 9}[random % 6]];
    else
      piece = random % 9 == 0 ? ";\n" : kPieces[(u32[]){1, 3, 5, 1, 3}[random % 5]];
    operand = !operand;
    while (*piece) text[at++] = *piece++;
  }
  if (operand) text[at++] = '1';
  text[at++] = ';';
  text[at] = 0;
}

static const char* cursor;
static u32 parse_sum(void);

static NOINLINE u32 parse_value(void) {
  u32 value = 0;
  if (*cursor == '(') {
    ++cursor;
    value = parse_sum();
    if (*cursor != ')') give_up("no closing parenthesis");
    ++cursor;
  } else if (*cursor >= '0' && *cursor <= '9') {
    while (*cursor >= '0' && *cursor <= '9') value = value * 10 + (u32)(*cursor++ - '0');
  } else {
    while ((*cursor >= 'a' && *cursor <= 'z') || (*cursor >= '0' && *cursor <= '9'))
      value = value * 31 + (u8)*cursor++;
  }
  return value;
}

static NOINLINE u32 parse_product(void) {
  u32 value = parse_value();
  while (*cursor == '*' || *cursor == '/' || *cursor == '%') {
    char operation = *cursor++;
    u32 right = parse_value();
    if (operation == '*')
      value *= right;
    else if (right)
      value = operation == '/' ? value / right : value % right;
  }
  return value;
}

static u32 parse_sum(void) {
  u32 value = parse_product();
  while (*cursor == '+' || *cursor == '-')
    value = *cursor++ == '+' ? value + parse_product() : value - parse_product();
  return value;
}

static int matches_one(char pattern, char c) {
  if (pattern == 'D') return c >= '0' && c <= '9';
  if (pattern == 'L') return c >= 'a' && c <= 'z';
  return c && (pattern == '.' ? c != '\n' : pattern == c);
}

static NOINLINE const char* match(const char* pattern, const char* at) {
  if (!*pattern) return at;
  if (pattern[1] == '*') {
    const char* end = at;
    while (matches_one(*pattern, *end)) ++end;
    for (;; --end) {
      const char* found = match(pattern + 2, end);
      if (found || end == at) return found;
    }
  }
  if (pattern[1] == '?' && matches_one(*pattern, *at)) {
    const char* found = match(pattern + 2, at + 1);
    if (found) return found;
  }
  if (pattern[1] == '?') return match(pattern + 2, at);
  return matches_one(*pattern, *at) ? match(pattern + 1, at + 1) : 0;
}

static u32 one(void) {
  static const char* const kPatterns[] = {"LL*D?+", "(D*.D*)", "DDD.x1", "coun?t*-"};
  u32 sum = 0;
  for (cursor = text; *cursor;) {
    sum = fold(sum, parse_sum());
    if (*cursor != ';') give_up("no semicolon");
    ++cursor;
    if (*cursor == '\n') ++cursor;
  }
  for (u32 i = 0; i < sizeof kPatterns / sizeof *kPatterns; ++i) {
    for (const char* at = text; *at; ++at) {
      const char* end = match(kPatterns[i], at);
      if (end) sum = fold(sum, (u32)(end - text));
    }
  }
  return sum;
}

u32 work(u32 count) {
  make_text();
  return repeat(count, one);
}

// grep pattern [file]…: the lines that match. In a pattern `.` is any character, `c*` any number of c,
// `^` and `$` the ends of the line.
#include "user/library/pane.h"

static const char* pattern;
static bool found;

static bool match_here(const char* want, const char* text) {
  if (*want == 0) return true;
  if (want[0] == '$' && want[1] == 0) return *text == 0;
  if (want[1] == '*') {
    for (const char* rest = text;; ++rest) {
      if (match_here(want + 2, rest)) return true;
      if (*rest == 0 || (*want != '.' && *rest != *want)) return false;
    }
  }
  return *text && (*want == '.' || *want == *text) && match_here(want + 1, text + 1);
}

static bool match(const char* text) {
  if (pattern[0] == '^') return match_here(pattern + 1, text);
  do {
    if (match_here(pattern, text)) return true;
  } while (*text++);
  return false;
}

static void search(int file, const char* name) {
  (void)name;
  static char line[1024];
  int length;
  while ((length = read_line(file, line, sizeof line)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (!match(line)) continue;
    found = true;
    print("%s\n", line);
  }
}

int main(int count, char** arguments) {
  if (count < 2) fail("usage: grep pattern [file]...\n");
  pattern = arguments[1];
  for_each_input(count - 2, arguments + 2, search);
  return found ? 0 : 1;
}

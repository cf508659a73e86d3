// wc [file]…: counts lines, words and characters.
#include "user/library/pane.h"

static void count_file(int file, const char* name) {
  static char buffer[1024];
  int lines = 0, words = 0, characters = 0, size;
  bool in_word = false;
  while ((size = read(file, buffer, sizeof buffer)) > 0) {
    characters += size;
    for (int i = 0; i < size; ++i) {
      bool blank = strchr(" \t\r\n", buffer[i]) != NULL;
      lines += buffer[i] == '\n';
      words += !blank && !in_word;
      in_word = !blank;
    }
  }
  print("%d %d %d%s%s\n", lines, words, characters, *name ? " " : "", name);
}

int main(int count, char** arguments) {
  for_each_input(count - 1, arguments + 1, count_file);
  return 0;
}

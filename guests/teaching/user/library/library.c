#include <stdarg.h>

#include "common/format.h"
#include "user/library/pane.h"

enum { kOutput = 1, kErrors = 2 };

// Collects what is printed, to write it in few pieces.
struct Buffer {
  int file;
  int used;
  char data[128];
};

static void flush(struct Buffer* buffer) {
  write(buffer->file, buffer->data, buffer->used);
  buffer->used = 0;
}

static void put(char character, void* context) {
  struct Buffer* buffer = context;
  buffer->data[buffer->used++] = character;
  if (buffer->used == sizeof buffer->data) flush(buffer);
}

static void print_list(int file, const char* text, va_list arguments) {
  struct Buffer buffer = {.file = file, .used = 0};
  format(put, &buffer, text, arguments);
  flush(&buffer);
}

void print(const char* text, ...) {
  va_list arguments;
  va_start(arguments, text);
  print_list(kOutput, text, arguments);
  va_end(arguments);
}

void print_to(int file, const char* text, ...) {
  va_list arguments;
  va_start(arguments, text);
  print_list(file, text, arguments);
  va_end(arguments);
}

void fail(const char* text, ...) {
  va_list arguments;
  va_start(arguments, text);
  print_list(kErrors, text, arguments);
  va_end(arguments);
  exit(1);
}

int number_of(const char* text) {
  int value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
  return value;
}

int read_line(int file, char* line, int size) {
  int length = 0;
  while (length < size - 1) {
    if (read(file, line + length, 1) != 1) break;
    if (line[length++] == '\n') break;
  }
  line[length] = 0;
  return length;
}

void for_each_input(int count, char** names, void (*each)(int file, const char* name)) {
  if (count == 0) each(0, "");
  for (int i = 0; i < count; ++i) {
    int file = open(names[i], kOpenRead);
    if (file < 0) fail("cannot open %s\n", names[i]);
    each(file, names[i]);
    close(file);
  }
}

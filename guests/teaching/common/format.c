#include "common/format.h"

#include <stdbool.h>

#include "common/strings.h"

struct Field {
  int width;
  bool left;
  char fill;
};

static const char* number_text(char buffer[12], unsigned value, unsigned base, bool negative) {
  char* cursor = buffer + 11;
  *cursor = 0;
  do {
    *--cursor = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  if (negative) *--cursor = '-';
  return cursor;
}

static void put_field(PutCharacter* put, void* context, const char* text, struct Field field) {
  int padding = field.width - (int)strlen(text);
  for (; !field.left && padding > 0; --padding) put(field.fill, context);
  while (*text) put(*text++, context);
  for (; padding > 0; --padding) put(' ', context);
}

void format(PutCharacter* put, void* context, const char* text, va_list arguments) {
  for (; *text; ++text) {
    if (*text != '%') {
      put(*text, context);
      continue;
    }
    struct Field field = {.width = 0, .left = false, .fill = ' '};
    ++text;
    if (*text == '-') field.left = true, ++text;
    if (*text == '0') field.fill = '0', ++text;
    while (*text >= '0' && *text <= '9') field.width = field.width * 10 + (*text++ - '0');

    char buffer[12];
    const char* piece = buffer;
    int value;
    switch (*text) {
      case 'd':
        value = va_arg(arguments, int);
        piece = number_text(buffer, value < 0 ? -(unsigned)value : (unsigned)value, 10, value < 0);
        break;
      case 'u': piece = number_text(buffer, va_arg(arguments, unsigned), 10, false); break;
      case 'x':
      case 'p': piece = number_text(buffer, va_arg(arguments, unsigned), 16, false); break;
      case 's': piece = va_arg(arguments, const char*); break;
      case 'c':
        buffer[0] = (char)va_arg(arguments, int);
        buffer[1] = 0;
        break;
      case 0: return;
      default: buffer[0] = *text; buffer[1] = 0;
    }
    put_field(put, context, piece, field);
  }
}

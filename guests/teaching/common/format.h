// The heart of every print function: expands a format and gives each character to `put`.
// Understands %d %u %x %c %s %p %%, a width (`%5d`, `%-8s`) and leading zeros (`%08x`).
#pragma once

#include <stdarg.h>

typedef void PutCharacter(char character, void* context);

void format(PutCharacter* put, void* context, const char* text, va_list arguments);

// The kernel's own messages, and its last one.
#pragma once

enum PrintMode { kPrintNotes, kPrintQuiet };

void print_init(enum PrintMode mode);
void print(const char* text, ...) __attribute__((format(printf, 1, 2)));
void note(const char* text, ...) __attribute__((format(printf, 1, 2)));  // unless `quiet`
_Noreturn void panic(const char* text, ...) __attribute__((format(printf, 1, 2)));

// The few functions on bytes and strings that kernel and programs need (the compiler calls the first
// four on its own, too).
#pragma once

#include <stddef.h>

void* memset(void* to, int byte, size_t size);
void* memcpy(void* restrict to, const void* restrict from, size_t size);
void* memmove(void* to, const void* from, size_t size);
int memcmp(const void* left, const void* right, size_t size);
size_t strlen(const char* text);
int strcmp(const char* left, const char* right);
int strncmp(const char* left, const char* right, size_t size);
const char* strchr(const char* text, char wanted);

// Copies as much of `from` as fits and always ends with a zero.
void copy_string(char* to, const char* from, size_t size);

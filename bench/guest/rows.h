// The benchmark's rows: each does a fixed amount of work, and returns a checksum of what it computed, which
// must be the same on every machine.
#pragma once

#include <stdint.h>

struct Row {
  const char* name;
  uint32_t (*work)(uint32_t times);
  uint32_t times;
};

// Integer rows (integer_rows.c).
uint32_t integer_loop(uint32_t times);
uint32_t sort_with_callback(uint32_t times);
uint32_t recursion(uint32_t times);
uint32_t sieve(uint32_t times);
uint32_t crc32_of_buffer(uint32_t times);
uint32_t sha256_of_buffer(uint32_t times);
uint32_t pointer_chase(uint32_t times);
uint32_t bytecode_interpreter(uint32_t times);
uint32_t division(uint32_t times);
uint32_t wide_arithmetic(uint32_t times);

// Memory by string instructions and by loops (memory_rows.c).
uint32_t copy_with_rep(uint32_t times);
uint32_t short_copies(uint32_t times);
uint32_t string_loops(uint32_t times);
uint32_t page_stride(uint32_t times);

// Floating point (float_rows.c, sse_rows.c) and processor (system_rows.c).
uint32_t n_body_x87(uint32_t times);
uint32_t matrix_sse(uint32_t times);
uint32_t port_reads(uint32_t times);
uint32_t tlb_flushes(uint32_t times);
uint32_t rewritten_code(uint32_t times);

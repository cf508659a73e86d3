// Runs each row once and says on the first serial port when it begins and when it ends:
//
//     begin NAME ITERATIONS
//     end NAME CHECKSUM TICKS
//
// The host measures the time between the two lines; TICKS is what the guest's own time-stamp counter has to
// say, which is another thing in every emulator. Finally "done".
#include "rows.h"

static const struct Row rows[] = {
    {"integer-loop", integer_loop, 20000000},
    {"sort-callback", sort_with_callback, 6},
    {"recursion", recursion, 30},
    {"sieve", sieve, 12},
    {"crc32", crc32_of_buffer, 160},
    {"sha256", sha256_of_buffer, 24},
    {"pointer-chase", pointer_chase, 15000000},
    {"bytecode", bytecode_interpreter, 1500000},
    {"division", division, 1200000},
    {"wide-arithmetic", wide_arithmetic, 2500000},
    {"copy-rep", copy_with_rep, 6000},
    {"copy-short", short_copies, 3000000},
    {"string-loops", string_loops, 5000},
    {"page-stride", page_stride, 400},
    {"n-body-x87", n_body_x87, 80000},
    {"matrix-sse", matrix_sse, 10},
    {"port-read", port_reads, 1000000},
    {"tlb-flush", tlb_flushes, 100000},
    {"rewritten-code", rewritten_code, 40000},
};

enum { kPort = 0x3f8, kLineStatus = kPort + 5, kHoldingEmpty = 0x20, kAllSent = 0x40 };

static inline void out(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void put(char c) {
  while ((in(kLineStatus)&kHoldingEmpty) == 0) {
  }
  out(kPort, (uint8_t)c);
}

static void put_text(const char* text) {
  while (*text != '\0') put(*text++);
}

static void put_hex(uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

static void put_decimal(uint32_t value) {
  if (value >= 10) put_decimal(value / 10);
  put((char)('0' + value % 10));
}

// Ends the line, and waits until the wire is silent.
static void put_end(void) {
  put('\n');
  while ((in(kLineStatus)&kAllSent) == 0) {
  }
}

static void open_port(void) {
  out(kPort + 1, 0);     // no interrupts
  out(kPort + 3, 0x80);  // divisor: 115200 bits in a second
  out(kPort, 1);
  out(kPort + 1, 0);
  out(kPort + 3, 3);  // 8 data bits
  out(kPort + 2, 0);  // no FIFO
}

static inline uint64_t time_stamp(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static void run(const struct Row* row) {
  put_text("begin ");
  put_text(row->name);
  put(' ');
  put_decimal(row->times);
  put_end();
  const uint64_t start = time_stamp();
  const uint32_t checksum = row->work(row->times);
  const uint64_t ticks = time_stamp() - start;
  put_text("end ");
  put_text(row->name);
  put(' ');
  put_hex(checksum);
  put(' ');
  put_hex((uint32_t)(ticks >> 32));
  put_hex((uint32_t)ticks);
  put_end();
}

void guest_main(void);
void guest_main(void) {
  open_port();
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) run(&rows[i]);
  put_text("done");
  put_end();
}

// Measures each row and says on the debug port: `row`, its name, and picoseconds the ordinary way and by the
// call. The median of many short measurements by the guest's own clock, which other work on the host makes
// longer and a timer that is due makes shorter (it stands still until that is served: docs/time.md); no timer
// runs.
#include "calls.h"

enum { kDebugPort = 0xe9, kMeasurements = 41 };

static union {
  volatile struct VitrineSharedPage page;
  char bytes[4096];
} shared __attribute__((aligned(4096)));
volatile struct VitrineSharedPage* const shared_page = &shared.page;

static void put_text(const char* words) {
  while (*words != '\0') out8(kDebugPort, (uint8_t)*words++);
}

static void put_number(uint32_t value) {
  if (value >= 10) put_number(value / 10);
  out8(kDebugPort, (uint8_t)('0' + value % 10));
}

static void end(uint8_t status) {
  out8(0xf4, status);
  for (;;) __asm__ volatile("cli; hlt");
}

void fail(const char* why) {
  put_text("failed ");
  put_text(why);
  put_text("\n");
  end(1);
}

static uint32_t median(uint32_t* values, int count) {
  for (int i = 1; i < count; ++i) {
    const uint32_t value = values[i];
    int at = i;
    for (; at > 0 && values[at - 1] > value; --at) values[at] = values[at - 1];
    values[at] = value;
  }
  return values[count / 2];
}

static uint32_t picoseconds(Operation* operation, uint32_t times) {
  uint32_t taken[kMeasurements];
  operation(times);  // translated, links made
  for (int n = 0; n < kMeasurements; ++n) {
    const uint64_t start = time_stamp();
    operation(times);
    taken[n] = (uint32_t)(time_stamp() - start);
  }
  const uint32_t nanoseconds = median(taken, kMeasurements);
  const uint32_t whole = nanoseconds / times, rest = nanoseconds % times;
  return whole * 1000 + rest * 1000 / times;
}

void guest_main(void);
void guest_main(void) {
  uint32_t a, b, c, d;
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(VITRINE_CPUID_SIGNATURE));
  if (b != VITRINE_SIGNATURE_EBX || c != VITRINE_SIGNATURE_ECX || a < VITRINE_CPUID_CALLS)
    fail("no monitor to ask");
  if (call(VITRINE_CALL_SHARE, (uint32_t)shared_page, 0, 0) != 0) fail("share");
  prepare_rows();
  for (unsigned n = 0; n < row_count; ++n) {
    const uint32_t ordinary = picoseconds(rows[n].ordinary, rows[n].times);
    const uint32_t called = picoseconds(rows[n].call, rows[n].times);
    put_text("row\t");
    put_text(rows[n].name);
    put_text("\t");
    put_number(ordinary);
    put_text("\t");
    put_number(called);
    put_text("\n");
  }
  end(0);
}

// Each pair does the same; the loops around are the same.
#include "calls.h"

enum {
  kPage = 4096,
  kFirst = 0x2000000,  // the pages whose entries change: linear, 32 MiB on
  kMost = 64,
  kPresent = 1,
  kWritable = 2,
  kLarge = 0x80,
  kNotCached = 0x18,
  kSerial = 0x3f8,
  kCanSend = 0x20,
  kText = 64,
  kInterrupt = 0x50
};

static uint32_t* table;  // of all 64 MiB, one after the other
static uint32_t other_directory[1024] __attribute__((aligned(kPage)));
static struct VitrinePageUpdate updates[kMost];
static volatile uint32_t sink;
static uint16_t pm_timer;
static char text[kText];

static volatile uint32_t* const apic = (volatile uint32_t*)0xfee00000;
enum { kEndOfInterrupt = 0xb0 / 4, kSpurious = 0xf0 / 4, kCommand = 0x300 / 4, kToSelf = 0x40000 };

// ---- Page tables: each time the other frame.

static uint32_t entry_for(uint32_t page, uint32_t turn) {
  return (kFirst + (page ^ (turn & 1)) * kPage) | kPresent | kWritable;
}

static uint32_t* entry_of(uint32_t page) {
  return &table[kFirst / kPage + page];
}

static void use(uint32_t count) {
  for (uint32_t page = 0; page < count; ++page) sink = *(volatile uint32_t*)(kFirst + page * kPage);
}

static void store_and_invalidate(uint32_t count, uint32_t turn) {
  for (uint32_t page = 0; page < count; ++page) {
    *(volatile uint32_t*)entry_of(page) = entry_for(page, turn);
    __asm__ volatile("invlpg (%0)" : : "r"(kFirst + page * kPage) : "memory");
  }
}

static void store_and_flush(uint32_t count, uint32_t turn) {
  for (uint32_t page = 0; page < count; ++page) *(volatile uint32_t*)entry_of(page) = entry_for(page, turn);
  write_cr3(read_cr3());
}

static void update(uint32_t count, uint32_t turn, uint32_t each, uint32_t afterwards) {
  for (uint32_t page = 0; page < count; ++page)
    updates[page] = (struct VitrinePageUpdate){(uint32_t)entry_of(page), (kFirst + page * kPage) | each,
                                               entry_for(page, turn)};
  if (call(VITRINE_CALL_PAGE_TABLES, (uint32_t)updates, count, afterwards) != 0) fail("page tables");
}

#define PAGE_ROWS(count)                                                                     \
  static void store_##count(uint32_t times) {                                                \
    while (times-- > 0) store_and_invalidate(count, times);                                  \
  }                                                                                          \
  static void update_##count(uint32_t times) {                                               \
    while (times-- > 0) update(count, times, VITRINE_UPDATE_FORGET, VITRINE_FORGET_NOTHING); \
  }                                                                                          \
  static void store_flush_##count(uint32_t times) {                                          \
    while (times-- > 0) store_and_flush(count, times);                                       \
  }                                                                                          \
  static void update_flush_##count(uint32_t times) {                                         \
    while (times-- > 0) update(count, times, 0, VITRINE_FORGET_NON_GLOBAL);                  \
  }
PAGE_ROWS(1)
PAGE_ROWS(8)
PAGE_ROWS(64)

static void store_use(uint32_t times) {
  while (times-- > 0) {
    store_and_invalidate(kMost, times);
    use(kMost);
  }
}
static void update_use(uint32_t times) {
  while (times-- > 0) {
    update(kMost, times, VITRINE_UPDATE_FORGET, VITRINE_FORGET_NOTHING);
    use(kMost);
  }
}

// ---- Switch of page table.

static void load_cr3(uint32_t times) {
  const uint32_t one = read_cr3(), other = (uint32_t)other_directory;
  while (times-- > 0) {
    write_cr3(other);
    write_cr3(one);
  }
}
static void switch_page_table(uint32_t times) {
  const uint32_t one = read_cr3(), other = (uint32_t)other_directory;
  while (times-- > 0) {
    call(VITRINE_CALL_SWITCH, other, 0, 0);
    call(VITRINE_CALL_SWITCH, one, 0, 0);
  }
}

// ---- Interrupts. Nothing waits.

static void cli_sti(uint32_t times) {
  while (times-- > 0) __asm__ volatile("cli; sti" : : : "memory");
  __asm__ volatile("cli");
}
static void shared_flag(uint32_t times) {
  while (times-- > 0) {
    shared_page->enabled = 0;
    __asm__ volatile("" : : : "memory");
    shared_page->enabled = 1;
    if (shared_page->pending) call(VITRINE_CALL_INTERRUPTS, 0, 0, 0);
  }
}

// One that waits already, so that the halt ends at once: what it costs is the halt and the interrupt.
static void ask_for_interrupt(void) {
  apic[kCommand] = kToSelf | kInterrupt;
}
static void hlt(uint32_t times) {
  while (times-- > 0) {
    ask_for_interrupt();
    __asm__ volatile("sti; hlt; cli" : : : "memory");
  }
}
static void halt_call(uint32_t times) {
  while (times-- > 0) {
    ask_for_interrupt();
    call(VITRINE_CALL_HALT, 0, 0, 0);
    __asm__ volatile("cli" : : : "memory");
  }
}

// ---- Clocks.

static void read_time_stamp(uint32_t times) {
  while (times-- > 0) sink = (uint32_t)time_stamp();
}
static void read_pit(uint32_t times) {
  while (times-- > 0) {
    out8(0x43, 0x80);  // latch channel 2
    sink = in8(0x42);
    sink = in8(0x42);
  }
}
static void read_pm_timer(uint32_t times) {
  while (times-- > 0) sink = in32(pm_timer);
}
static void clock_call(uint32_t times) {
  while (times-- > 0) {
    int answer;
    uint32_t low, high;
    __asm__ volatile("vmcall" : "=a"(answer), "=c"(low), "=d"(high) : "a"(VITRINE_CALL_CLOCK));
    sink = low;
  }
}
static void shared_time(uint32_t times) {
  while (times-- > 0) {
    uint32_t version;
    do {
      version = shared_page->version;
      sink = (uint32_t)shared_page->time;
    } while (version != shared_page->version);
  }
}

// ---- Console.

static void serial(uint32_t times) {
  while (times-- > 0) {
    for (int n = 0; n < kText; ++n) {
      while (!(in8(kSerial + 5) & kCanSend)) {
      }
      out8(kSerial, (uint8_t)text[n]);
    }
  }
}
static void console_call(uint32_t times) {
  while (times-- > 0)
    if (call(VITRINE_CALL_CONSOLE, (uint32_t)text, kText, 0) != 0) fail("console");
}

// ---- What a call costs at all.

static void port(uint32_t times) {
  while (times-- > 0) out8(0x80, 0);
}
static void nothing(uint32_t times) {
  while (times-- > 0) call(VITRINE_CALL_NOTHING, 0, 0, 0);
}

const struct Row rows[] = {
    {"OUT to a port | no operation", port, nothing, 4000},
    {"1 entry, INVLPG", store_1, update_1, 1000},
    {"8 entries, INVLPG", store_8, update_8, 300},
    {"64 entries, INVLPG", store_64, update_64, 50},
    {"1 entry, CR3", store_flush_1, update_flush_1, 1000},
    {"8 entries, CR3", store_flush_8, update_flush_8, 300},
    {"64 entries, CR3", store_flush_64, update_flush_64, 100},
    {"64 entries, INVLPG, used", store_use, update_use, 10},
    {"switch of page table, twice", load_cr3, switch_page_table, 1000},
    {"CLI, STI | shared flag", cli_sti, shared_flag, 4000},
    {"halt, interrupt", hlt, halt_call, 500},
    {"clock: RDTSC | call", read_time_stamp, clock_call, 2000},
    {"clock: 8254 | call", read_pit, clock_call, 1000},
    {"clock: PM timer | call", read_pm_timer, clock_call, 1000},
    {"clock: RDTSC | shared page", read_time_stamp, shared_time, 2000},
    {"64 bytes, serial port | console", serial, console_call, 50},
};
const unsigned row_count = sizeof rows / sizeof *rows;

// ---- Before all.

static uint64_t idt[256];

static void set_up_interrupt(void) {
  extern char interrupt_entry[];
  const uint32_t handler = (uint32_t)interrupt_entry;
  uint16_t code;
  __asm__ volatile("mov %%cs, %0" : "=r"(code));
  idt[kInterrupt] =
      (uint64_t)((handler & 0xffff0000) | 0x8e00) << 32 | (uint32_t)code << 16 | (handler & 0xffff);
  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) register_value = {sizeof idt - 1, (uint32_t)idt};
  __asm__ volatile("lidt %0" : : "m"(register_value));
  apic[kSpurious] = 0x1ff;
  out8(0x43, 0x30);  // the 8254's channel 0: waits for a count
  out8(0x61, 1);     // channel 2 counts
  out8(0x43, 0xb4);
  out8(0x42, 0);
  out8(0x42, 0);
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
}
__asm__(".globl interrupt_entry\ninterrupt_entry: movl $0, 0xfee000b0\n iret");

void prepare_rows(void) {
  uint32_t* const directory = (uint32_t*)read_cr3();
  table = (uint32_t*)(directory[0] & ~(kPage - 1));
  __asm__ volatile("mov %%cr4, %%eax\n or $0x10, %%eax\n mov %%eax, %%cr4" : : : "eax");  // large pages
  directory[0xfee00000u >> 22] = 0xfec00000u | kLarge | kNotCached | kPresent | kWritable;
  for (int n = 0; n < 1024; ++n) other_directory[n] = directory[n];
  write_cr3(read_cr3());
  set_up_interrupt();
  out32(0xcf8, 0x80000b40);  // the PIIX4's power management, where firmware has put it
  pm_timer = (uint16_t)((in32(0xcfc) & 0xffc0) + 8);
  for (int n = 0; n < kText; ++n) text[n] = n == kText - 1 ? '\n' : (char)('A' + n % 26);
  out8(kSerial + 2, 1);  // FIFO
}

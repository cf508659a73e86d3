// Finds the processors in the MP tables (MultiProcessor Specification 1.4, chapter 4) and starts them
// (same, appendix B.4: INIT, then STARTUP). With one processor, the kernel stays with the 8259s.
#include "cpu/processors.h"

#include "boot/boot_info.h"
#include "common/strings.h"
#include "cpu/interrupts.h"
#include "cpu/kernel_lock.h"
#include "cpu/local_apic.h"
#include "cpu/x86.h"
#include "devices/print.h"
#include "devices/timer.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"
#include "process/scheduler.h"

enum {
  kStartPage = 0x8000,  // START_PAGE in entry.S
  kEntryProcessor = 0,
  kProcessorEntrySize = 20,
  kOtherEntrySize = 8,
  kProcessorEnabled = 1,
  kBiosDataEbda = 0x40e,
  kImcrPresent = 0x80
};

struct MpPointer {
  char signature[4];
  uint32_t table;
  uint8_t length, revision, checksum, features[5];
};

struct MpTable {
  char signature[4];
  uint16_t length;
  uint8_t revision, checksum;
  char product[20];
  uint32_t oem_table;
  uint16_t oem_size, entry_count;
  uint32_t local_apic;
  uint16_t extended_length;
  uint8_t extended_checksum, reserved;
};

struct Cpu cpus[kMaxCpus];
int cpu_count = 1;
bool apic_in_use;
char* other_processor_stack;  // for entry.S

extern char other_processor_entry[], other_processor_entry_end[];
void other_processor_main(void);

static void cpu_init(struct Cpu* cpu) {
  cpu->self = cpu;
  cpu->index = cpu - cpus;
  cpu->process = &cpu->idle;
  cpu->idle.state = kIdle;
  cpu->idle.directory = kernel_directory;
  segments_load(cpu);
}

void processors_init_first(void) { cpu_init(&cpus[0]); }

static bool sums_to_zero(const void* bytes, uint32_t size) {
  uint8_t sum = 0;
  for (const uint8_t* cursor = bytes; size > 0; --size) sum += *cursor++;
  return sum == 0;
}

static const struct MpPointer* search(uint32_t start, uint32_t size) {
  for (uint32_t address = start; address < start + size; address += 16) {
    const struct MpPointer* pointer = kernel_pointer(address);
    if (memcmp(pointer->signature, "_MP_", 4) == 0 && sums_to_zero(pointer, sizeof *pointer)) return pointer;
  }
  return NULL;
}

static const struct MpPointer* find_pointer(void) {
  uint32_t ebda = *(const uint16_t*)kernel_pointer(kBiosDataEbda) << 4;
  const struct MpPointer* pointer = ebda >= 0x80000 && ebda < 0xa0000 ? search(ebda, 1024) : NULL;
  if (!pointer) pointer = search(639 * 1024, 1024);
  if (!pointer) pointer = search(0xf0000, 0x10000);
  return pointer;
}

static void read_table(const struct MpTable* table) {
  const uint8_t* entry = (const uint8_t*)(table + 1);
  const uint8_t* end = (const uint8_t*)table + table->length;
  uint8_t first_id = local_apic_id();
  cpus[0].apic_id = first_id;
  while (entry < end) {
    if (entry[0] != kEntryProcessor) {
      entry += kOtherEntrySize;
      continue;
    }
    bool enabled = entry[3] & kProcessorEnabled;
    if (enabled && entry[1] != first_id && cpu_count < kMaxCpus) cpus[cpu_count++].apic_id = entry[1];
    entry += kProcessorEntrySize;
  }
}

void processors_find(void) {
  const struct MpPointer* pointer = find_pointer();
  if (!pointer || pointer->table == 0 || pointer->table >= kMappedMemory) return;
  const struct MpTable* table = kernel_pointer(pointer->table);
  if (memcmp(table->signature, "PCMP", 4) != 0 || !sums_to_zero(table, table->length)) return;
  read_table(table);
  apic_in_use = cpu_count > 1 || boot_option("apic", NULL, 0);
  if (apic_in_use && (pointer->features[1] & kImcrPresent)) {
    out8(0x22, 0x70);  // take the 8259s off the processor's pin: same, 3.6.2.1
    out8(0x23, 1);
  }
}

// First C code of every other processor.
void other_processor_main(void) {
  struct Cpu* cpu = &cpus[1];
  while (cpu->apic_id != local_apic_id()) ++cpu;
  cpu_init(cpu);
  write_cr3(physical_of(kernel_directory));
  interrupts_load();
  local_apic_init();
  local_apic_start_timer();
  cpu->started = true;
  kernel_lock();  // the first processor lets go of it when the kernel is ready
  idle_loop();
}

static bool wait_until_started(struct Cpu* cpu, int milliseconds) {
  for (; milliseconds > 0 && !cpu->started; --milliseconds) timer_busy_wait(1);
  return cpu->started;
}

void processors_start_others(void) {
  uint32_t size = other_processor_entry_end - other_processor_entry;
  memcpy(kernel_pointer(kStartPage), other_processor_entry, size);
  int started = 1;
  for (int i = 1; i < cpu_count; ++i) {
    other_processor_stack = (char*)page_allocate() + kPageSize;
    local_apic_send_init(cpus[i].apic_id);
    timer_busy_wait(10);
    local_apic_send_startup(cpus[i].apic_id, kStartPage);
    if (!wait_until_started(&cpus[i], 10)) local_apic_send_startup(cpus[i].apic_id, kStartPage);
    if (!wait_until_started(&cpus[i], 500)) panic("processor %d does not start", i);
    ++started;
  }
  note("processors: %d\n", started);
}

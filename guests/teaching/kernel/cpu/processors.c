// Finds the processors in the MADT (ACPI Specification 6.3, 5.2.12), or without ACPI in the MP table, and starts
// them with INIT and STARTUP (SDM Vol. 3A, "MP Initialization Protocol Algorithm"). With one processor, or
// without such a table, the kernel stays with the 8259s and the 8254.
#include "cpu/processors.h"

#include "boot/acpi.h"
#include "boot/boot_info.h"
#include "boot/mp_table.h"
#include "common/strings.h"
#include "cpu/interrupts.h"
#include "cpu/kernel_lock.h"
#include "cpu/local_apic.h"
#include "cpu/paravirtual.h"
#include "cpu/x86.h"
#include "devices/print.h"
#include "devices/timer.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"
#include "process/scheduler.h"

enum {
  kStartPage = 0x8000,  // START_PAGE in entry.S
  kMadtHeaderSize = 44,
  kMadtProcessor = 0,
  kMadtEnabled = 1
};

struct MadtEntry {
  uint8_t type, length;
  uint8_t acpi_id, apic_id;
  uint32_t flags;
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

void processors_init_first(void) {
  cpu_init(&cpus[0]);
  cpus[0].started = true;
}

static void add_processor(uint8_t apic_id) {
  if (apic_id != cpus[0].apic_id && cpu_count < kMaxCpus) cpus[cpu_count++].apic_id = apic_id;
}

static void read_madt(const struct AcpiTable* table) {
  const struct MadtEntry* entry = (const void*)((const char*)table + kMadtHeaderSize);
  const char* end = (const char*)table + table->length;
  while ((const char*)entry < end && entry->length > 0) {
    bool enabled = entry->type == kMadtProcessor && (entry->flags & kMadtEnabled);
    if (enabled) add_processor(entry->apic_id);
    entry = (const void*)((const char*)entry + entry->length);
  }
}

static void read_mp_table(const struct MpTable* table) {
  const struct MpProcessor* processor;
  for (int i = 0; (processor = mp_table_processor(table, i)) != NULL; ++i)
    if (processor->flags & kMpProcessorEnabled) add_processor(processor->apic_id);
}

void processors_find(void) {
  const struct AcpiTable* madt = acpi_find("APIC");
  const struct MpTable* mp_table = madt ? NULL : mp_table_find();
  if (!madt && !mp_table) return;
  cpus[0].apic_id = local_apic_id();
  if (madt) {
    read_madt(madt);
  } else {
    read_mp_table(mp_table);
  }
  apic_in_use = cpu_count > 1 || boot_option("apic", NULL, 0);
}

// First C code of every other processor.
void other_processor_main(void) {
  struct Cpu* cpu = &cpus[1];
  while (cpu->apic_id != local_apic_id()) ++cpu;
  cpu_init(cpu);
  write_cr3(physical_of(kernel_directory));
  interrupts_load();
  paravirtual_init_cpu(cpu);
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

// The order in which the kernel comes to life. Read this file first.
#include <stddef.h>

#include "boot/boot_info.h"
#include "cpu/interrupts.h"
#include "cpu/kernel_lock.h"
#include "cpu/paravirtual.h"
#include "cpu/processors.h"
#include "devices/console.h"
#include "devices/ide_disk.h"
#include "devices/keyboard8042.h"
#include "devices/print.h"
#include "devices/timer.h"
#include "devices/uart16550.h"
#include "memory/address_space.h"
#include "memory/page_allocator.h"
#include "process/process.h"
#include "process/scheduler.h"

void kernel_main(uint32_t magic, uint32_t boot_information);

void kernel_main(uint32_t magic, uint32_t boot_information) {
  processors_init_first();
  kernel_lock();
  paravirtual_init();
  console_init();
  boot_info_read(magic, boot_information);
  print_init(boot_option("quiet", NULL, 0) ? kPrintQuiet : kPrintNotes);
  note("pane: a small Unix, to be read\n");

  page_allocator_init();
  address_space_init();
  interrupts_init();
  paravirtual_init_cpu(&cpus[0]);
  processors_find();
  interrupts_init_controllers();
  timer_init();
  keyboard_init();
  uart_enable_input();
  ide_disk_init();
  processors_start_others();

  process_create_first();
  idle_loop();
}

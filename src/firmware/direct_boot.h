// Carries out a BootPlan without any firmware (-bios none): what the BIOS and the option ROM would have left
// in memory and registers is made here. The kernel finds no ACPI or MP tables and no BIOS services.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "firmware/boot_plan.h"
#include "firmware/multiboot.h"

namespace vitrine::firmware {

/// 32-bit protected mode, paging off, interrupts off, flat segments (code selector 10h, data 18h), A20 open.
struct DirectEntry {
  std::vector<Chunk> chunks;  ///< The plan's, and those made here.
  uint32_t eip = 0;
  uint32_t eax = 0, ebx = 0, esi = 0;
  uint32_t gdt =
      0;  ///< Physical address of a descriptor table in `chunks`, gdt_size bytes, which the selectors index.
  uint16_t gdt_size = 0;
};

/// `ranges`: the machine's memory. Error: a Linux kernel whose payload was not unpacked has no 32-bit entry.
[[nodiscard]] Result<DirectEntry> make_direct_entry(BootPlan plan, std::span<const MemoryRange> ranges);

}  // namespace vitrine::firmware

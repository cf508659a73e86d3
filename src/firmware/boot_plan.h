// What has to lie where, and how the first instruction is reached, for a kernel given with -kernel.
//
// The same plan is carried out in one of two ways: by a small option ROM of ours (boot_rom.h) after the BIOS
// has run, so that the kernel finds memory map, ACPI tables and BIOS services; or, with -bios none, directly
// before the first instruction (direct_boot.h). See docs/booting.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/addresses.h"
#include "base/shared_bytes.h"

namespace vitrine::firmware {

/// Bytes for guest memory.
struct Chunk {
  PhysicalAddress address;
  SharedBytes data;
};

enum class BootProtocol : uint8_t {
  LinuxRealMode,  ///< The kernel's own 16-bit set-up code is entered at `entry_segment`+20h:0.
  Multiboot,      ///< 32-bit entry, EAX = 2BADB002h, EBX = the information structure.
};

struct BootPlan {
  BootProtocol protocol = BootProtocol::LinuxRealMode;
  std::vector<Chunk> chunks;

  // The stack of the option ROM, and of Linux's set-up code, which lies in the same segment.
  uint16_t setup_segment = 0;
  uint16_t stack_pointer = 0;  ///< Offset in setup_segment.

  // LinuxRealMode
  /// 32-bit entry of the unpacked kernel, for -bios none. 0 when the payload was not unpacked.
  uint32_t linux_entry32 = 0;
  uint32_t boot_params = 0;  ///< Where -bios none puts the zero page; free memory.

  // Multiboot
  uint32_t entry = 0;
  uint32_t information = 0;  ///< Physical address of the multiboot information structure, in `chunks`.
  uint32_t memory_map = 0;   ///< Physical address where the memory map goes; room for memory_map_limit bytes.
  uint32_t memory_map_limit = 0;
};

}  // namespace vitrine::firmware

// Multiboot 1 kernels with modules. Documentation: "Multiboot Specification version 0.6.96".
// Implemented: ELF and address-field ("a.out kludge") images, command line, modules, memory sizes and map,
// boot device absent, boot loader name. The video mode request (flag 2) is not honoured, as the specification
// lets a loader do.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "firmware/boot_plan.h"

namespace vitrine::firmware {

struct MultibootModule {
  SharedBytes data;
  std::string command_line;
};

struct MultibootBoot {
  SharedBytes kernel;
  std::string_view command_line;  ///< The kernel's name first, as boot loaders give it.
  std::vector<MultibootModule> modules;
  uint64_t low_memory = 0;  ///< RAM below 4 GiB, in bytes.
};

/// Whether a multiboot 1 header stands in the first 8 KiB.
[[nodiscard]] bool is_multiboot_image(std::span<const uint8_t> file);

/// Errors: no header, a required feature that is unknown, damaged image, too little memory.
[[nodiscard]] Result<BootPlan> plan_multiboot(const MultibootBoot& boot);

/// One entry of the BIOS's or multiboot's memory map.
struct MemoryRange {
  uint64_t start = 0;
  uint64_t size = 0;
  uint32_t type = 1;  ///< 1 usable, 2 reserved, 3 ACPI tables, 4 ACPI NVS.
};

/// The memory map in multiboot's format, for -bios none.
[[nodiscard]] std::vector<uint8_t> multiboot_memory_map(std::span<const MemoryRange> ranges);

}  // namespace vitrine::firmware

// ELF files of 32-bit kernels: the program headers, nothing else. Documentation: System V ABI, "Program
// Loading".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "firmware/boot_plan.h"

namespace vitrine::firmware {

struct ElfImage {
  std::vector<Chunk> segments;  ///< PT_LOAD contents at their physical addresses, and zeros up to p_memsz.
  uint32_t entry = 0;           ///< e_entry as it stands, a virtual address.
  uint32_t physical_entry = 0;  ///< e_entry moved by the segment's p_paddr − p_vaddr.
  uint64_t end = 0;             ///< First physical address behind the last segment.
};

/// Adds `data`, and zeros behind it up to `size` bytes. Error: the host has no room.
[[nodiscard]] Result<void> add_padded(std::vector<Chunk>& chunks, PhysicalAddress address,
                                      const SharedBytes& data, uint64_t size);

[[nodiscard]] bool is_elf(std::span<const uint8_t> file);

/// Errors: not ELF, not 32-bit x86 (says what it is), truncated, segments that overlap or lie beyond 4 GiB.
[[nodiscard]] Result<ElfImage> read_elf(const SharedBytes& file);

}  // namespace vitrine::firmware

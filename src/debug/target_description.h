// The XML documents that gdb reads to learn what it is debugging: which registers there are (target.xml), and
// where memory is (the memory map).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vitrine::debug {

/// Debugging with GDB, "Target Descriptions". Control registers have their bits named.
enum class AvxRegisters : uint8_t { Absent, Present };
[[nodiscard]] std::string target_description(AvxRegisters avx);

/// Debugging with GDB, "Memory Map Format". gdb takes what no region covers for inaccessible, and its
/// addresses are virtual ones: only one region of all 4 GiB is true whatever the guest maps.
[[nodiscard]] std::string_view memory_map();

}  // namespace vitrine::debug

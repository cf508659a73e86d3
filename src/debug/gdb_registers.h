// The registers of a processor in gdb's numbers and bytes (little-endian, as the processor stores them).
// Numbers 0–40 are gdb's own for the i386 (features org.gnu.gdb.i386.core and .sse), those behind are named
// by the target description only. Control registers, EFER and segment bases are shown, not changed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/addresses.h"
#include "cpu/cpu_state.h"
#include "debug/gdb_packet.h"

namespace vitrine::debug {

enum class RegisterKind : uint8_t {
  General,  ///< `index`: x86::Gpr
  Eip,
  Eflags,
  Segment,  ///< `index`: x86::Segment
  St,       ///< `index`: relative to the top of the x87 stack
  FpuControl,
  FpuStatus,
  FpuTag,
  FpuInstructionSegment,
  FpuInstructionPointer,
  FpuDataSegment,
  FpuDataPointer,
  FpuOpcode,
  Xmm,
  Mxcsr,
  SegmentBase,  ///< `index`: x86::Segment
  Cr0,
  Cr2,
  Cr3,
  Cr4,
  Efer,
  YmmHigh,  ///< The upper half of a YMM register.
};

enum class RegisterFeature : uint8_t { Core, Sse, System, Avx };

struct RegisterRow {
  std::string_view name;
  RegisterKind kind;
  uint8_t index;
  uint8_t size;           ///< In bytes.
  std::string_view type;  ///< In the target description.
  RegisterFeature feature;
};

inline constexpr unsigned kRegisterCount = 56;
/// The upper halves of the YMM registers come last, so that a processor without them has so many.
inline constexpr unsigned kRegistersWithoutAvx = 48;
inline constexpr unsigned kEspNumber = 4;
inline constexpr unsigned kEbpNumber = 5;
inline constexpr unsigned kEipNumber = 8;

/// In the order of gdb's numbers.
[[nodiscard]] const std::array<RegisterRow, kRegisterCount>& register_rows();

/// `number` < kRegisterCount.
[[nodiscard]] std::vector<uint8_t> read_register(const cpu::CpuState& state, unsigned number);

/// Eight bytes of guest memory at a virtual address, little-endian; nullopt: not there.
using QuadwordReader = std::function<std::optional<uint64_t>(VirtualAddress)>;

/// `number` < kRegisterCount. Bits that do not exist keep their fixed value, and EFLAGS.VM stays as it is. A
/// segment register whose selector changes is loaded as the guest could load it without leaving its privilege
/// level; `memory` is for its descriptor. An Error leaves the state as it was.
[[nodiscard]] std::expected<void, GdbError> write_register(cpu::CpuState& state, unsigned number,
                                                           std::span<const uint8_t> bytes,
                                                           const QuadwordReader& memory);

}  // namespace vitrine::debug

// Model-specific registers by their architectural numbers. SDM Vol. 4, "IA-32 Architectural MSRs".
#pragma once

#include <cstdint>

namespace vitrine::x86 {

enum class Msr : uint32_t {
  P5MachineCheckAddress = 0x0,
  P5MachineCheckType = 0x1,
  TimeStampCounter = 0x10,
  PlatformId = 0x17,
  ApicBase = 0x1b,
  FeatureControl = 0x3a,
  MicrocodeUpdate = 0x79,
  MicrocodeRevision = 0x8b,
  MtrrCapabilities = 0xfe,
  SysenterCs = 0x174,
  SysenterEsp = 0x175,
  SysenterEip = 0x176,
  MachineCheckCapabilities = 0x179,
  MachineCheckStatus = 0x17a,
  PerformanceStatus = 0x198,
  MiscEnable = 0x1a0,
  DebugControl = 0x1d9,
  MtrrPhysicalBase0 = 0x200,
  MtrrPhysicalMask7 = 0x20f,
  MtrrFixed64k = 0x250,
  MtrrFixed16k0 = 0x258,
  MtrrFixed16k1 = 0x259,
  MtrrFixed4k0 = 0x268,
  MtrrFixed4k7 = 0x26f,
  PageAttributeTable = 0x277,
  MtrrDefaultType = 0x2ff,
  TscDeadline = 0x6e0,
  Efer = 0xc0000080,
  TscAux = 0xc0000103,
};

// IA32_APIC_BASE.
inline constexpr uint64_t kApicBaseBootstrap = 1u << 8;
inline constexpr uint64_t kApicBaseEnable = 1u << 11;
inline constexpr uint64_t kApicBaseDefault = 0xfee00000;

// IA32_MTRRCAP: how many variable ranges, fixed ranges, write combining.
inline constexpr unsigned kMtrrVariableCount = 8;
inline constexpr uint64_t kMtrrCapabilities = kMtrrVariableCount | 1u << 8 | 1u << 10;

// IA32_MISC_ENABLE.
inline constexpr uint64_t kMiscEnableFastStrings = 1u << 0;
inline constexpr uint64_t kMiscEnableLimitCpuid = 1u << 22;

/// Memory types of MTRRs and the PAT. SDM Vol. 3A, table "Encoding of Memory Types".
[[nodiscard]] constexpr bool is_mtrr_type(uint8_t type) {
  return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}
/// The PAT also knows UC-.
[[nodiscard]] constexpr bool is_pat_type(uint8_t type) {
  return is_mtrr_type(type) || type == 7;
}

}  // namespace vitrine::x86

// The architectural state of one virtual processor, and nothing else: what a debugger shows, a snapshot
// saves, and lockstep runs compare. At an instruction boundary it is complete and canonical; while the
// interpreter runs, the arithmetic flags and the x87 unit may live elsewhere (see Vcpu::synchronise()).
#pragma once

#include <array>
#include <cstdint>

#include "base/state_archive.h"
#include "x86/registers.h"

namespace vitrine::cpu {

/// A segment register with the hidden part that the processor caches from the descriptor.
struct SegmentRegister {
  uint16_t selector = 0;
  /// Bits 8–23 of the descriptor's second doubleword, in place: type (8–11), S (12), DPL (13–14), P (15),
  /// AVL (20), D/B (22), G (23). Zero with a null selector: every access faults.
  uint32_t attributes = 0;
  uint32_t base = 0;
  uint32_t limit = 0;  ///< In bytes, inclusive, granularity applied.

  bool operator==(const SegmentRegister&) const = default;
};

struct DescriptorTableRegister {
  uint32_t base = 0;
  uint16_t limit = 0;

  bool operator==(const DescriptorTableRegister&) const = default;
};

/// What the processor is doing. SDM Vol. 3C calls it the activity state.
enum class Activity : uint8_t { Running, Halted, Shutdown, WaitForStartup };
/// As a person reads it: "running", "shut down".
[[nodiscard]] std::string_view activity_name(Activity activity);

/// x87, MMX and SSE state.
struct alignas(16) FloatingPointState {
  std::array<std::array<uint8_t, 16>, 8>
      registers{};  ///< R0–R7 physical (not ST-relative); 10 bytes used of each.
  uint16_t control = 0x37f;
  uint16_t status = 0;    ///< With TOP in bits 11–13.
  uint16_t tag = 0xffff;  ///< Full two-bit tags of R0–R7, as FNSTENV stores them.
  uint16_t opcode = 0;    ///< Last opcode, 11 bits.
  uint32_t instruction_pointer = 0;
  uint16_t instruction_segment = 0;
  uint32_t data_pointer = 0;
  uint16_t data_segment = 0;
  uint32_t mxcsr = 0x1f80;
  alignas(16) std::array<std::array<uint8_t, 16>, 8> xmm{};
  alignas(
      16) std::array<std::array<uint8_t, 16>, 8> ymm_high{};  ///< Upper halves; used where CPUID shows AVX.

  bool operator==(const FloatingPointState&) const = default;
};

inline constexpr uint8_t kMostNmisPending = 2;
inline constexpr uint32_t kNoSharedPage = 0xffffffff;

struct CpuState {
  /// EAX…EDI by x86::Gpr. The ninth is always zero: an effective address without base or index reads it.
  std::array<uint32_t, x86::kGprCount + 1> gpr{};
  uint32_t eip = 0;
  uint32_t eflags = 2;

  std::array<SegmentRegister, x86::kSegmentCount> segments{};  ///< by x86::Segment
  SegmentRegister ldtr, tr;
  DescriptorTableRegister gdtr, idtr;
  uint8_t cpl = 0;  ///< Current privilege level. In virtual-8086 mode 3, in real mode 0.

  uint32_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;
  std::array<uint64_t, 4> pdptes{};  ///< PAE: the four entries that a CR3 load read.
  std::array<uint32_t, 4> dr{};
  uint32_t dr6 = 0xffff0ff0, dr7 = 0x400;

  uint64_t efer = 0;
  uint64_t apic_base = 0;
  uint64_t tsc_offset = 0;  ///< Added to the bus's time-stamp ticks.
  uint32_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  uint64_t pat = 0x0007040600070406;
  uint64_t xcr0 = 1;
  uint64_t mtrr_def_type = 0;
  std::array<uint64_t, 11> mtrr_fixed{};
  std::array<uint64_t, 16> mtrr_variable{};  ///< base and mask, alternately
  uint64_t misc_enable = 1;
  uint64_t microcode_version = 0;
  uint32_t tsc_aux = 0;

  Activity activity = Activity::Running;
  bool interrupt_shadow = false;  ///< The instruction just executed was STI or a load of SS.
  bool nmi_blocked = false;       ///< Between an NMI and the next IRET.
  uint8_t nmis_pending = 0;       ///< Not delivered yet: at most two, and one while NMIs are blocked.

  uint32_t shared_page =
      kNoSharedPage;  ///< Physical address of the page that the guest shares (docs/hypercalls.md).
  bool interrupt_held =
      false;  ///< The shared flag was off when an interrupt was to be taken: it waits for a call.

  FloatingPointState fpu;

  void serialize(StateArchive& archive);
};

}  // namespace vitrine::cpu

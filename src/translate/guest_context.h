// What translated code and its glue know of the world, at [r14].
//
//   eax…edi (but esp)  the guest's own          r12  landing pad (landing_pad.h)
//   r15d               guest ESP                r13  jump cache or table of targets
//   rsp                return stack (ours)      r14  this structure
//   r8–r10             scratch                  r11, GS base  the active window
//
// r15 as a whole is where ESP points to in the window: its base, aligned to 4 GiB, is the upper half. (It may
// be a little outside, where the guest's stack meets either end of its addresses.)
//
// The guest's arithmetic flags and DF are the host's own while translated code runs. See docs/translation.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "translate/emitter.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::translate {

/// Why translated code came back.
enum class Leave : uint32_t {
  Aborted,   ///< A kick came before the first instruction.
  Link,      ///< A direct branch to `eip` whose site, at `site`, is not linked yet.
  Indirect,  ///< An indirect branch to `eip` that the jump cache does not know.
  Decline,   ///< The instruction at `eip` is the interpreter's; `site` is its DeclineIndex, or kNoDecline.
  Fpu,       ///< The instruction at `eip` needs the floating-point state in the host's registers.
  Kicked,    ///< Interrupted at a boundary; the next instruction is at `eip`.
  Fault,     ///< The guest's own page fault at `eip`: see Engine.
  Stale,     ///< The instruction at `eip` reaches into a page that the window does not show, or not known as
             ///< such.
  Spent,     ///< Counting: no instruction is left; the next is at `eip`.
  Repeat,    ///< Counting: the repeated string instruction at `eip` asks how often it may.
  Count
};

/// An entry of the jump cache: where the code for an address is, as long as the code map of the active window
/// says so. Both keys are negated, so that an addition compares them without touching the flags.
struct JumpEntry {
  uint32_t negated_eip = 0;
  uint32_t negated_page = 0;
  uint64_t code = 0;
};
inline constexpr unsigned kJumpEntries = 1u << 16;

/// Flags of the guest that are the host's own while translated code runs.
inline constexpr uint32_t kHostFlags = x86::kArithmeticFlags | x86::kDf;

/// Flags that POPF changes rarely enough for the interpreter.
inline constexpr uint32_t kUncommonFlags = x86::kTf | x86::kIopl | x86::kNt | x86::kAc | x86::kId;

/// A segment that is not flat: FS or GS. Translated code finds its base through a pointer that is null where
/// the access would not be within the limit; reading through it faults, and the interpreter finds out why.
struct ExtraSegment {
  static constexpr unsigned kClasses = 11;

  uint32_t base = 0;
  uint32_t limit = 0;
  bool usable = false;
  uint64_t unlimited = 0;  ///< For any offset.
  /// By n: for offsets below 4 << n.
  std::array<uint64_t, kClasses> within{};
};

/// A load of a segment register whose outcome is known, as long as the descriptor is what it was.
struct KnownLoad {
  static constexpr uint32_t kNever = 1;  ///< As negated_selector: no selector matches.

  uint32_t negated_selector = kNever;
  uint32_t descriptor = 0;  ///< Linear address; 0: there is none, the selector is null.
  std::array<uint32_t, 2> negated_descriptor{};
};
/// Of each of these: a kernel's door changes between the program's and its own. SS is not loaded here, but
/// asked for (VERW).
inline constexpr unsigned kKnownLoads = 2;
inline constexpr std::array kKnownSegments = {x86::kEs, x86::kDs, x86::kFs, x86::kGs, x86::kSs};
inline constexpr unsigned kKnownFs = 2, kKnownSs = 4;  ///< Indices of it.

/// So many instructions can look before they access memory (access_check.cc), the first number left out.
inline constexpr unsigned kAccessChecks = 4096;

/// CR0 to CR3; there is no CR1.
inline constexpr unsigned kControlRegisters = 4;

struct GuestContext {
  std::array<uint32_t, 8> gpr{};
  uint64_t rflags = 0x202;  ///< Arithmetic flags and DF.
  uint64_t return_stack = 0;
  uint64_t return_stack_top = 0;  ///< What it is when it is empty.
  uint64_t monitor_stack = 0;
  uint64_t entry = 0;
  uint64_t code_map = 0;  ///< Of the active window.
  uint64_t landing_pad = 0;
  uint64_t jump_cache = 0;
  uint64_t window = 0;  ///< Base of the active window, = GS base.

  // Filled in on the way out.
  uint32_t eip = 0;
  uint32_t site = 0;
  uint32_t reason = 0;

  uint32_t interrupt_flag = 0;    ///< IF, in its place (0 or 200h).
  uint32_t system_flags = 2;      ///< EFLAGS without IF, DF and the arithmetic flags.
  uint32_t negated_uncommon = 0;  ///< Minus system_flags' bits under kUncommonFlags, moved together (PEXT).
  uint32_t interrupt_waits = 0;   ///< Not 0: setting IF would make an interrupt be taken.
  std::array<ExtraSegment, 2> extra_segments{};  ///< FS and GS.
  std::array<uint32_t, x86::kSegmentCount> selectors{};
  std::array<uint32_t, kControlRegisters> controls{};  ///< CR0 and so on; for reading.
  // See known_segments.h; by kKnownSegments.
  std::array<std::array<KnownLoad, kKnownLoads>, kKnownSegments.size()> known_loads{};
  std::array<std::array<ExtraSegment, kKnownLoads>, 2> known_views{};  ///< FS and GS, after these.
  /// Not 0: one more than the number of the load that translated code did last.
  std::array<uint32_t, kKnownSegments.size()> loaded{};

  uint32_t kicked = 0;  ///< Not 0: enter() comes back at once.

  // Where instructions are counted (InstructionCounting). See engine_count.cc.
  uint32_t instructions_left = 0;      ///< How many more may begin.
  uint32_t repeat_blocked = 1;         ///< Not 0: a repeated string instruction has to ask.
  uint32_t repeat_running = 0;         ///< Not 0: it has begun and not ended.
  uint32_t repeat_left = 0;            ///< ECX after the last one.
  uint32_t interrupt_flag_before = 0;  ///< The last STI.
  uint32_t shadow_cast = 0;            ///< Not 0: STI was the last instruction.
  uint32_t shadowed = 0;     ///< EIP of the last instruction that began where STI may be before it…
  uint32_t shadowed_by = 0;  ///< …and the value of shadow_cast then.

  uint32_t x87_absent = 1;  ///< 0: x87 and MMX instructions may run.
  uint32_t sse_absent = 1;
  uint32_t avx_absent = 1;
  uint32_t fpu_loaded = 0;  ///< The guest's floating-point state is in the host's registers.
  uint32_t ymm_loaded = 0;  ///< So are the upper halves of the YMM registers.
  uint32_t ymm_in_use = 0;  ///< Not all of `ymm_high` is zero.
  uint32_t host_mxcsr = 0x1f80;
  alignas(64) std::array<uint8_t, 512> fpu_image{};
  alignas(64) std::array<std::array<uint8_t, 16>, 8> ymm_high{};  ///< Meaningful while in use.

  // For instructions that look before they access memory: access_check.cc.
  uint64_t rights = 0;  ///< RightsMap of the active window.
  /// How often one may still look before it leaves to be judged anew, by SlowSite::check.
  std::array<uint32_t, kAccessChecks> checks_left{};
};

[[nodiscard]] inline HostMemory context_field(size_t offset) {
  return HostMemory{.base = kR14, .displacement = static_cast<int32_t>(offset)};
}
#define VITRINE_CONTEXT(field) \
  ::vitrine::translate::context_field(offsetof(::vitrine::translate::GuestContext, field))

/// Guest register n lives in this host register.
[[nodiscard]] constexpr HostRegister host_of(unsigned guest) {
  return guest == x86::kEsp ? kR15 : static_cast<HostRegister>(guest);
}
inline constexpr HostRegister kGuestStack = kR15;
inline constexpr HostRegister kWindow = kR11;

}  // namespace vitrine::translate

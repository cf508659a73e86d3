// What the processor does beyond single instructions: deliver events, load segments, transfer control far,
// walk page tables. Called by the dispatcher and by integer instructions; implemented beside the system
// instructions.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/addresses.h"
#include "cpu/core.h"
#include "cpu/mode.h"

namespace vitrine::cpu {

enum class Access : uint8_t { Read, Write, Execute };
enum class Privilege : uint8_t { Supervisor, User };

/// SDM Vol. 3A, "Exception and Interrupt Handling in Protected Mode": the kinds differ in privilege checks,
/// in the EXT bit of error codes and in RF.
enum class EventKind : uint8_t {
  Fault,  ///< An exception; EIP is at the instruction that caused it. RF is set in the image, but for #DB
          ///< instruction breakpoints, whose handler sets it, and double faults.
  Trap,   ///< A #DB trap; EIP is behind the instruction.
  ExternalInterrupt,
  Nmi,
  SoftwareInterrupt,            ///< INT n; EIP is behind the instruction.
  SoftwareException,            ///< INT3, INTO.
  PrivilegedSoftwareException,  ///< INT1 (ICEBP).
};

struct Event {
  EventKind kind = EventKind::Fault;
  x86::Vector vector = x86::Vector::GeneralProtection;  ///< Any of 0–255.
  uint32_t error_code = 0;  ///< Where x86::pushes_error_code(vector) and kind == Fault.
  uint32_t address = 0;     ///< Page faults: goes to CR2.
  uint32_t dr6 = 0;         ///< #DB: bits to set in DR6.
};

// Between instructions, as for an ending function: state.eip and state.eflags are canonical before and after.

/// Delivers a fault, trap, NMI or external interrupt, with return address state.eip. Faults on the way become
/// what "Double-Fault Exception" says, in the end Activity::Shutdown. Sets CR2 and DR6, clears DR7.GD for
/// #DB; sets nmi_blocked; ends HLT.
void deliver(Core& core, const Event& event);
/// INT n and its relatives, from within their ending functions. False: core.fault is set, nothing has
/// changed.
[[nodiscard]] bool software_interrupt(Core& core, uint8_t vector, EventKind kind);

/// MOV and POP to a segment register, in any mode. Not CS.
[[nodiscard]] bool load_segment(Core& core, x86::Segment segment, uint16_t selector);
[[nodiscard]] bool far_jump(Core& core, LogicalAddress target);
/// `operand_size` 2 or 4: what is pushed.
[[nodiscard]] bool far_call(Core& core, LogicalAddress target, unsigned operand_size);
[[nodiscard]] bool far_return(Core& core, unsigned operand_size, uint16_t release);
[[nodiscard]] bool interrupt_return(Core& core, unsigned operand_size);

/// Whether IN, OUT, INS, OUTS may access `size` ports from `port` (IOPL, I/O permission bit map of the TSS,
/// virtual-8086 mode). False: core.fault.
[[nodiscard]] bool io_permitted(Core& core, uint16_t port, unsigned size);
/// Whether the privilege level alone gives all ports, without the map of the task.
[[nodiscard]] bool io_permitted_by_level(const Core& core);

/// Result of a walk of the guest's page tables.
struct Translation {
  PhysicalAddress physical;  ///< Of the byte itself, not of its page.
  bool readable = false;     ///< At the privilege that asked…
  bool writable = false;     ///< …and dirty already, so that later writes need no walk.
  bool executable = false;
  bool global = false;  ///< Only with CR4.PGE.
};

/// Walks (no TLB), sets accessed and dirty bits. False: core.fault is the page fault. Without paging
/// everything is allowed.
[[nodiscard]] bool translate(Core& core, VirtualAddress address, Access access, Privilege privilege,
                             Translation& result);
/// The same without side effects, privilege ignored; nothing if not mapped.
[[nodiscard]] std::optional<PhysicalAddress> debug_translate(const Core& core, VirtualAddress address);

/// Power-on or RESET#, and INIT. SDM Vol. 3A, "Processor State After Reset", "… After INIT".
enum class ResetKind : uint8_t { PowerOn, Init };
void reset_state(Core& core, ResetKind kind);

}  // namespace vitrine::cpu

// The inside of a virtual processor: architectural state, translation look-aside buffer, and what the
// instruction handlers share. Only cpu/ sees it; everybody else uses Vcpu.
//
// Two kinds of instruction function, both `bool f(Core&, const Instruction&)`, false = core.fault is set
// and nothing architectural has changed (but what the manual says changes before a fault, such as the
// registers of an interrupted REP):
//   - an *inline* one runs in the middle of a block: state.eip is the start of the block (instruction_eip(i)
//   knows), the
//     arithmetic flags live in `flags` (arithmetic_flags.h);
//   - an *ending* one runs with state.eip at the next instruction and canonical state.eflags; the block ends
//   after it,
//     so it may change anything: mode, segments, page tables, control flow.
// dispatch.h turns either into a Handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "base/addresses.h"
#include "cpu/arithmetic_flags.h"
#include "cpu/cpu_model.h"
#include "cpu/cpu_state.h"
#include "cpu/debug_requests.h"
#include "cpu/event_counters.h"
#include "cpu/fault.h"
#include "cpu/instruction.h"
#include "cpu/processor_bus.h"
#include "cpu/tlb.h"
#include "inspect/activity.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::cpu {

/// What a Vcpu is built from. Everything must outlive it.
struct CoreEnvironment {
  memory::PhysicalMap& memory;
  memory::PortMap& ports;
  ProcessorBus& bus;
  const CpuModel& model;
  unsigned index = 0;  ///< Number of the vCPU; 0 is the bootstrap processor.
  /// Several vCPUs take turns on one thread: PAUSE, the sign of a spinning one, ends its turn.
  bool takes_turns = false;
};

/// Reasons to come back to the dispatcher at the next end of a block. Bits of Core::attention.
enum Attention : uint32_t {
  kAttentionKick = 1,
  kAttentionInterrupt = 2,  ///< INTR is active and may be taken.
  kAttentionNmi = 4,
  kAttentionInit = 8,
  kAttentionStartup = 16,
  kAttentionStep = 32,   ///< Instructions must be executed one by one: TF, a shadow, breakpoints.
  kAttentionTrap = 64,   ///< A debug trap is pending.
  kAttentionStop = 128,  ///< Something else needs the dispatcher: a debugger's watchpoint.
};

/// A segment as the fast path sees it. Offsets low…high, inclusive, may be accessed.
struct SegmentView {
  uint32_t base = 0;
  uint32_t low = 1, high = 0;
  bool readable = false;
  bool writable = false;
};

/// A write that has been checked but not done: the second half of a read-modify-write on the slow path.
struct PendingWrite {
  uint8_t* host = nullptr;  ///< Memory whose watchers have been told; null: `first` and `second`.
  PhysicalAddress first, second;
  unsigned first_size = 0;  ///< Bytes in `first`'s page; the rest go to `second`.
};

struct Block;
class CodeCache;
class NativeEngine;
class Observer;

/// The host's x87 and vector unit in the guest's service (host_unit.h).
struct HostUnit;
struct HostUnitDeleter {
  void operator()(HostUnit* unit) const;
};

struct Core {
  explicit Core(const CoreEnvironment& environment);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- Hot: what nearly every handler touches. ---
  CpuState state;
  ArithmeticFlags flags = 0x200;  ///< While inline functions run. Else state.eflags counts.
  std::atomic<uint32_t> attention{0};
  int64_t remaining = 0;  ///< Instructions of the budget left after the running block.
  Block* block = nullptr;
  const Instruction* current = nullptr;  ///< The instruction that runs, where it can reach a slow path.
  TlbEntry* tlb = nullptr;               ///< The table for accesses at the current privilege.
  uint32_t stack_mask = 0xffffffff;      ///< By SS.B.
  uint32_t cs_limit = 0xffffffff;
  std::array<uint8_t, x86::kSegmentCount> flat{};  ///< Base 0, limit 4 GiB, readable and writable.
  std::array<SegmentView, x86::kSegmentCount> views{};
  uint64_t code_context = 0;  ///< Equal only while an EIP means the same code.

  Fault fault;                                     ///< Set by whoever returns false.
  alignas(64) std::array<uint8_t, 64> transfer{};  ///< Data of a slow access.
  PendingWrite pending_write;

  CoreEnvironment env;
  std::unique_ptr<Tlb> tlbs;
  std::unique_ptr<CodeCache> code;
  std::unique_ptr<HostUnit, HostUnitDeleter> host_unit;  ///< Made by fpu_enter().

  // --- Events and debugging. ---
  bool faulted = false;          ///< The last instruction ended in `fault`.
  bool alignment_check = false;  ///< CR0.AM, EFLAGS.AC, CPL 3.
  bool repeating = false;        ///< The last instruction was a REP with iterations left: EIP is at it still.
  bool watch_data = false;       ///< Data breakpoints or watchpoints: all accesses take the slow path.
  bool force_step = false;       ///< DR7 or a debugger wants to look before each instruction.
  bool interrupt_request = false;  ///< INTR.
  uint8_t startup_vector = 0;
  uint32_t pending_dr6 = 0;  ///< Debug traps to report after the current instruction: bits of DR6.
  uint32_t restart_eip =
      0;  ///< Where a failed ending function's fault returns to: its own EIP, unless it says otherwise.
  Operation last_operation = Operation::Invalid;  ///< Of the last ending function.
  DebugRequests debug;
  bool fpu_held = false;  ///< state.fpu is out of date: the native engine has it (NativeEngine::return_fpu).
  NativeEngine* native = nullptr;  ///< Runs what it can; null: everything is interpreted.
  Observer* observer = nullptr;    ///< Hears of events; null: nobody.
  std::optional<VirtualAddress> watchpoint_hit;
  std::optional<VirtualAddress> reported_breakpoint;

  EventCounters counters;
  inspect::ActivityCell activity;

  // --- Blocks of code. ---
  uint64_t mode_changes = 0;        ///< Calls of update_mode() so far.
  uint32_t block_mode = 0;          ///< BlockMode bits of the current mode.
  uint32_t mapping_generation = 1;  ///< Counts changes of what a linear address of code means.
  Block** link_slot = nullptr;      ///< Where the dispatcher may put the block that it finds for state.eip.
  Instruction* displaced =
      nullptr;  ///< The instruction behind the current one, while leave_after_current() is in effect.
  Handler displaced_handler = nullptr;

  uint64_t executed_base = 0;  ///< Instructions executed before the present budget.
  uint64_t budget = 0;

  /// Records a fault; always returns false, so that `return core.raise(…)` reads well.
  bool raise(x86::Vector vector, uint32_t error_code = 0) {
    fault = Fault{vector, error_code, 0};
    return false;
  }
  bool raise_page_fault(uint32_t address, uint32_t error_code) {
    fault = Fault{x86::Vector::PageFault, error_code, address};
    return false;
  }

  // Modes. What is derived from them is kept up to date by update_mode() (mode.h).
  [[nodiscard]] bool real_mode() const { return (state.cr0 & 1) == 0; }
  [[nodiscard]] bool v86_mode() const { return (state.eflags >> 17 & 1) != 0; }
  [[nodiscard]] bool protected_mode() const { return !real_mode() && !v86_mode(); }
  /// INTR, and nothing that is known now stands against it (but for an interrupt shadow).
  [[nodiscard]] bool interrupt_due() const {
    return interrupt_request && (state.eflags & x86::kIf) != 0 && !state.interrupt_held;
  }
  [[nodiscard]] unsigned iopl() const { return state.eflags >> 12 & 3; }

  /// An inline function's own EIP, and that of the instruction behind it.
  [[nodiscard]] uint32_t instruction_eip(const Instruction& i) const { return state.eip + i.eip_offset; }
  [[nodiscard]] uint32_t next_eip(const Instruction& i) const { return state.eip + i.eip_offset + i.length; }

  // The arithmetic flags' two homes.
  void flags_to_state() { state.eflags = (state.eflags & ~x86::kArithmeticFlags) | unpack_flags(flags); }
  void flags_from_state() { flags = pack_flags(state.eflags); }

  /// Sets a reason and makes the dispatcher run after the current instruction. For slow paths.
  void leave_after_current(Attention reason);
  /// Undoes what leave_after_current() did to the block, if it is still in effect. For the dispatcher.
  void restore_displaced();
  /// Instructions executed so far, those of the running block included.
  [[nodiscard]] uint64_t executed() const;

  /// A general register by the manual's encoding of 8-, 16- and 32-bit registers (4–7 are AH–BH for bytes).
  template <typename T>
  [[nodiscard, gnu::always_inline]] T get(unsigned encoding) const {
    T value;
    std::memcpy(&value, register_bytes<T>(encoding), sizeof value);
    return value;
  }
  template <typename T>
  [[gnu::always_inline]] void set(unsigned encoding, T value) {
    std::memcpy(const_cast<uint8_t*>(register_bytes<T>(encoding)), &value, sizeof value);
  }

 private:
  template <typename T>
  [[nodiscard, gnu::always_inline]] const uint8_t* register_bytes(unsigned encoding) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(state.gpr.data());
    if constexpr (sizeof(T) == 1) return bytes + (encoding & 3) * 4 + (encoding >> 2);
    return bytes + encoding * 4;
  }
};

/// Offset of the memory operand within its segment.
[[nodiscard, gnu::always_inline]] inline uint32_t effective_offset(const Core& core, const Instruction& i) {
  return (core.state.gpr[i.base] + (core.state.gpr[i.index] << i.scale) + i.displacement) & i.address_mask;
}

}  // namespace vitrine::cpu

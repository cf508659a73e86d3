// The dispatcher: takes events in the manual's order between instructions, finds blocks and runs them.
//
// What counts as an instruction: each that completes, HLT and those that a debugger steps included. Of a
// repeated string instruction each iteration counts (interpret_string.cc), or once if there is none. A fault
// counts as one, its delivery and that of interrupts as none.
#include "cpu/vcpu.h"

#include <algorithm>
#include <utility>

#include "cpu/access.h"
#include "cpu/block_flow.h"
#include "cpu/fetch.h"
#include "cpu/fpu_state.h"
#include "cpu/host_unit.h"
#include "cpu/mode.h"
#include "cpu/native_engine.h"
#include "cpu/observer.h"
#include "cpu/shared_page.h"
#include "cpu/system.h"
#include "cpu/translation.h"
#include "x86/control_registers.h"
#include "x86/debug_registers.h"

namespace vitrine::cpu {

// Hears of changes to memory on the core's behalf.
class Vcpu::Listener : public memory::WriteListener, public memory::MapListener {
 public:
  explicit Listener(Core& core) : core_(core) {
    core_.env.memory.add_listener(*this);
    core_.env.memory.add_write_listener(*this);
  }
  ~Listener() override {
    core_.env.memory.remove_listener(*this);
    core_.env.memory.remove_write_listener(*this);
  }

  // The running block may have been fetched from what lies elsewhere now.
  void physical_map_changed() override {
    flush_tlb(core_);
    core_.leave_after_current(kAttentionStop);
  }

  void page_watched(memory::RamBlock& block, uint64_t page) override {
    core_.tlbs->forbid_writes(block.data() + (page << kPageShift));
  }

  uint8_t watched_bytes_written(memory::RamBlock& block, uint64_t page, unsigned offset, unsigned size,
                                uint8_t /*watches*/) override {
    const WriteEffect effect = core_.code->drop(block, page, offset, size);
    if (effect == WriteEffect::Dropped) core_.link_slot = nullptr;
    return effect == WriteEffect::Elsewhere ? 0 : static_cast<uint8_t>(memory::Watch::Code);
  }

 private:
  Core& core_;
};

/// What has to be known after a single step of how things were before it.
struct StepStart {
  uint32_t eflags = 0;
  bool shadow = false;
};

Vcpu::Vcpu(const CoreEnvironment& environment)
    : core_(std::make_unique<Core>(environment)),
      fetcher_(std::make_unique<Fetcher>(environment.model)),
      listener_(std::make_unique<Listener>(*core_)) {
  reset();
}

Vcpu::~Vcpu() = default;

void Vcpu::prepare() {
  (void)host_unit(*core_);
}

void Vcpu::reset() {
  reset_state(*core_, ResetKind::PowerOn);
  core_->attention.store(0);
  core_->pending_dr6 = 0;
  core_->faulted = false;
  if (core_->env.index != 0) core_->state.activity = Activity::WaitForStartup;
  state_changed();
}

void Vcpu::state_changed() {
  core_->state.gpr[kNoRegister] = 0;
  core_->repeating = false;
  core_->flags_from_state();
  update_mode(*core_);
  flush_tlb(*core_);
}

uint64_t Vcpu::executed() const {
  return core_->executed();
}

void Vcpu::set_interrupt_request(bool level) {
  core_->interrupt_request = level;
  if (level) core_->leave_after_current(kAttentionInterrupt);
}
// SDM Vol. 3A, "Handling Multiple NMIs": while one is handled, one more is kept. One that waits here counts
// as being handled: a processor would have taken it at the end of the instruction.
void Vcpu::raise_nmi() {
  CpuState& state = core_->state;
  if (state.nmis_pending < (state.nmi_blocked ? 1 : kMostNmisPending)) ++state.nmis_pending;
  core_->leave_after_current(kAttentionNmi);
}
void Vcpu::init() {
  core_->leave_after_current(kAttentionInit);
}
void Vcpu::startup(uint8_t vector) {
  if (core_->state.activity != Activity::WaitForStartup && (core_->attention.load() & kAttentionInit) == 0)
    return;
  core_->startup_vector = vector;
  core_->leave_after_current(kAttentionStartup);
}
void Vcpu::set_observer(Observer* observer) {
  core_->observer = observer;
}

void Vcpu::set_native_engine(NativeEngine* engine) {
  core_->native = engine;
}

void Vcpu::set_ignne() {
  cpu::set_ignne(*core_);
}

void Vcpu::kick() {
  core_->attention.fetch_or(kAttentionKick, std::memory_order_release);
  if (core_->native != nullptr) core_->native->kick();
}

void Vcpu::send(const Event& event) {
  const inspect::ActivityScope scope(core_->activity, inspect::Activity::Deliver);
  core_->flags_to_state();
  core_->reported_breakpoint.reset();
  core_->link_slot = nullptr;
  // A fault uses up budget like an instruction: a handler whose first instruction faults must not keep run()
  // from ending.
  if (event.kind == EventKind::Fault && core_->remaining > 0) --core_->remaining;
  deliver(*core_, event);
  core_->repeating = false;
  core_->flags_from_state();
}

// HLT, shutdown, and waiting for a startup message.
Vcpu::Next Vcpu::dormant(Exit& exit) {
  switch (core_->state.activity) {
    case Activity::Running: return Next::Execute;
    case Activity::Shutdown: exit.reason = ExitReason::Shutdown; return Next::Exit;
    case Activity::WaitForStartup: exit.reason = ExitReason::Halted; return Next::Exit;
    case Activity::Halted: break;
  }
  // Whatever could have ended the HLT has been tried by take_signals().
  exit.reason = ExitReason::Halted;
  return Next::Exit;
}

Vcpu::Next Vcpu::take_traps(Exit& exit) {
  const bool after_ss_load =
      core_->state.interrupt_shadow &&
      (core_->last_operation == Operation::MovSegment || core_->last_operation == Operation::PopSegment);
  if (core_->pending_dr6 != 0 && !after_ss_load) {
    const uint32_t dr6 = std::exchange(core_->pending_dr6, 0);
    send(Event{.kind = EventKind::Trap, .vector = x86::Vector::Debug, .dr6 = dr6});
    return Next::Again;
  }
  if (core_->watchpoint_hit) {
    exit = {ExitReason::Watchpoint, *std::exchange(core_->watchpoint_hit, std::nullopt)};
    return Next::Exit;
  }
  return Next::Execute;
}

// INIT, traps, NMI, INTR, in this order. SDM Vol. 3A, "Prioritization of Concurrent Events".
Vcpu::Next Vcpu::take_signals(Exit& exit) {
  CpuState& state = core_->state;
  const uint32_t attention = core_->attention.load(std::memory_order_acquire);
  if ((attention & kAttentionInit) != 0) {
    core_->attention.fetch_and(~uint32_t{kAttentionInit});
    reset_state(*core_, ResetKind::Init);
    state_changed();
    if (core_->env.index != 0) state.activity = Activity::WaitForStartup;
    return Next::Again;
  }
  if ((attention & kAttentionStartup) != 0) {
    core_->attention.fetch_and(~uint32_t{kAttentionStartup});
    if (state.activity == Activity::WaitForStartup) {
      SegmentRegister& cs = state.segments[x86::kCs];
      cs.selector = static_cast<uint16_t>(core_->startup_vector << 8);
      cs.base = uint32_t{core_->startup_vector} << 12;
      state.eip = 0;
      state.activity = Activity::Running;
      state_changed();
    }
    return Next::Again;
  }
  if (const Next next = take_traps(exit); next != Next::Execute) return next;
  if (state.activity == Activity::Shutdown || state.activity == Activity::WaitForStartup)
    return Next::Execute;
  if (state.nmis_pending != 0 && !state.nmi_blocked && !state.interrupt_shadow) {
    --state.nmis_pending;
    state.activity = Activity::Running;
    send(Event{.kind = EventKind::Nmi, .vector = x86::Vector::Nmi});
    return Next::Again;
  }
  if (core_->interrupt_due() && !state.interrupt_shadow && shared_flag_allows(*core_)) {
    if (const auto vector = core_->env.bus.acknowledge_interrupt(core_->env.index)) {
      state.activity = Activity::Running;
      if (state.shared_page != kNoSharedPage)
        update_shared_time(*core_, core_->env.bus.time_stamp(core_->env.index));
      send(Event{.kind = EventKind::ExternalInterrupt, .vector = static_cast<x86::Vector>(*vector)});
      return Next::Again;
    }
  }
  return Next::Execute;
}

// Instruction breakpoints: the guest's own are faults before the instruction, unless RF says it has had it.
Vcpu::Next Vcpu::take_breakpoints(Exit& exit) {
  const CpuState& state = core_->state;
  const uint32_t linear = state.segments[x86::kCs].base + state.eip;
  if (std::ranges::find(core_->debug.breakpoints, VirtualAddress(linear)) != core_->debug.breakpoints.end()) {
    if (core_->reported_breakpoint != VirtualAddress(linear)) {
      core_->reported_breakpoint = VirtualAddress(linear);
      exit = {ExitReason::Breakpoint, VirtualAddress(linear)};
      return Next::Exit;
    }
  }
  // Instruction breakpoints are looked for at the start of an instruction, not between iterations of a REP.
  if ((state.eflags & x86::kRf) != 0 || state.interrupt_shadow || core_->repeating) return Next::Execute;
  uint32_t hits = 0;
  for (unsigned i = 0; i < x86::kBreakpointCount; ++i) {
    const bool enabled = x86::breakpoint_enabled_for(state.dr7, i, x86::BreakpointKind::Execute);
    if (enabled && state.dr[i] == linear) hits |= 1u << i;
  }
  if (hits == 0) return Next::Execute;
  send(Event{.kind = EventKind::Fault, .vector = x86::Vector::Debug, .dr6 = hits});
  return Next::Again;
}

bool Vcpu::must_step() const {
  const CpuState& state = core_->state;
  const bool observed = core_->observer != nullptr && core_->observer->wants_instructions();
  return observed || core_->force_step || state.interrupt_shadow ||
         (state.eflags & (x86::kTf | x86::kRf)) != 0;
}

bool Vcpu::undisturbed() const {
  const CpuState& state = core_->state;
  constexpr uint32_t kSignals = kAttentionInit | kAttentionStartup;
  return state.activity == Activity::Running && !core_->interrupt_due() && state.nmis_pending == 0 &&
         core_->pending_dr6 == 0 && (core_->attention.load() & kSignals) == 0 && !must_step();
}

Vcpu::Next Vcpu::take_events(Exit& exit) {
  const uint32_t attention = core_->attention.load(std::memory_order_acquire);
  if ((attention & kAttentionKick) != 0) {
    core_->attention.fetch_and(~uint32_t{kAttentionKick});
    exit.reason = ExitReason::Kicked;
    return Next::Exit;
  }
  const CpuState& state = core_->state;
  if (core_->remaining == 0 && state.activity == Activity::Running) {
    exit.reason = ExitReason::BudgetSpent;
    return Next::Exit;
  }
  const bool signals =
      core_->interrupt_request || state.nmis_pending != 0 || core_->pending_dr6 != 0 || attention != 0;
  if (signals) {
    if (const Next next = take_signals(exit); next != Next::Execute) return next;
  }
  if (const Next next = dormant(exit); next != Next::Execute) return next;
  if (core_->force_step) {
    if (const Next next = take_breakpoints(exit); next != Next::Execute) return next;
  }
  return Next::Execute;
}

void Vcpu::finish_step(const StepStart& start) {
  CpuState& state = core_->state;
  if (core_->faulted) return;
  const Operation operation = core_->last_operation;
  if ((start.eflags & x86::kRf) != 0 && operation != Operation::Iret) state.eflags &= ~x86::kRf;
  const bool interrupted = operation == Operation::Int || operation == Operation::Int3 ||
                           operation == Operation::Into || operation == Operation::Int1;
  const bool shadowed =
      state.interrupt_shadow && (operation == Operation::MovSegment || operation == Operation::PopSegment);
  if ((start.eflags & x86::kTf) != 0 && !interrupted && !shadowed) core_->pending_dr6 |= 1u << 14;
}

// What has been looked at just now, and cannot be taken, must not end every block. Whatever could change that
// (IF, an IRET) comes back here anyway.
void Vcpu::forget_seen_attention() {
  constexpr uint32_t kSeen =
      kAttentionInterrupt | kAttentionNmi | kAttentionTrap | kAttentionStop | kAttentionStep;
  if ((core_->attention.load(std::memory_order_relaxed) & kSeen) != 0) core_->attention.fetch_and(~kSeen);
}

void Vcpu::execute() {
  Core& core = *core_;
  const bool step = must_step();
  bool declined = false;
  BlockSize size = step ? BlockSize::OneInstruction : BlockSize::Full;
  if (core.native != nullptr && !step) {
    forget_seen_attention();
    core.flags_to_state();
    const auto outcome = core.native->run(core);
    core.flags_from_state();
    if (outcome == NativeEngine::Outcome::Advanced) return;
    declined = outcome == NativeEngine::Outcome::OneInstruction;
    if (declined) size = BlockSize::OneInstruction;
  }
  core.activity.set(inspect::Activity::Interpreter);
  const StepStart start{core.state.eflags, core.state.interrupt_shadow};
  core.faulted = false;
  if (core.observer != nullptr && core.observer->wants_instructions()) {
    core.flags_to_state();
    core.observer->instruction(core.env.index, core.state);
  }
  Block* block = fetcher_->block(core, size);
  if (block != nullptr && block->count > core.remaining)
    block = fetcher_->block(core, BlockSize::OneInstruction);
  if (block == nullptr) {
    core.faulted = true;
    return;
  }
  if (declined) core.native->interpreted(block->code[0].operation);
  if (block->mode == core.block_mode && block->host != nullptr) {
    core.code->jump_entry(core.state.eip) = {core.code_context, core.state.eip, block};
    if (core.link_slot != nullptr && block->second_page == nullptr) *core.link_slot = block;
  }
  core.link_slot = nullptr;
  forget_seen_attention();
  if (step) core.attention.fetch_or(kAttentionStep);
  run_block(core, *block);
  if (step) finish_step(start);
}

Exit Vcpu::run(uint64_t budget) {
  Core& core = *core_;
  core.activity.set(inspect::Activity::Monitor);
  core.budget = std::min<uint64_t>(budget, INT64_MAX / 2);
  core.remaining = static_cast<int64_t>(core.budget);
  core.flags_from_state();
  core.link_slot = nullptr;
  fpu_enter(core);
  Exit exit;
  const bool stepping = core.debug.single_step;
  uint64_t stepped = 0;
  for (;;) {
    core.restore_displaced();
    core.code->collect();
    if (core.faulted) {
      core.faulted = false;
      send(Event{.kind = EventKind::Fault,
                 .vector = core.fault.vector,
                 .error_code = core.fault.error_code,
                 .address = core.fault.address});
    }
    const Next next = take_events(exit);
    if (next == Next::Exit) break;
    if (next == Next::Again) continue;
    if (stepping && stepped++ != 0) {
      exit.reason = ExitReason::Stepped;
      break;
    }
    execute();
    core.reported_breakpoint.reset();
  }
  core.flags_to_state();
  fpu_leave(core);
  core.executed_base += core.budget - static_cast<uint64_t>(core.remaining);
  core.budget = 0;
  core.remaining = 0;
  const bool halted = exit.reason == ExitReason::Halted;
  core.activity.set(halted ? inspect::Activity::Idle : inspect::Activity::Waiting);
  return exit;
}

}  // namespace vitrine::cpu

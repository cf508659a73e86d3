// The native engine of one virtual processor: guest code runs on the host's processor, translated, its memory
// through the host's MMU.
//
//   run() ─► code for EIP in the active window? ─► enter ─► … translated code, linked to more of it …
//     ▲            │ no: fetch, translate                      │ hidden fault: filled in the handler, goes on
//     │            ▼                                           │ device, privileged instruction: Decline
//     └──── a way out: Link, Indirect, Fpu ◄───────────────────┤ the guest's own fault: Fault
//                                                              └ an event at an instruction boundary: Kicked
//
// Flat 32-bit protected mode at CPL 0 and 3 is run; everything else is the interpreter's. See
// docs/translation.md.
#pragma once

#include <pthread.h>
#include <sys/ucontext.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mapping.h"
#include "base/result.h"
#include "cpu/core.h"
#include "cpu/native_engine.h"
#include "cpu/observer.h"
#include "inspect/counter.h"
#include "inspect/section.h"
#include "memory/physical_map.h"
#include "paging/shadow_spaces.h"
#include "translate/glue.h"
#include "translate/guest_context.h"
#include "translate/host_support.h"
#include "translate/known_segments.h"
#include "translate/landing_pad.h"
#include "translate/monitor_lock.h"
#include "translate/translation_cache.h"
#include "translate/translator.h"

namespace vitrine::translate {

struct EngineOptions {
  PrivilegedPolicy privileged = PrivilegedPolicy::CallOut;
  paging::ShadowSpaces::Options shadow{.policy = paging::ShadowChoice{}.policy};
  std::optional<paging::ShadowFills> fills = std::nullopt;  ///< As ShadowChoice has it.
  /// ShadowFills::Again: so many accesses of an instruction have found no page, and it is the interpreter's.
  uint32_t faults_to_be_slow = 8;
  bool pause_ends_turn = false;  ///< As TranslatorOptions has it.
  /// Exact: run() executes no more instructions than the processor's budget has, and takes them off it.
  InstructionCounting counting = InstructionCounting::None;
  size_t code_size = size_t{64} << 20;
  /// What the host offers; nothing: it is asked.
  std::optional<HostSupport> host = std::nullopt;
  /// Given up while translated code runs; must outlive the engine. Null: nobody else runs at the same time.
  MonitorLock* lock = nullptr;
};

/// What a host signal from translated code was for: a real trap.
enum class Trap : uint8_t {
  HiddenFault,  ///< A page that the window did not show, filled.
  TrueFault,    ///< The guest's own page fault.
  Access,       ///< An access for the interpreter: a device, ROM, a page with code, a page table.
  Privileged,   ///< PrivilegedPolicy::Trap: a privileged or sensitive instruction.
  Address,      ///< An address that wraps, a segment's limit, FS or GS that cannot be used.
  StrayReturn,  ///< A return to elsewhere than behind its call.
  ReturnStack,  ///< The host's return stack is full.
  Step,         ///< One step on the way to a boundary, after a kick.
  Count
};

/// What happened since the start. Monotonic. Changed by the processor's own thread, with the lock; what
/// handlers of signals count may be read at any time.
struct EngineCounters {
  uint64_t entries = 0;  ///< Times that translated code was entered.
  std::array<uint64_t, static_cast<size_t>(Leave::Count)> leaves{};            ///< By Leave.
  std::array<inspect::SharedCounter, static_cast<size_t>(Trap::Count)> traps;  ///< By Trap.
  inspect::SharedCounter kicks;                                                ///< Signals from outside.
  uint64_t unsuitable = 0;    ///< Times that the mode was the interpreter's.
  uint64_t instructions = 0;  ///< That ran natively; only where they are counted.
  uint64_t steady_reads = 0;  ///< Of device registers, without the interpreter (engine_steady.cc).

  [[nodiscard]] uint64_t all_traps() const;
};

class Engine final : public cpu::NativeEngine,
                     public inspect::CounterGroup,
                     private paging::ShadowListener,
                     private memory::WriteListener {
 public:
  /// Errors: the host lacks something (address space, a system call), by name and with what to do.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(memory::PhysicalMap& memory,
                                                              const cpu::CpuModel& model,
                                                              const EngineOptions& options);
  ~Engine() override;

  Outcome run(cpu::Core& core) override;
  void invalidated(cpu::Invalidation what, uint32_t linear) override;
  void kick() override;
  void return_fpu(cpu::Core& core) override;
  void stop_others() override {
    if (lock_ != nullptr) lock_->stop_others();
  }
  void interpreted(cpu::Operation operation) override;

  /// Makes run() return after so long, counted from now (attention: Kick). The calling thread is the
  /// processor's.
  void set_alarm(Nanoseconds after);

  // For processors in parallel; with the lock, from threads that are not this processor's.

  /// Translated code does not run on return, nor until the lock is released, and then leaves at the next
  /// boundary between instructions.
  void halt();
  /// While suspended run() finds everything unsuitable: the interpreter may work on any thread.
  void suspend(bool suspended) { suspended_ = suspended; }
  /// Counting: the iterations that a repeated string instruction wanted when the last run() ended before it
  /// for want of budget; else 0.
  [[nodiscard]] uint32_t repetition_refused() const { return repetition_refused_; }

  [[nodiscard]] const EngineCounters& counters() const { return counters_; }
  [[nodiscard]] const paging::ShadowCounters& shadow_counters() const { return spaces_->counters(); }
  [[nodiscard]] const paging::ShadowSpaces& shadow() const { return *spaces_; }
  [[nodiscard]] const TranslationCache& cache() const { return *cache_; }
  [[nodiscard]] const Glue& glue() const { return glue_; }
  // Memory of the monitor's that translated code may touch, for those who watch it.
  [[nodiscard]] std::span<const uint8_t> return_stack(CodePrivilege mode) const {
    const Mapping& memory = return_stacks_[static_cast<size_t>(mode)].memory;
    return {memory.data(), memory.size()};
  }
  /// Whether this is a table of targets, and not the jump cache.
  [[nodiscard]] bool uses_target_table(const void* r13) const { return r13 != jump_cache_.data(); }
  void report(inspect::Section& section) const override;

  // From the handler of host signals (host_signals.cc), on the processor's thread.

  /// A synchronous signal. False: not ours.
  [[nodiscard]] bool handle_fault(int signal, uint64_t address, ucontext_t& frame);
  void handle_kick(ucontext_t& frame);

 private:
  using CodeMap = Mapping;
  /// A virtual page with targets. They take four bytes for each of the guest's: only lines that hold some are
  /// ever cleared.
  struct TargetedPage {
    static constexpr uint32_t kLine = 64;  // bytes of the guest's
    uint32_t page = 0;
    uint64_t lines = 0;  // one bit each
  };
  /// What is known of the code that a window shows, by mode.
  struct WindowCode {
    std::array<CodeMap, 3> maps;                // by CodePrivilege: page ids by virtual page
    std::array<CodeMap, 3> before;              // what they said before they were forgotten
    std::array<std::vector<uint32_t>, 3> used;  // virtual pages with an id
    std::array<Mapping, 3> targets;             // code memory offsets by guest address; user modes
    std::array<std::vector<TargetedPage>, 3> targeted;
  };
  struct ReturnStack {
    Mapping memory;
    uint64_t top = 0;      // what an empty one's pointer is
    uint64_t pointer = 0;  // while it is not the active one
    uint32_t esp = 0;      // the guest's when it was left
  };
  /// A page that the window does not show, and that the interpreter has accessed lately in translated code's
  /// stead.
  struct Touched {
    const paging::ShadowWindow* window = nullptr;
    uint32_t page = 0;
    uint8_t count = 0;
    uint64_t load = 0;  ///< The load of a page table that came before the first of them.
  };
  struct Lookup {
    enum class Status : uint8_t { Found, Fault, Interpret } status = Status::Interpret;
    const void* code = nullptr;
    CodePage* page = nullptr;
  };

  explicit Engine(memory::PhysicalMap& memory);
  [[nodiscard]] Result<void> use_host(const HostSupport& host, paging::ShadowSpaces::Options& shadow);
  [[nodiscard]] Result<void> build(const cpu::CpuModel& model, const EngineOptions& options);

  void entries_dropped(paging::ShadowWindow& window, VirtualAddress first, uint64_t pages) override;
  uint8_t watched_bytes_written(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size,
                                uint8_t watches) override;

  [[nodiscard]] static bool suitable(const cpu::Core& core);
  void begin_outside();
  void end_outside();
  void run_translated(const void* code);
  void enter_state(cpu::Core& core);
  void leave_state(cpu::Core& core);
  void choose_window(cpu::Core& core);
  void load_fpu(cpu::Core& core);
  void unload_fpu();
  void follow_avx(const cpu::Core& core);
  [[nodiscard]] CodePrivilege mode_of(const cpu::Core& core) const;
  [[nodiscard]] paging::Privilege privilege() const {
    return mode_ == CodePrivilege::Supervisor ? paging::Privilege::Supervisor : paging::Privilege::User;
  }
  /// `called`: by a CALL.
  [[nodiscard]] Lookup look_up(cpu::Core& core, uint32_t eip, bool called = false);
  [[nodiscard]] Lookup find_code(cpu::Core& core, uint32_t eip, bool called);
  [[nodiscard]] CodePage* code_page(cpu::Core& core, uint32_t eip, Lookup& lookup);
  [[nodiscard]] CodePage* page_before(uint32_t virtual_page) const;
  void know(CodePage& page);
  void know_neighbours(uint32_t virtual_page);
  [[nodiscard]] TargetedPage& targeted_page(uint32_t page);
  static void set_target(uint32_t* table, TargetedPage& targeted, uint16_t offset, uint32_t entry);
  [[nodiscard]] static const uint8_t* bytes_of(const CodePage& page) {
    return page.key.block->data() + (page.key.page << kPageShift);
  }
  [[nodiscard]] bool translate_crossing(cpu::Core& core, CodePage& page, uint32_t eip, Lookup& lookup);
  void renew_crossing(cpu::Core& core, uint32_t eip);
  void forget_units(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size);
  [[nodiscard]] const void* find_jump(uint32_t eip) const;
  [[nodiscard]] CodePage* known_page(uint32_t eip) const;
  void note_decline(uint32_t eip);
  void note_slow_run(uint32_t eip, SlowSite& slow);
  void note_page_fault(uint32_t eip);
  void note_hidden_fault(const TranslationCache::Place& place);
  void settle_hidden_faults();
  void note_fill_spared(uint32_t page);
  [[nodiscard]] Touched& touched_page(uint32_t page);
  [[nodiscard]] bool spares_fill(uint32_t page);
  void fill_after_fault(const cpu::Core& core);
  [[nodiscard]] bool page_faults_often(SlowSite& slow) const;
  void renew_checks();
  [[nodiscard]] uint16_t take_check();
  void give_check(uint16_t check);
  void leave_to_interpreter(CodePage& page, uint16_t offset);
  [[nodiscard]] std::optional<uint32_t> page_to_fill(const cpu::Core& core,
                                                     const cpu::Instruction& instruction) const;
  [[nodiscard]] cpu::Block* declined_block(cpu::Core& core, uint32_t eip);
  [[nodiscard]] bool interpret(cpu::Core& core, uint32_t eip, cpu::Block& block);
  [[nodiscard]] std::optional<uint32_t> address_to_know(const cpu::Core& core, const Decline& decline) const;
  void know_steady(const cpu::Core& core, Decline& decline, uint32_t linear);
  [[nodiscard]] const void* go_on_with_steady();
  void forget_steady();
  void remember_jump(const Lookup& lookup, uint32_t eip, Leave reason);
  [[nodiscard]] uint32_t* code_map(CodePrivilege mode);
  [[nodiscard]] uint32_t* target_table(CodePrivilege mode);
  static void forget_targets(WindowCode& code, size_t mode, uint32_t first, uint64_t pages);
  void forget_code(WindowCode& code, uint32_t first, uint64_t pages);
  void set_return_stack_bottoms();
  void reset_return_stacks();
  void activate_return_stack(uint32_t esp);
  void stray_return(ucontext_t& frame, const TranslationCache::Place& place);
  void flush_translations();
  void clear_jump_cache();

  void begin_count(cpu::Core& core);
  void settle_count(cpu::Core& core, Leave reason);
  [[nodiscard]] bool permit_repetition();

  [[nodiscard]] bool at_boundary(const TranslationCache::Place& place) const;
  void redirect(ucontext_t& frame, uint32_t way_out, uint32_t eip);
  [[nodiscard]] Trap fault_of_translated_code(uint64_t address, ucontext_t& frame,
                                              const TranslationCache::Place& place);
  void tell(const cpu::MonitorAction& action) const {
    if (core_->observer != nullptr) core_->observer->acted(core_->env.index, core_->state, action);
  }
  void tell_of_drops();
  void tell_of_fill(uint32_t eip, uint32_t address, paging::AccessKind kind, const paging::FillResult& filled,
                    uint64_t filled_before, bool by_signal) const;
  void count(Trap trap) { ++counters_.traps[static_cast<size_t>(trap)]; }
  static void settle_stack_pointer(ucontext_t& frame, const TranslationCache::Place& place);
  /// The return stack whose guard page an address lies in, or null.
  [[nodiscard]] const ReturnStack* guards_return_stack(uint64_t address) const;
  [[nodiscard]] bool execute_by_hand(ucontext_t& frame) const;
  void step_to_boundary(ucontext_t& frame);

  memory::PhysicalMap& memory_;
  std::unique_ptr<paging::ShadowSpaces> spaces_;
  std::unique_ptr<TranslationCache> cache_;
  std::unique_ptr<Translator> translator_;
  Glue glue_;
  bool fsgsbase_ = true;
  bool target_tables_ = true;
  bool avx_ = false;  // the guest has enabled it; what was translated before does not know it
  bool counting_ = false;
  uint32_t granted_ = 0;         // what core.remaining has not been charged with of instructions_left
  uint32_t repeat_granted_ = 0;  // ECX when a repetition was permitted
  uint32_t repetition_refused_ = 0;
  std::unique_ptr<GuestContext> context_;
  KnownSegments known_segments_;
  Mapping jump_cache_;
  LandingPad landing_pad_;
  std::array<ReturnStack, 3> return_stacks_;  // by CodePrivilege: they lead to code of one
  unsigned active_stack_ = 0;
  std::unordered_map<const paging::ShadowWindow*, WindowCode> window_code_;
  paging::ShadowWindow* window_ = nullptr;
  WindowCode* window_code_now_ = nullptr;
  CodePrivilege mode_ = CodePrivilege::Supervisor;
  static constexpr uint64_t kModeUnknown = UINT64_MAX;
  uint64_t mode_seen_ = kModeUnknown;  // Core::mode_changes that window_ and mode_ are right for

  cpu::Core* core_ = nullptr;  // that run() was called with last
  bool load_pending_ = true;
  bool stepping_ = false;                 // to the next boundary, by TF
  uint64_t drops_told_ = 0;               // of shadow_counters().drops
  bool by_signal_ = false;                // the last way out of translated code began with a fault
  std::optional<uint32_t> slow_site_;     // whose access was not to be had
  bool wraps_ = false;                    // since it was outside the window
  std::optional<uint32_t> resumed_;       // the instruction that fault_address_ is of
  SlowSite* slow_run_ = nullptr;          // of what interpret() executes, if it is one
  std::optional<uint32_t> often_filled_;  // an instruction whose page had to be filled too often
  std::optional<uint32_t> stray_;         // a CALL whose returns come from elsewhere too often
  uint32_t entered_ = 0;                  // the instruction that translated code was entered at last
  bool repetition_stopped_ = false;       // Leave::Kicked between two steps of a string instruction
  uint32_t fault_address_ = 0;            // Leave::Fault
  uint32_t fault_error_ = 0;
  /// Since the interpreter has read it nothing has happened but translated code and more such reads.
  struct SteadyRegister {
    inspect::DeviceCounter* counter = nullptr;  // null: none is known
    uint32_t linear = 0;
    uint32_t value = 0;
    uint64_t reads = 0;  // not counted yet
  };
  SteadyRegister steady_;
  paging::ShadowFills fills_ = paging::ShadowFills::Again;
  uint32_t faults_to_be_slow_ = 0;
  bool can_check_ = false;              // the host has what access_check.cc needs
  std::vector<uint16_t> spare_checks_;  // of GuestContext::checks_left
  std::array<Touched, 64> touched_{};   // by the last bits of the page's number
  std::array<uint64_t, static_cast<size_t>(cpu::Operation::Count)> declined_{};
  void* alarm_ = nullptr;       // timer_t
  Nanoseconds alarm_time_ = 0;  // that it goes off at, or went off at, by CLOCK_MONOTONIC

  // In parallel. Who holds the lock may change anything here while `outside_` is 0; the processor's own
  // thread may read it without the lock while it is 1.
  MonitorLock* lock_ = nullptr;
  std::atomic<uint32_t> outside_{0};  // 1: in translated code or on the way, without the lock
  pthread_t thread_{};                // that run() was called on last
  bool stacks_stale_ = false;         // what is on the host's return stack leads to dropped code
  bool suspended_ = false;

  EngineCounters counters_;
};

}  // namespace vitrine::translate

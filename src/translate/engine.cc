#include "translate/engine.h"

#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cpu/block_flow.h"
#include "cpu/code_cache.h"
#include "cpu/fpu_state.h"
#include "cpu/host_unit.h"
#include "cpu/translation.h"
#include "translate/fpu_image.h"
#include "translate/host_signals.h"
#include "x86/control_registers.h"
#include "x86/descriptors.h"
#include "x86/extended_state.h"

namespace vitrine::translate {
namespace {

using cpu::Core;

constexpr size_t kReturnStackSize = 256 << 10;

// Bits of `value` under `mask`, moved together.
uint32_t extract(uint32_t value, uint32_t mask) {
  uint32_t result = 0;
  for (unsigned n = 0; mask != 0; mask &= mask - 1, ++n) result |= (value >> __builtin_ctz(mask) & 1) << n;
  return result;
}

// SAFETY: GS is nobody else's on x86-64 Linux; thread-local storage goes by FS.
[[gnu::target("fsgsbase")]] void set_gs_base_directly(uint64_t base) {
  _writegsbase_u64(base);
}
void set_gs_base_by_call(uint64_t base) {
  constexpr int kArchSetGs = 0x1001;
  ::syscall(SYS_arch_prctl, kArchSetGs, base);
}

bool host_has_avx() {
  return __builtin_cpu_supports("avx") != 0;
}
// SDM Vol. 2, "CPUID", leaf 0DH, subleaf 1: XGETBV with ECX = 1.
bool host_tells_use() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(13, 1, &a, &b, &c, &d) != 0 && (a >> 2 & 1) != 0;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(memory::PhysicalMap& memory, const cpu::CpuModel& model,
                                               const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine(memory));
  TRY(engine->build(model, options));
  return engine;
}

Engine::Engine(memory::PhysicalMap& memory) : memory_(memory), context_(std::make_unique<GuestContext>()) {
  memory_.add_write_listener(*this);
}

Engine::~Engine() {
  memory_.remove_write_listener(*this);
  if (alarm_ != nullptr) ::timer_delete(alarm_);
  forget_engine(*this);
  if (spaces_) spaces_->set_listener(nullptr);
}

// Hosts with less: see docs/hosts.md.
Result<void> Engine::use_host(const HostSupport& host, paging::ShadowSpaces::Options& shadow) {
  TRY(host_can_translate(host));
  fsgsbase_ = host.fsgsbase;
  if (shadow.mapping_budget == 0) shadow.mapping_budget = paging::MappingBudget::share_of(host.mappings);
  if (!host.commits_strictly) return {};
  // Every table counts as if all of it were in use.
  constexpr unsigned kFewSpaces = 8;
  target_tables_ = false;
  shadow.most_spaces = std::min(shadow.most_spaces, kFewSpaces);
  return {};
}

Result<void> Engine::build(const cpu::CpuModel& model, const EngineOptions& options) {
  paging::ShadowSpaces::Options shadow = options.shadow;
  TRY(use_host(options.host ? *options.host : probe_host(), shadow));
  TRY(prepare_host_signals());
  lock_ = options.lock;
  spaces_ = TRY(paging::ShadowSpaces::create(memory_, shadow));
  spaces_->set_listener(this);
  counting_ = options.counting == InstructionCounting::Exact;
  cache_ = TRY(TranslationCache::create(options.code_size));
  const bool bmi2 = __builtin_cpu_supports("bmi2") != 0;
  Emitter out(cache_->memory().writable(0), 4096);
  glue_ = make_glue(out, {.bmi2 = bmi2, .avx = host_has_avx(), .xgetbv1 = host_tells_use()});
  cache_->keep_below(glue_.end);
  translator_ = std::make_unique<Translator>(model, *cache_, glue_,
                                             TranslatorOptions{.privileged = options.privileged,
                                                               .bmi2 = bmi2,
                                                               .wide_mxcsr = cpu::host_mxcsr_mask() > 0xffff,
                                                               .pause_ends_turn = options.pause_ends_turn,
                                                               .counting = options.counting});
  fills_ = options.fills.value_or(paging::fills_of(shadow.policy));
  faults_to_be_slow_ = options.faults_to_be_slow;
  can_check_ = bmi2;
  renew_checks();
  jump_cache_ = TRY(Mapping::create(sizeof(JumpEntry) * kJumpEntries, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  clear_jump_cache();
  translator_->use_target_tables(target_tables_);
  translator_->use_landing_pad(landing_pad_.build().has_value());
  context_->landing_pad = landing_pad_.base();
  for (ReturnStack& stack : return_stacks_) {
    stack.memory =
        TRY(Mapping::create(kReturnStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
    if (::mprotect(stack.memory.data(), kPageSize, PROT_NONE) != 0)
      return std::unexpected(error_from_errno("cannot guard the return stack", "mprotect"));
    uint8_t* const top = stack.memory.data() + kReturnStackSize - 64;
    stack.top = reinterpret_cast<uint64_t>(top);
  }
  set_return_stack_bottoms();
  reset_return_stacks();
  return {};
}

// ---- What the guest and the outside do to what we know.

void Engine::invalidated(cpu::Invalidation what, uint32_t linear) {
  // A load makes the spaces look again at everything that the guest may have changed.
  if (what != cpu::Invalidation::Page) {
    // It cannot tell that global pages went too, if CR4.PGE is as it was.
    if (what == cpu::Invalidation::All) spaces_->invalidate_all();
    load_pending_ = true;
  } else if (!load_pending_) {
    spaces_->invalidate_page(VirtualAddress(linear));
  }
  tell_of_drops();
}

void Engine::kick() {
  const bool sent = context_->kicked != 0;
  context_->kicked = 1;
  // Whoever asks holds the lock, so that the processor is either outside, or will look at `attention` before
  // it is. A signal that has been sent serves for all who come before it is heard.
  if (!sent && lock_ != nullptr && outside_.load() != 0) ::pthread_kill(thread_, kick_signal());
}

void Engine::halt() {
  if (lock_ == nullptr || ::pthread_equal(thread_, ::pthread_self()) != 0) return;
  kick();
  while (outside_.load(std::memory_order_acquire) != 0) outside_.wait(1, std::memory_order_acquire);
}

void Engine::begin_outside() {
  outside_.store(1, std::memory_order_release);
  lock_->release();
}

void Engine::end_outside() {
  outside_.store(0, std::memory_order_release);
  outside_.notify_all();
  lock_->acquire();
}

void Engine::entries_dropped(paging::ShadowWindow& window, VirtualAddress first, uint64_t pages) {
  const auto found = window_code_.find(&window);
  if (found == window_code_.end()) return;
  halt();
  forget_code(found->second, first.value >> kPageShift, pages);
}

void Engine::set_alarm(Nanoseconds after) {
  if (alarm_ == nullptr) {
    struct sigevent event {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kick_signal();
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    timer_t timer{};
    CHECK(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    alarm_ = timer;
  }
  // It may go off before run() begins, and must not find the engine of the processor before.
  set_current_engine(this);
  // So that something is executed when it is late already.
  after = std::max<Nanoseconds>(after, 50'000);
  // One that is set for sooner stays: a kick too many costs less than to set the timer at each slice.
  const Nanoseconds now = monotonic_time();
  const Nanoseconds wanted = now + after;
  if (alarm_time_ > now && alarm_time_ <= wanted) return;
  alarm_time_ = wanted;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(wanted / kNanosecondsPerSecond);
  when.it_value.tv_nsec = static_cast<long>(wanted % kNanosecondsPerSecond);
  ::timer_settime(alarm_, TIMER_ABSTIME, &when, nullptr);
}

// ---- Between the interpreter's state and ours.

bool Engine::suitable(const Core& core) {
  const cpu::CpuState& state = core.state;
  const cpu::SegmentRegister& cs = state.segments[x86::kCs];
  return core.protected_mode() && (state.cpl == 0 || state.cpl == 3) && cs.base == 0 &&
         cs.limit == 0xffffffff && x86::is_readable(cs.attributes) &&
         core.block_mode == (cpu::kModeCode32 | cpu::kModeStack32) && core.flat[x86::kDs] != 0 &&
         core.flat[x86::kEs] != 0 && core.flat[x86::kSs] != 0 &&
         (state.eflags & (x86::kTf | x86::kRf | x86::kVm)) == 0 && !core.watch_data && !core.force_step &&
         !core.alignment_check && core.iopl() == 0;
}

CodePrivilege Engine::mode_of(const Core& core) const {
  if (core.state.cpl == 0) return CodePrivilege::Supervisor;
  const bool usable = (core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts | x86::kCr0Ne)) == x86::kCr0Ne &&
                      (core.state.cr4 & x86::kCr4Osfxsr) != 0;
  return usable ? CodePrivilege::UserWithFpu : CodePrivilege::User;
}

void Engine::choose_window(Core& core) {
  const inspect::ActivityScope scope(core.activity, inspect::Activity::Switch);
  if (load_pending_) {
    spaces_->load(cpu::paging_registers(core));
    load_pending_ = false;
    reset_return_stacks();
  }
  mode_ = mode_of(core);
  paging::ShadowWindow* const window = &spaces_->enter(privilege());
  tell_of_drops();
  if (window != window_) {
    tell({.kind = cpu::MonitorAction::Kind::ShadowSwitch, .eip = core.state.eip, .to = core.state.cr3});
    window_code_now_ = &window_code_[window];
  }
  window_ = window;
  context_->window = reinterpret_cast<uint64_t>(window_->base().value);
  context_->code_map = reinterpret_cast<uint64_t>(code_map(mode_));
  context_->rights = reinterpret_cast<uint64_t>(window_->rights());
  const uint32_t* const targets = target_table(mode_);
  context_->jump_cache =
      reinterpret_cast<uint64_t>(targets != nullptr ? static_cast<const void*>(targets) : jump_cache_.data());
  fsgsbase_ ? set_gs_base_directly(context_->window) : set_gs_base_by_call(context_->window);
  activate_return_stack(core.state.gpr[x86::kEsp]);
}

void Engine::enter_state(Core& core) {
  memory_.finish_writes();
  if (!core.fpu_held) cpu::fpu_leave(core);
  GuestContext& c = *context_;
  const cpu::CpuState& state = core.state;
  std::memcpy(c.gpr.data(), state.gpr.data(), sizeof c.gpr);
  c.rflags = (state.eflags & kHostFlags) | 0x202;
  c.interrupt_flag = state.eflags & x86::kIf;
  if (const uint32_t system = state.eflags & ~(kHostFlags | x86::kIf); system != c.system_flags) {
    c.system_flags = system;
    c.negated_uncommon = 0 - extract(system, kUncommonFlags);
  }
  c.controls = {state.cr0, 0, state.cr2, state.cr3};
  c.interrupt_waits = core.interrupt_request && !state.interrupt_held ? 1 : 0;
  known_segments_.enter(core, c);
  if (load_pending_ || core.mode_changes != mode_seen_) {
    mode_seen_ = core.mode_changes;
    choose_window(core);
    unload_fpu();
    follow_avx(core);
  }
  if (mode_ == CodePrivilege::UserWithFpu && c.fpu_loaded == 0) load_fpu(core);
  if (resumed_) fill_after_fault(core);
}

void Engine::leave_state(Core& core) {
  GuestContext& c = *context_;
  known_segments_.leave(c, core);
  cpu::CpuState& state = core.state;
  return_stacks_[active_stack_].esp = c.gpr[x86::kEsp];
  std::memcpy(state.gpr.data(), c.gpr.data(), sizeof c.gpr);
  state.eflags = (static_cast<uint32_t>(c.rflags) & kHostFlags) | c.interrupt_flag | c.system_flags;
}

void Engine::load_fpu(Core& core) {
  GuestContext& c = *context_;
  if (!core.fpu_held) {
    to_image(core.state.fpu, c.fpu_image);
    c.ymm_high = core.state.fpu.ymm_high;
    c.ymm_in_use = c.ymm_high != decltype(c.ymm_high){} ? 1 : 0;
  }
  core.fpu_held = true;
  c.fpu_loaded = 1;
  const bool absent = (core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0;
  // With CR0.NE clear instructions drive FERR#, which is the interpreter's.
  c.x87_absent = absent || (core.state.cr0 & x86::kCr0Ne) == 0 ? 1 : 0;
  c.sse_absent = absent || (core.state.cr4 & x86::kCr4Osfxsr) == 0 ? 1 : 0;
  c.avx_absent = (core.state.cr0 & x86::kCr0Ts) != 0 || !avx_ ? 1 : 0;
  c.ymm_loaded = avx_ ? 1 : 0;
}

// What was translated under the other rule declines what it should not, or does not decline what it should.
// Guests enable AVX once.
void Engine::follow_avx(const Core& core) {
  constexpr uint64_t kNeeded = x86::kXstateSse | x86::kXstateAvx;
  const bool avx = core.env.model.has(cpu::Feature::Avx) && (core.state.cr4 & x86::kCr4Osxsave) != 0 &&
                   (core.state.xcr0 & kNeeded) == kNeeded;
  if (avx == avx_) return;
  avx_ = avx;
  translator_->use_avx(avx);
  flush_translations();
}

// The state stays in the image; translated code has to ask for it.
void Engine::unload_fpu() {
  context_->fpu_loaded = 0;
  context_->ymm_loaded = 0;
  context_->x87_absent = context_->sse_absent = context_->avx_absent = 1;
}

void Engine::return_fpu(Core& core) {
  GuestContext& c = *context_;
  core.fpu_held = false;
  unload_fpu();
  cpu::FloatingPointState& fpu = core.state.fpu;
  const uint64_t instruction = from_image(c.fpu_image, fpu);
  fpu.ymm_high = {};
  if (c.ymm_in_use != 0) fpu.ymm_high = c.ymm_high;
  // The host's record of the last x87 instruction is an address of translated code.
  const auto place = cache_->place_of(instruction);
  if (!place) return;
  fpu.instruction_pointer = place->eip;
  fpu.instruction_segment = core.state.segments[x86::kCs].selector;
  std::memcpy(&fpu.opcode, c.fpu_image.data() + 6, sizeof fpu.opcode);
  fpu.opcode &= 0x7ff;
  std::memcpy(&fpu.data_pointer, c.fpu_image.data() + 16, sizeof fpu.data_pointer);
  fpu.data_segment = core.state.segments[x86::kDs].selector;
}

// ---- Running.

void Engine::run_translated(const void* code) {
  // SAFETY: the glue keeps the ABI: callee-saved registers, stack, direction flag, MXCSR and x87 unit.
  const auto enter = reinterpret_cast<void (*)(GuestContext*, const void*)>(
      reinterpret_cast<uintptr_t>(cache_->memory().executable(glue_.enter)));
  ++counters_.entries;
  by_signal_ = false;
  inspect::ActivityCell& activity = core_->activity;
  activity.set(inspect::Activity::Guest);
  if (lock_ != nullptr) {
    stacks_stale_ = false;
    begin_outside();
  }
  do {
    enter(context_.get(), code);
    code = steady_.counter != nullptr ? go_on_with_steady() : nullptr;
  } while (code != nullptr);
  activity.set(inspect::Activity::Monitor);
  if (lock_ == nullptr) return;
  end_outside();
  context_->kicked = 0;                      // Who set it has set `attention`, too, or is done.
  if (stacks_stale_) reset_return_stacks();  // For those that have just been saved.
}

// The block for an instruction that is the interpreter's and can be executed here. Null: it is not, or not
// any more, for code may have been dropped on the way out.
cpu::Block* Engine::declined_block(Core& core, uint32_t eip) {
  const DeclineIndex index = context_->site;
  if (index == kNoDecline || index >= cache_->end_of_declines() || counting_) return nullptr;
  Decline& decline = cache_->decline(index);
  if (!decline.block) {
    const CodePage* const page = known_page(eip);
    if (page == nullptr) return nullptr;
    decline.block = translator_->decode_single(core, bytes_of(*page), eip);
    if (!decline.block) return nullptr;
  }
  slow_run_ = decline.slow;
  cpu::Block* const block = decline.block.get();
  if (slow_run_ != nullptr) note_slow_run(eip, *slow_run_);
  return block;
}

void Engine::interpreted(cpu::Operation operation) {
  ++declined_[static_cast<size_t>(operation)];
  tell({.kind = cpu::MonitorAction::Kind::Emulated,
        .by_signal = by_signal_,
        .operation = operation,
        .eip = core_->state.eip});
}

// Executes it without the way out of run() and back. False: something besides the next instruction is wanted;
// the state is the core's.
bool Engine::interpret(Core& core, uint32_t eip, cpu::Block& block) {
  leave_state(core);
  core.state.eip = eip;
  interpreted(block.code[0].operation);
  const DeclineIndex index = context_->site;
  const std::optional<uint32_t> to_know =
      slow_run_ != nullptr ? address_to_know(core, cache_->decline(index)) : std::nullopt;
  const std::optional<uint32_t> to_fill =
      slow_run_ != nullptr ? page_to_fill(core, block.code[0]) : std::nullopt;
  core.faulted = false;
  core.flags_from_state();
  core.activity.set(inspect::Activity::Interpreter);
  cpu::run_block(core, block);
  core.activity.set(inspect::Activity::Monitor);
  core.flags_to_state();
  core.restore_displaced();
  core.link_slot = nullptr;
  if (index >= cache_->end_of_declines()) slow_run_ = nullptr;  // What was executed has emptied the cache.
  if (core.faulted) {
    if (slow_run_ != nullptr) ++slow_run_->page_faults;
  } else if (to_fill && !load_pending_ && core.mode_changes == mode_seen_) {
    note_fill_spared(*to_fill);
  }
  const cpu::CpuState& state = core.state;
  const bool interrupt = core.interrupt_due() || state.nmis_pending != 0;
  const bool wanted = core.faulted || core.repeating || interrupt || core.pending_dr6 != 0 ||
                      state.interrupt_shadow || state.activity != cpu::Activity::Running ||
                      core.remaining <= 0 || core.attention.load(std::memory_order_acquire) != 0;
  if (wanted || !suitable(core)) return false;
  if (to_know && slow_run_ != nullptr) know_steady(core, cache_->decline(index), *to_know);
  enter_state(core);
  return true;
}

Engine::Outcome Engine::run(Core& core) {
  if (suspended_ || !suitable(core)) {
    ++counters_.unsuitable;
    return Outcome::Unsuitable;
  }
  GuestContext& c = *context_;
  const bool first = core_ == nullptr;
  core_ = &core;
  core.activity.set(inspect::Activity::Monitor);
  // An alarm that went off before the first run knew of no processor.
  if (first && c.kicked != 0) core.attention.fetch_or(cpu::kAttentionKick, std::memory_order_release);
  c.kicked = 0;
  set_current_engine(this);
  thread_ = ::pthread_self();
  if (steady_.counter != nullptr) forget_steady();
  mode_seen_ = kModeUnknown;  // Another engine may have run on this thread.
  enter_state(core);
  if (counting_) begin_count(core);
  uint32_t eip = core.state.eip;
  auto reason = Leave::Kicked;
  Outcome outcome = Outcome::Advanced;
  for (;;) {
    if (core.attention.load(std::memory_order_acquire) != 0 || (counting_ && c.instructions_left == 0)) break;
    const uint64_t flushes = cache_->counters().flushes;
    const bool to_link = reason == Leave::Link || reason == Leave::Indirect;
    const void* known = to_link ? nullptr : find_jump(eip);
    const Lookup lookup = known != nullptr
                              ? Lookup{Lookup::Status::Found, known, nullptr}
                              : look_up(core, eip, reason == Leave::Link && cache_->is_call(c.site));
    if (lookup.status == Lookup::Status::Fault) break;
    if (lookup.status == Lookup::Status::Interpret) {
      outcome = Outcome::OneInstruction;
      break;
    }
    if (flushes == cache_->counters().flushes) {
      if (reason == Leave::Link)
        cache_->link(c.site, *lookup.page);
      else if (known == nullptr)
        remember_jump(lookup, eip, reason);
    }
    entered_ = eip;
    run_translated(lookup.code);
    if (steady_.counter != nullptr) forget_steady();
    if (often_filled_) settle_hidden_faults();
    reason = static_cast<Leave>(c.reason);
    ++counters_.leaves[c.reason];
    if (counting_) settle_count(core, reason);
    if (reason == Leave::Aborted) {
      eip = entered_;
      continue;
    }
    core.repeating = std::exchange(repetition_stopped_, false);
    eip = c.eip;
    if (reason == Leave::Spent) break;
    if (reason == Leave::Decline) {
      if (cpu::Block* const block = declined_block(core, eip)) {
        if (!interpret(core, eip, *block)) return Outcome::Advanced;
        eip = core.state.eip;
        continue;
      }
    }
    if (reason == Leave::Decline || (reason == Leave::Repeat && !permit_repetition())) {
      note_decline(eip);
      outcome = Outcome::OneInstruction;
      break;
    }
    if (reason == Leave::Fault) {
      note_page_fault(eip);
      resumed_ = eip;
      core.raise_page_fault(fault_address_, fault_error_);
      core.faulted = true;
      break;
    }
    if (reason == Leave::Stale) renew_crossing(core, eip);
    if (reason == Leave::Fpu) {
      if (c.fpu_loaded == 0) load_fpu(core);
      // Loaded, and it did not help: #NM or #UD.
      else {
        outcome = Outcome::OneInstruction;
        break;
      }
    }
  }
  if (counting_) settle_count(core, Leave::Aborted);
  core.state.eip = eip;
  leave_state(core);
  return outcome;
}

}  // namespace vitrine::translate

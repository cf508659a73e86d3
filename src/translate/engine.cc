#include "translate/engine.h"

#include <immintrin.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "cpu/code_cache.h"
#include "cpu/fpu_state.h"
#include "cpu/host_unit.h"
#include "cpu/translation.h"
#include "translate/fpu_image.h"
#include "translate/host_signals.h"
#include "x86/control_registers.h"

namespace vitrine::translate {
namespace {

using cpu::Core;

constexpr size_t kCodeMapSize = sizeof(uint32_t) << (32 - kPageShift);
constexpr uint32_t kFaultsToBeSlow = 8, kRunsAsSlow = 4096;
constexpr size_t kReturnStackSize = 256 << 10;
constexpr uint32_t kHostFlags = x86::kArithmeticFlags | x86::kDf;

// Bits of `value` under `mask`, moved together.
uint32_t extract(uint32_t value, uint32_t mask) {
  uint32_t result = 0;
  for (unsigned n = 0; mask != 0; mask &= mask - 1, ++n) result |= (value >> __builtin_ctz(mask) & 1) << n;
  return result;
}

void update(ExtraSegment& segment, const cpu::SegmentView& view) {
  const bool usable = view.readable && view.writable && view.low == 0;
  segment.base = view.base;
  if (segment.usable == usable && segment.limit == view.high) return;
  segment.usable = usable;
  segment.limit = view.high;
  const auto base = reinterpret_cast<uint64_t>(&segment.base);
  segment.unlimited = usable && view.high == 0xffffffff ? base : 0;
  for (unsigned n = 0; n <= ExtraSegment::kSteps; ++n)
    segment.within[n] = usable && uint64_t{view.high} + 1 >= 4 * n ? base : 0;
}

paging::Privilege privilege_of(CodePrivilege mode) {
  return mode == CodePrivilege::Supervisor ? paging::Privilege::Supervisor : paging::Privilege::User;
}

// SAFETY: GS is nobody else's on x86-64 Linux; thread-local storage goes by FS.
[[gnu::target("fsgsbase")]] void set_gs_base_directly(uint64_t base) {
  _writegsbase_u64(base);
}
void set_gs_base(uint64_t base) {
  constexpr unsigned long kHwcap2Fsgsbase = 2;
  static const bool direct = (::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) != 0;
  constexpr int kArchSetGs = 0x1001;
  if (direct) {
    set_gs_base_directly(base);
  } else {
    ::syscall(SYS_arch_prctl, kArchSetGs, base);
  }
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(memory::PhysicalMap& memory, const cpu::CpuModel& model,
                                               const EngineOptions& options) {
  std::unique_ptr<Engine> engine(new Engine(memory, model));
  TRY(engine->build(model, options));
  return engine;
}

Engine::Engine(memory::PhysicalMap& memory, const cpu::CpuModel& /*model*/)
    : memory_(memory), context_(std::make_unique<GuestContext>()) {
  memory_.add_write_listener(*this);
}

Engine::~Engine() {
  memory_.remove_write_listener(*this);
  if (alarm_ != nullptr) ::timer_delete(alarm_);
  if (spaces_) spaces_->set_listener(nullptr);
}

Result<void> Engine::build(const cpu::CpuModel& model, const EngineOptions& options) {
  TRY(prepare_host_signals());
  spaces_ = TRY(paging::ShadowSpaces::create(memory_, options.shadow));
  spaces_->set_listener(this);
  cache_ = TRY(TranslationCache::create(options.code_size));
  bmi2_ = __builtin_cpu_supports("bmi2") != 0;
  Emitter out(cache_->memory().writable(0), 4096);
  glue_ = make_glue(out, {.bmi2 = bmi2_});
  cache_->keep_below((glue_.end + 63) & ~63u);
  translator_ = std::make_unique<Translator>(
      model, *cache_, glue_,
      TranslatorOptions{
          .privileged = options.privileged, .bmi2 = bmi2_, .pause_ends_turn = options.pause_ends_turn});
  jump_cache_ = TRY(Mapping::create(sizeof(JumpEntry) * kJumpEntries, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  clear_jump_cache();
  translator_->use_target_tables(target_tables_);
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

void Engine::set_return_stack_bottoms() {
  for (size_t n = 0; n < return_stacks_.size(); ++n) {
    const bool table = n != static_cast<size_t>(CodePrivilege::Supervisor) && target_tables_;
    const auto bottom = reinterpret_cast<uint64_t>(
        cache_->memory().executable(table ? glue_.unpaired_user_return : glue_.unpaired_return));
    // SAFETY: the last 64 bytes of the return stack, which is ours.
    std::memcpy(reinterpret_cast<void*>(return_stacks_[n].top), &bottom, sizeof bottom);
  }
}

void Engine::reset_return_stacks() {
  for (ReturnStack& stack : return_stacks_) stack.pointer = stack.top;
  context_->return_stack = return_stacks_[active_stack_].top;
}

void Engine::flush_translations() {
  cache_->flush();
  for (auto& [window, code] : window_code_) forget_code(code, 0, uint64_t{1} << (32 - kPageShift));
  clear_jump_cache();
  reset_return_stacks();
}

void Engine::clear_jump_cache() {
  ::madvise(jump_cache_.data(), jump_cache_.size(), MADV_DONTNEED);
  // An empty entry would match address 0 in a window that shows no code there.
  reinterpret_cast<JumpEntry*>(jump_cache_.data())[0].negated_eip = 1;
}

// ---- What the guest and the outside do to what we know.

void Engine::invalidated(cpu::Invalidation what, uint32_t linear) {
  // A load makes the spaces look again at everything that the guest may have changed.
  if (what != cpu::Invalidation::Page) {
    load_pending_ = true;
  } else if (!load_pending_) {
    spaces_->invalidate_page(VirtualAddress(linear));
  }
}

void Engine::kick() {
  context_->kicked = 1;
}

void Engine::entries_dropped(paging::ShadowWindow& window, VirtualAddress first, uint64_t pages) {
  const auto found = window_code_.find(&window);
  if (found != window_code_.end()) forget_code(found->second, first.value >> kPageShift, pages);
}

// 16 GiB of addresses, of which memory is taken where a target is: four bytes for each byte of guest code
// around it.
uint32_t* Engine::target_table(CodePrivilege mode) {
  if (mode == CodePrivilege::Supervisor || !target_tables_) return nullptr;
  Mapping& table = window_code_now_->targets[static_cast<size_t>(mode)];
  if (!table) {
    auto made = Mapping::create(sizeof(uint32_t) << 32, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (!made) {
      // The host has no room for tables: everything goes by the jump cache from here on.
      target_tables_ = false;
      translator_->use_target_tables(false);
      set_return_stack_bottoms();
      flush_translations();
      return nullptr;
    }
    table = std::move(*made);
  }
  return reinterpret_cast<uint32_t*>(table.data());
}

void Engine::forget_targets(WindowCode& code, size_t mode, uint32_t first, uint64_t pages) {
  auto* const table = reinterpret_cast<uint32_t*>(code.targets[mode].data());
  std::erase_if(code.targeted[mode], [&](uint32_t page) {
    if (page - first >= pages) return false;
    std::memset(table + (size_t{page} << kPageShift), 0, sizeof(uint32_t) << kPageShift);
    return true;
  });
}

void Engine::forget_code(WindowCode& code, uint32_t first, uint64_t pages) {
  bool any = false;
  for (size_t mode = 0; mode < code.maps.size(); ++mode) {
    auto* const map = reinterpret_cast<uint32_t*>(code.maps[mode].data());
    forget_targets(code, mode, first, pages);
    any |= std::erase_if(code.used[mode], [&](uint32_t page) {
             if (page - first >= pages) return false;
             map[page] = 0;
             return true;
           }) != 0;
  }
  if (any) reset_return_stacks();
}

uint8_t Engine::watched_bytes_written(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size,
                                      uint8_t watches) {
  constexpr auto kOurs = static_cast<uint8_t>(memory::Watch::Translated);
  if ((watches & kOurs) == 0) return 0;
  forget_units(block, page, offset, size);
  return cache_->has_code(block, page) ? kOurs : 0;
}

void Engine::forget_units(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size) {
  for (const auto& [code_page, old_id] : cache_->drop(block, page, offset, size)) {
    const PageKey& key = code_page->key;
    for (auto& [window, code] : window_code_) {
      auto* const map = reinterpret_cast<uint32_t*>(code.maps[static_cast<size_t>(key.privilege)].data());
      if (map == nullptr || map[key.virtual_page] != old_id) continue;
      map[key.virtual_page] = code_page->id;
      forget_targets(code, static_cast<size_t>(key.privilege), key.virtual_page, 1);
    }
    reset_return_stacks();
  }
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
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(after / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(after % 1'000'000'000);
  ::timer_settime(alarm_, 0, &when, nullptr);
}

// ---- Between the interpreter's state and ours.

bool Engine::suitable(const Core& core) {
  const cpu::CpuState& state = core.state;
  const cpu::SegmentRegister& cs = state.segments[x86::kCs];
  return core.protected_mode() && (state.cpl == 0 || state.cpl == 3) && cs.base == 0 &&
         cs.limit == 0xffffffff && core.block_mode == (cpu::kModeCode32 | cpu::kModeStack32) &&
         core.flat[x86::kDs] != 0 && core.flat[x86::kEs] != 0 && core.flat[x86::kSs] != 0 &&
         (state.eflags & (x86::kTf | x86::kRf | x86::kVm)) == 0 && !core.watch_data && !core.force_step &&
         !core.alignment_check && core.iopl() == 0;
}

CodePrivilege Engine::mode_of(const Core& core) const {
  if (core.state.cpl == 0) return CodePrivilege::Supervisor;
  const bool usable =
      (core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) == 0 && (core.state.cr4 & x86::kCr4Osfxsr) != 0;
  return usable ? CodePrivilege::UserWithFpu : CodePrivilege::User;
}

void Engine::choose_window(Core& core) {
  if (load_pending_) {
    spaces_->load(cpu::paging_registers(core));
    load_pending_ = false;
    reset_return_stacks();
  }
  mode_ = mode_of(core);
  paging::ShadowWindow* const window = &spaces_->window(privilege_of(mode_));
  if (window != window_) window_code_now_ = &window_code_[window];
  window_ = window;
  context_->window = reinterpret_cast<uint64_t>(window_->base().value);
  context_->code_map = reinterpret_cast<uint64_t>(code_map(mode_));
  const uint32_t* const targets = target_table(mode_);
  context_->jump_cache =
      reinterpret_cast<uint64_t>(targets != nullptr ? static_cast<const void*>(targets) : jump_cache_.data());
  set_gs_base(context_->window);
  const auto stack = static_cast<unsigned>(mode_);
  if (stack != active_stack_) {
    return_stacks_[active_stack_].pointer = context_->return_stack;
    context_->return_stack = return_stacks_[stack].pointer;
    active_stack_ = stack;
  }
}

uint32_t* Engine::code_map(CodePrivilege mode) {
  CodeMap& map = window_code_now_->maps[static_cast<size_t>(mode)];
  if (!map) {
    auto made =
        Mapping::create(kCodeMapSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    CHECK(made.has_value(), "{}", made.error().message());
    map = std::move(*made);
  }
  return reinterpret_cast<uint32_t*>(map.data());
}

void Engine::enter_state(Core& core) {
  if (!core.fpu_held) cpu::fpu_leave(core);
  GuestContext& c = *context_;
  const cpu::CpuState& state = core.state;
  std::copy_n(state.gpr.begin(), c.gpr.size(), c.gpr.begin());
  c.rflags = (state.eflags & kHostFlags) | 0x202;
  c.interrupt_flag = state.eflags & x86::kIf;
  c.system_flags = state.eflags & ~(kHostFlags | x86::kIf);
  c.negated_uncommon = 0 - extract(c.system_flags, kUncommonFlags);
  c.interrupt_waits = core.interrupt_request ? 1 : 0;
  for (unsigned n = 0; n < x86::kSegmentCount; ++n) c.selectors[n] = state.segments[n].selector;
  update(c.extra_segments[0], core.views[x86::kFs]);
  update(c.extra_segments[1], core.views[x86::kGs]);
  choose_window(core);
  unload_fpu();
  if (mode_ == CodePrivilege::UserWithFpu) load_fpu(core);
}

void Engine::leave_state(Core& core) {
  const GuestContext& c = *context_;
  cpu::CpuState& state = core.state;
  std::copy_n(c.gpr.begin(), c.gpr.size(), state.gpr.begin());
  state.eflags = (static_cast<uint32_t>(c.rflags) & kHostFlags) | c.interrupt_flag | c.system_flags;
}

void Engine::load_fpu(Core& core) {
  GuestContext& c = *context_;
  if (!core.fpu_held) to_image(core.state.fpu, c.fpu_image);
  core.fpu_held = true;
  c.fpu_loaded = 1;
  c.x87_absent = (core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0 ? 1 : 0;
  c.sse_absent = c.x87_absent != 0 || (core.state.cr4 & x86::kCr4Osfxsr) == 0 ? 1 : 0;
}

// The state stays in the image; translated code has to ask for it.
void Engine::unload_fpu() {
  context_->fpu_loaded = 0;
  context_->x87_absent = context_->sse_absent = 1;
}

void Engine::return_fpu(Core& core) {
  GuestContext& c = *context_;
  core.fpu_held = false;
  unload_fpu();
  cpu::FloatingPointState& fpu = core.state.fpu;
  const uint64_t instruction = from_image(c.fpu_image, fpu);
  if (!cache_->memory().contains(instruction)) return;
  // The host's record of the last x87 instruction is an address of translated code.
  const uint32_t offset = cache_->memory().offset_of(instruction);
  const Unit* const unit = cache_->unit_at(offset);
  const Boundary* const boundary = unit != nullptr ? TranslationCache::boundary_at(*unit, offset) : nullptr;
  if (boundary == nullptr) return;
  fpu.instruction_pointer = unit->page->key.virtual_page << kPageShift | boundary->guest;
  fpu.instruction_segment = core.state.segments[x86::kCs].selector;
  std::memcpy(&fpu.opcode, c.fpu_image.data() + 6, sizeof fpu.opcode);
  fpu.opcode &= 0x7ff;
  std::memcpy(&fpu.data_pointer, c.fpu_image.data() + 16, sizeof fpu.data_pointer);
  fpu.data_segment = core.state.segments[x86::kDs].selector;
}

// ---- Finding code.

CodePage* Engine::code_page(Core& core, uint32_t eip, Lookup& lookup) {
  const uint32_t virtual_page = eip >> kPageShift;
  uint32_t* const map = code_map(mode_);
  if (map[virtual_page] != 0) {
    if (CodePage* page = cache_->page(map[virtual_page])) return page;
  }
  const paging::FillResult filled =
      spaces_->fill(VirtualAddress(eip), paging::AccessKind::Fetch, privilege_of(mode_));
  if (filled.outcome == paging::FillOutcome::TrueFault) {
    core.raise_page_fault(eip, filled.error_code);
    core.faulted = true;
    lookup.status = Lookup::Status::Fault;
    return nullptr;
  }
  if (filled.outcome == paging::FillOutcome::Emulate) {
    lookup.status = Lookup::Status::Interpret;
    return nullptr;
  }
  const PageKey key{filled.block, filled.page, virtual_page, mode_};
  CodePage* page = cache_->find_page(key);
  if (page == nullptr) page = &cache_->add_page(key);
  if (map[virtual_page] == 0) window_code_now_->used[static_cast<size_t>(mode_)].push_back(virtual_page);
  map[virtual_page] = page->id;
  return page;
}

Engine::Lookup Engine::look_up(Core& core, uint32_t eip) {
  Lookup lookup;
  CodePage* page = code_page(core, eip, lookup);
  if (page == nullptr) return lookup;
  const auto offset = static_cast<uint16_t>(eip & kPageMask);
  auto found = page->entries.find(offset);
  if (found == page->entries.end()) {
    if (!cache_->has_room()) {
      flush_translations();
      page = code_page(core, eip, lookup);
      if (page == nullptr) return lookup;
    }
    auto* const block = const_cast<memory::RamBlock*>(page->key.block);
    memory_.watch(*block, page->key.page, memory::Watch::Translated);
    ++counters_.translations;
    if (!translator_->translate(core, *page, bytes_of(*page), eip) &&
        !translate_crossing(core, *page, eip, lookup))
      return lookup;
    found = page->entries.find(offset);
    CHECK(found != page->entries.end());
  }
  lookup.status = Lookup::Status::Found;
  lookup.code = cache_->memory().executable(found->second);
  lookup.page = page;
  return lookup;
}

bool Engine::translate_crossing(Core& core, CodePage& page, uint32_t eip, Lookup& lookup) {
  CodePage* const next = code_page(core, (eip | kPageMask) + 1, lookup);
  if (next == nullptr) return false;
  memory_.watch(*const_cast<memory::RamBlock*>(next->key.block), next->key.page, memory::Watch::Translated);
  translator_->translate_crossing(core, page, bytes_of(page), *next, bytes_of(*next), eip);
  return true;
}

// The window does not know the second page of an instruction, or it is another one by now.
void Engine::renew_crossing(Core& core, uint32_t eip) {
  Lookup lookup;
  CodePage* const page = code_page(core, eip, lookup);
  if (page == nullptr) return;
  const auto entry = page->entries.find(static_cast<uint16_t>(eip & kPageMask));
  if (entry == page->entries.end()) return;
  const Unit* const unit = cache_->unit_at(entry->second);
  const CodePage* const next = code_page(core, (eip | kPageMask) + 1, lookup);
  if (lookup.status == Lookup::Status::Fault) core.faulted = false;  // Whoever looks it up finds out.
  if (next == unit->tail_page && next != nullptr && next->id == unit->tail_id) return;
  forget_units(*const_cast<memory::RamBlock*>(page->key.block), page->key.page, eip & kPageMask, 1);
}

// An instruction that faults again and again only to be interpreted (a device's register, a page with code)
// is translated to a plain way out, which costs a tenth; now and then it gets another chance.
void Engine::note_decline(uint32_t eip) {
  const uint32_t id = reinterpret_cast<const uint32_t*>(context_->code_map)[eip >> kPageShift];
  CodePage* const page = id != 0 ? cache_->page(id) : nullptr;
  const bool faulted = slow_site_ == eip;
  slow_site_.reset();
  if (page == nullptr || (!faulted && page->slow.empty())) return;
  const auto offset = static_cast<uint16_t>(eip & kPageMask);
  const auto site = page->slow.find(offset);
  if (!faulted && site == page->slow.end()) return;
  SlowSite& slow = faulted ? page->slow[offset] : site->second;
  if (faulted ? ++slow.faults < kFaultsToBeSlow : ++slow.runs < kRunsAsSlow) return;
  slow = SlowSite{.slow = faulted};
  forget_units(*const_cast<memory::RamBlock*>(page->key.block), page->key.page, offset, 1);
}

const void* Engine::find_jump(uint32_t eip) const {
  const JumpEntry& entry = reinterpret_cast<const JumpEntry*>(jump_cache_.data())[eip & (kJumpEntries - 1)];
  const auto* const map = reinterpret_cast<const uint32_t*>(context_->code_map);
  const bool same = entry.negated_eip == 0 - eip && entry.negated_page == 0 - map[eip >> kPageShift] &&
                    entry.negated_page != 0;
  return same ? reinterpret_cast<const void*>(entry.code) : nullptr;
}

void Engine::remember_jump(const Lookup& lookup, uint32_t eip, Leave reason) {
  uint32_t* const targets = reason == Leave::Indirect ? target_table(mode_) : nullptr;
  if (targets != nullptr) {
    auto& targeted = window_code_now_->targeted[static_cast<size_t>(mode_)];
    const uint32_t page = eip >> kPageShift;
    if (std::ranges::find(targeted, page) == targeted.end()) targeted.push_back(page);
    targets[eip] = cache_->memory().offset_of(reinterpret_cast<uint64_t>(lookup.code));
  }
  auto* const entries = reinterpret_cast<JumpEntry*>(jump_cache_.data());
  entries[eip & (kJumpEntries - 1)] = {.negated_eip = 0 - eip,
                                       .negated_page = 0 - lookup.page->id,
                                       .code = reinterpret_cast<uint64_t>(lookup.code)};
}

// ---- Running.

std::vector<std::pair<std::string, uint64_t>> Engine::declined_operations() const {
  std::vector<std::pair<std::string, uint64_t>> result;
  for (size_t n = 0; n < declined_.size(); ++n)
    if (declined_[n] != 0) result.emplace_back(cpu::name(static_cast<cpu::Operation>(n)), declined_[n]);
  std::ranges::sort(result, std::greater{}, &std::pair<std::string, uint64_t>::second);
  return result;
}

Engine::Outcome Engine::run(Core& core) {
  if (!suitable(core)) {
    ++counters_.unsuitable;
    return Outcome::Unsuitable;
  }
  GuestContext& c = *context_;
  const bool first = core_ == nullptr;
  core_ = &core;
  // An alarm that went off before the first run knew of no processor.
  if (first && c.kicked != 0) core.attention.fetch_or(cpu::kAttentionKick, std::memory_order_release);
  c.kicked = 0;
  set_current_engine(this);
  enter_state(core);
  // SAFETY: the glue keeps the ABI: callee-saved registers, stack, direction flag, MXCSR and x87 unit.
  const auto enter = reinterpret_cast<void (*)(GuestContext*, const void*)>(
      reinterpret_cast<uintptr_t>(cache_->memory().executable(glue_.enter)));
  uint32_t eip = core.state.eip;
  auto reason = Leave::Kicked;
  Outcome outcome = Outcome::Advanced;
  for (;;) {
    if (core.attention.load(std::memory_order_acquire) != 0) break;
    const uint64_t flushes = cache_->counters().flushes;
    const bool to_link = reason == Leave::Link || reason == Leave::Indirect;
    const void* known = to_link ? nullptr : find_jump(eip);
    const Lookup lookup =
        known != nullptr ? Lookup{Lookup::Status::Found, known, nullptr} : look_up(core, eip);
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
    ++counters_.entries;
    enter(&c, lookup.code);
    reason = static_cast<Leave>(c.reason);
    ++counters_.leaves[c.reason];
    if (reason == Leave::Aborted) continue;
    eip = c.eip;
    if (reason == Leave::Decline) {
      note_decline(eip);
      outcome = Outcome::OneInstruction;
      break;
    }
    if (reason == Leave::Fault) {
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
  core.state.eip = eip;
  leave_state(core);
  return outcome;
}

// ---- On the alternate stack.

bool Engine::at_boundary(uint64_t rip, uint32_t& eip) const {
  if (!cache_->memory().contains(rip)) return false;
  const uint32_t offset = cache_->memory().offset_of(rip);
  const Unit* const unit = cache_->unit_at(offset);
  const Boundary* const boundary = unit != nullptr ? TranslationCache::boundary_at(*unit, offset) : nullptr;
  if (boundary == nullptr) return false;
  eip = unit->page->key.virtual_page << kPageShift | boundary->guest;
  if (boundary->host == offset) return !boundary->shadow;
  // A repeated string instruction can be interrupted between any two of its steps: it begins again with what
  // is left.
  const uint8_t* code = cache_->memory().executable(offset);
  if (code[0] == 0x66) ++code;
  const uint8_t opcode = code[1] & 0xfe;
  return (code[0] == 0xf3 || code[0] == 0xf2) &&
         (opcode == 0xa4 || opcode == 0xa6 || opcode == 0xaa || opcode == 0xac || opcode == 0xae);
}

void Engine::redirect(ucontext_t& frame, uint32_t way_out, uint32_t eip) {
  auto& registers = frame.uc_mcontext.gregs;
  registers[REG_RIP] = reinterpret_cast<greg_t>(cache_->memory().executable(way_out));
  registers[REG_R8] = eip;
  // Inside a string instruction these are addresses in the window; the low half is the guest's register.
  registers[REG_RSI] &= 0xffffffff;
  registers[REG_RDI] &= 0xffffffff;
  registers[REG_EFL] &= ~static_cast<greg_t>(x86::kTf);
  stepping_ = false;
}

void Engine::step_to_boundary(ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  uint32_t eip = 0;
  if (at_boundary(rip, eip)) return redirect(frame, glue_.kicked, eip);
  stepping_ = cache_->memory().contains(rip);
  if (stepping_) {
    registers[REG_EFL] |= static_cast<greg_t>(x86::kTf);
  } else {
    registers[REG_EFL] &= ~static_cast<greg_t>(x86::kTf);
  }
}

void Engine::handle_kick(ucontext_t& frame) {
  ++counters_.kicks;
  if (core_ != nullptr) core_->attention.fetch_or(cpu::kAttentionKick, std::memory_order_release);
  context_->kicked = 1;
  if (cache_->memory().contains(static_cast<uint64_t>(frame.uc_mcontext.gregs[REG_RIP])))
    step_to_boundary(frame);
}

bool Engine::fault_of_translated_code(uint64_t address, ucontext_t& frame, const Unit& unit) {
  const auto& registers = frame.uc_mcontext.gregs;
  const uint32_t offset = cache_->memory().offset_of(static_cast<uint64_t>(registers[REG_RIP]));
  const Boundary* const boundary = TranslationCache::boundary_at(unit, offset);
  if (boundary == nullptr) return false;
  const uint32_t eip = unit.page->key.virtual_page << kPageShift | boundary->guest;
  constexpr greg_t kPageFault = 14, kWrite = 2;
  const MachineAddress where(reinterpret_cast<uint8_t*>(address));
  if (registers[REG_TRAPNO] == kPageFault && window_->contains(where)) {
    const auto kind =
        (registers[REG_ERR] & kWrite) != 0 ? paging::AccessKind::Write : paging::AccessKind::Read;
    const VirtualAddress linear(static_cast<uint32_t>(address));
    const paging::FillResult filled = spaces_->fill(linear, kind, privilege_of(mode_));
    if (filled.outcome == paging::FillOutcome::Filled) return true;
    if (filled.outcome == paging::FillOutcome::TrueFault) {
      fault_address_ = linear.value;
      fault_error_ = filled.error_code;
      redirect(frame, glue_.fault, eip);
      return true;
    }
  }
  slow_site_ = eip;
  redirect(frame, glue_.decline, eip);
  return true;
}

bool Engine::handle_fault(int signal, uint64_t address, ucontext_t& frame) {
  auto& registers = frame.uc_mcontext.gregs;
  const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
  if (signal == SIGTRAP && stepping_) {
    step_to_boundary(frame);
    return true;
  }
  if (!cache_->memory().contains(rip)) return false;
  ++counters_.host_faults;
  for (const ReturnStack& stack : return_stacks_) {
    const auto low = reinterpret_cast<uint64_t>(stack.memory.data());
    if (address - low >= kPageSize) continue;
    registers[REG_RSP] = static_cast<greg_t>(stack.top);  // Full: begin anew. The push is executed again.
    return true;
  }
  const Unit* const unit = cache_->unit_at(cache_->memory().offset_of(rip));
  return unit != nullptr && fault_of_translated_code(address, frame, *unit);
}

}  // namespace vitrine::translate

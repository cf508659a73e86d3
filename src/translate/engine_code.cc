// How the engine finds, makes and forgets translated code: the maps of each window, the jump cache, the
// tables of targets and the return stacks that lead to it.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "translate/engine.h"

namespace vitrine::translate {
namespace {

using cpu::Core;

constexpr size_t kCodeMapSize = sizeof(uint32_t) << (32 - kPageShift);

}  // namespace

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
  stacks_stale_ = true;
}

// A mode that is entered at another ESP than it was left at goes on with another stack, or with a signal's
// handler.
void Engine::activate_return_stack(uint32_t esp) {
  const auto wanted = static_cast<unsigned>(mode_);
  ReturnStack& stack = return_stacks_[wanted];
  if (wanted != active_stack_) {
    return_stacks_[active_stack_].pointer = context_->return_stack;
    context_->return_stack = stack.esp == esp ? stack.pointer : stack.top;
    active_stack_ = wanted;
  }
  context_->return_stack_top = stack.top;
}

void Engine::flush_translations() {
  cache_->flush();
  renew_checks();
  for (auto& [window, code] : window_code_) forget_code(code, 0, uint64_t{1} << (32 - kPageShift));
  clear_jump_cache();
  reset_return_stacks();
}

void Engine::clear_jump_cache() {
  ::madvise(jump_cache_.data(), jump_cache_.size(), MADV_DONTNEED);
  // An empty entry would match address 0 in a window that shows no code there.
  reinterpret_cast<JumpEntry*>(jump_cache_.data())[0].negated_eip = 1;
}

// 16 GiB of addresses, of which memory is taken where a target is: four bytes for each byte of guest code
// around it.
uint32_t* Engine::target_table(CodePrivilege mode) {
  if (mode == CodePrivilege::Supervisor || !target_tables_) return nullptr;
  Mapping& table = window_code_now_->targets[static_cast<size_t>(mode)];
  if (!table) {
    constexpr size_t kSize = sizeof(uint32_t) << 32;
    Result<Mapping> made = std::unexpected(Error{});
    if (addresses_to_spare(kSize))
      made = Mapping::create(kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
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
  std::erase_if(code.targeted[mode], [&](const TargetedPage& targeted) {
    if (targeted.page - first >= pages) return false;
    uint32_t* const start = table + (size_t{targeted.page} << kPageShift);
    for (uint64_t lines = targeted.lines; lines != 0; lines &= lines - 1) {
      std::fill_n(start + std::countr_zero(lines) * TargetedPage::kLine, TargetedPage::kLine, 0);
    }
    return true;
  });
}

void Engine::forget_code(WindowCode& code, uint32_t first, uint64_t pages) {
  bool any = false;
  for (size_t mode = 0; mode < code.maps.size(); ++mode) {
    auto* const map = reinterpret_cast<uint32_t*>(code.maps[mode].data());
    auto* const before = reinterpret_cast<uint32_t*>(code.before[mode].data());
    forget_targets(code, mode, first, pages);
    any |= std::erase_if(code.used[mode], [&](uint32_t page) {
             if (page - first >= pages) return false;
             before[page] = std::exchange(map[page], 0);
             return true;
           }) != 0;
  }
  if (any) reset_return_stacks();
}

uint8_t Engine::watched_bytes_written(memory::RamBlock& block, uint64_t page, uint32_t offset, uint32_t size,
                                      uint8_t watches) {
  constexpr auto kOurs = static_cast<uint8_t>(memory::Watch::Translated);
  if ((watches & kOurs) == 0) return 0;
  if (cache_->made_from(block, page, offset, size)) {
    halt();
    forget_units(block, page, offset, size);
  }
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

uint32_t* Engine::code_map(CodePrivilege mode) {
  CodeMap& map = window_code_now_->maps[static_cast<size_t>(mode)];
  for (CodeMap* const wanted : {&map, &window_code_now_->before[static_cast<size_t>(mode)]}) {
    if (*wanted) continue;
    auto made =
        Mapping::create(kCodeMapSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    CHECK(made.has_value(), "{}", made.error().message());
    *wanted = std::move(*made);
  }
  return reinterpret_cast<uint32_t*>(map.data());
}

// ---- Finding code.

CodePage* Engine::code_page(Core& core, uint32_t eip, Lookup& lookup) {
  const uint32_t virtual_page = eip >> kPageShift;
  uint32_t* const map = code_map(mode_);
  if (map[virtual_page] != 0) {
    if (CodePage* page = cache_->page(map[virtual_page])) return page;
  }
  const uint64_t before = shadow_counters().pages_filled;
  const paging::FillResult filled =
      spaces_->fill(VirtualAddress(eip), paging::AccessKind::Fetch, privilege());
  tell_of_fill(eip, eip, paging::AccessKind::Fetch, filled, before, false);
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
  CodePage* page = page_before(virtual_page);
  if (page == nullptr || page->key != key) page = cache_->find_page(key);
  if (page == nullptr) page = &cache_->add_page(key);
  know(*page);
  know_neighbours(virtual_page);
  return page;
}

CodePage* Engine::page_before(uint32_t virtual_page) const {
  const CodeMap& before = window_code_now_->before[static_cast<size_t>(mode_)];
  const uint32_t id = reinterpret_cast<const uint32_t*>(before.data())[virtual_page];
  return id != 0 ? cache_->page(id) : nullptr;
}

// The window gives a page of code at its address.
void Engine::know(CodePage& page) {
  uint32_t& id = code_map(mode_)[page.key.virtual_page];
  if (id == 0) window_code_now_->used[static_cast<size_t>(mode_)].push_back(page.key.virtual_page);
  id = page.id;
  if (page.targets.empty()) return;
  uint32_t* const table = target_table(mode_);
  if (table == nullptr) return;
  TargetedPage& targeted = targeted_page(page.key.virtual_page);
  for (const uint16_t offset : page.targets) {
    if (const uint32_t entry = page.entries.find(offset); entry != 0)
      set_target(table, targeted, offset, entry);
  }
}

// A program that is started again has the same code at the same place, and systems give a page of it together
// with those around: these are known again at once, where that takes no mapping, and not each for a way out
// of translated code.
void Engine::know_neighbours(uint32_t virtual_page) {
  constexpr uint32_t kGivenTogether = 16;
  const uint32_t first = virtual_page & ~(kGivenTogether - 1);
  for (uint32_t page = first; page < first + kGivenTogether; ++page) {
    CodePage* const known = page_before(page);
    if (known == nullptr || code_map(mode_)[page] != 0) continue;
    const auto noted = spaces_->prefetch_code(VirtualAddress(page << kPageShift), privilege());
    if (noted.outcome == paging::FillOutcome::Filled &&
        known->key == PageKey{noted.block, noted.page, page, mode_}) {
      know(*known);
    }
  }
}

// What is done to find code (a page being watched, the next page of an instruction) may cost the window its
// entries where mappings are few. Nobody would be told when the guest invalidates what it does not show, so
// code that is found then is not used.
Engine::Lookup Engine::look_up(Core& core, uint32_t eip, bool called) {
  const inspect::ActivityScope scope(core.activity, inspect::Activity::Translate);
  constexpr int kAttempts = 3;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Lookup lookup = find_code(core, eip, called);
    if (lookup.status != Lookup::Status::Found || known_page(eip) == lookup.page) return lookup;
  }
  return {};
}

Engine::Lookup Engine::find_code(Core& core, uint32_t eip, bool called) {
  Lookup lookup;
  CodePage* page = code_page(core, eip, lookup);
  if (page == nullptr) return lookup;
  const auto offset = static_cast<uint16_t>(eip & kPageMask);
  uint32_t entry = page->entries.find(offset);
  // Once more for CALLs, if it was something else that came first.
  const bool again = entry != 0 && called && !page->called.contains(offset) && cache_->has_room();
  if (entry == 0 || again) {
    if (!cache_->has_room()) {
      flush_translations();
      page = code_page(core, eip, lookup);
      if (page == nullptr) return lookup;
    }
    memory_.watch(*page->key.block, page->key.page, memory::Watch::Translated);
    const auto pending = again ? std::nullopt : cache_->find_pending(*page, offset);
    if (pending)
      translator_->add_entry(*page, *pending);
    else if (!translator_->translate(core, *page, bytes_of(*page), eip, called) && !again &&
             !translate_crossing(core, *page, eip, lookup))
      return lookup;
    entry = page->entries.find(offset);
    CHECK(entry != 0);
  }
  lookup.status = Lookup::Status::Found;
  lookup.code = cache_->memory().executable(entry);
  lookup.page = page;
  return lookup;
}

bool Engine::translate_crossing(Core& core, CodePage& page, uint32_t eip, Lookup& lookup) {
  const uint32_t next_page = (eip | kPageMask) + 1;
  if (next_page == 0) return false;  // Over the end of the address space: the interpreter's.
  CodePage* const next = code_page(core, next_page, lookup);
  if (next == nullptr) return false;
  memory_.watch(*next->key.block, next->key.page, memory::Watch::Translated);
  translator_->translate_crossing(core, page, bytes_of(page), *next, bytes_of(*next), eip);
  return true;
}

// The window does not know the second page of an instruction, or it is another one by now.
void Engine::renew_crossing(Core& core, uint32_t eip) {
  Lookup lookup;
  CodePage* const page = code_page(core, eip, lookup);
  if (page == nullptr) return;
  const uint32_t entry = page->entries.find(static_cast<uint16_t>(eip & kPageMask));
  if (entry == 0) return;
  const Unit* const unit = cache_->unit_at(entry);
  const CodePage* const next = code_page(core, (eip | kPageMask) + 1, lookup);
  if (lookup.status == Lookup::Status::Fault) core.faulted = false;  // Whoever looks it up finds out.
  if (next == unit->tail_page && next != nullptr && next->id == unit->tail_id) return;
  forget_units(*page->key.block, page->key.page, eip & kPageMask, 1);
}

CodePage* Engine::known_page(uint32_t eip) const {
  const uint32_t id = reinterpret_cast<const uint32_t*>(context_->code_map)[eip >> kPageShift];
  return id != 0 ? cache_->page(id) : nullptr;
}

Engine::TargetedPage& Engine::targeted_page(uint32_t page) {
  auto& targeted = window_code_now_->targeted[static_cast<size_t>(mode_)];
  const auto known = std::ranges::find(targeted, page, &TargetedPage::page);
  return known != targeted.end() ? *known : targeted.emplace_back(page);
}

void Engine::set_target(uint32_t* table, TargetedPage& targeted, uint16_t offset, uint32_t entry) {
  targeted.lines |= uint64_t{1} << offset / TargetedPage::kLine;
  table[targeted.page << kPageShift | offset] = entry;
}

const void* Engine::find_jump(uint32_t eip) const {
  const JumpEntry& entry = reinterpret_cast<const JumpEntry*>(jump_cache_.data())[eip & (kJumpEntries - 1)];
  const auto* const map = reinterpret_cast<const uint32_t*>(context_->code_map);
  const bool same = entry.negated_eip == 0 - eip && entry.negated_page == 0 - map[eip >> kPageShift] &&
                    entry.negated_page != 0;
  return same ? reinterpret_cast<const void*>(entry.code) : nullptr;
}

void Engine::remember_jump(const Lookup& lookup, uint32_t eip, Leave reason) {
  if (const auto call = std::exchange(stray_, std::nullopt)) {
    const CodePage* const page = known_page(*call);
    if (page != nullptr) forget_units(*page->key.block, page->key.page, *call & kPageMask, 1);
  }
  uint32_t* const table = reason == Leave::Indirect ? target_table(mode_) : nullptr;
  if (table != nullptr) {
    constexpr size_t kMostTargets = 64;
    std::vector<uint16_t>& known = lookup.page->targets;
    const auto offset = static_cast<uint16_t>(eip & kPageMask);
    if (known.size() < kMostTargets && std::ranges::find(known, offset) == known.end())
      known.push_back(offset);
    set_target(table, targeted_page(eip >> kPageShift), offset,
               cache_->memory().offset_of(reinterpret_cast<uint64_t>(lookup.code)));
  }
  auto* const entries = reinterpret_cast<JumpEntry*>(jump_cache_.data());
  entries[eip & (kJumpEntries - 1)] = {.negated_eip = 0 - eip,
                                       .negated_page = 0 - lookup.page->id,
                                       .code = reinterpret_cast<uint64_t>(lookup.code)};
}

}  // namespace vitrine::translate

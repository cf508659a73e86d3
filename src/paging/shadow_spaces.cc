#include "paging/shadow_spaces.h"

#include <algorithm>
#include <utility>

#include "base/mapping.h"
#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::paging {

using memory::RamBlock;
using memory::Region;
using memory::Watch;

namespace {

// The longest run: 1 MiB. A mapping costs the host the same whatever its length, but each page costs the
// books some nanoseconds, and what one fault filled is what one drop takes away.
constexpr uint32_t kLongestRun = 256;
// Up to this length a run comes with its host page-table entries; of a longer one only so many around the
// address do, the rest as they are touched.
constexpr uint32_t kPopulated = 16;
// What a fill may add: the run itself and the two parts that it leaves of what it interrupts.
constexpr uint64_t kMappingsOfAFill = 3;

// Windows are numbered with 12 bits.
constexpr unsigned kMostSpaces = 1024;
// Of the books: about 34 MB.
constexpr uint64_t kMostLeaves = 32768;

constexpr uint32_t kCr0OfPaging = x86::kCr0Pg | x86::kCr0Wp;
constexpr uint32_t kCr4OfPaging = x86::kCr4Pse | x86::kCr4Pae | x86::kCr4Pge;

bool same_mode(const PagingRegisters& a, const PagingRegisters& b) {
  return ((a.cr0 ^ b.cr0) & kCr0OfPaging) == 0 && ((a.cr4 ^ b.cr4) & kCr4OfPaging) == 0 &&
         ((a.efer ^ b.efer) & x86::kEferNxe) == 0 && a.pse36 == b.pse36 && a.pat == b.pat;
}

// Drops the entries of a window that a CR3 load invalidates, in as few pieces as possible.
void drop_non_global(ShadowWindow& window) {
  ShadowBook& book = window.book();
  constexpr uint32_t kEnd = ShadowBook::kPages;
  for (uint32_t page = book.next_live(0, kEnd); page < kEnd;) {
    if (book.word(page).global()) {
      page = book.next_live(page + 1, kEnd);
      continue;
    }
    const uint32_t first = page;
    uint32_t last = page;
    while (page < kEnd && !book.word(page).global()) {
      last = page;
      page = book.next_live(page + 1, kEnd);
    }
    window.drop(first, last - first + 1);
  }
}

// The pages that one entry of the guest maps, which INVLPG drops together.
PageRun reach_of_large_page(uint32_t page, const PagingRegisters& registers) {
  const uint32_t pages =
      1u << ((registers.pae() ? x86::kPaeLargeShift : x86::kLegacyLargeShift) - kPageShift);
  return {page & ~(pages - 1), pages};
}

}  // namespace

Result<std::unique_ptr<ShadowSpaces>> ShadowSpaces::create(memory::PhysicalMap& memory,
                                                           const Options& options) {
  std::unique_ptr<ShadowSpaces> spaces(new ShadowSpaces(memory, options));
  if (Result<void> made = spaces->create_space(); !made) return std::unexpected(std::move(made).error());
  spaces->active_ = spaces->spaces_.front().get();
  return spaces;
}

ShadowSpaces::ShadowSpaces(memory::PhysicalMap& memory, const Options& options)
    : memory_(memory),
      context_(options.mapping_budget),
      tables_(memory, context_.counters,
              {.protects = options.policy == ShadowPolicy::Proactive, .patience = options.table_patience}),
      options_(options) {
  options_.most_spaces = std::clamp(options_.most_spaces, 1u, kMostSpaces);
  memory_.add_listener(*this);
  memory_.add_write_listener(*this);
}

ShadowSpaces::~ShadowSpaces() {
  memory_.remove_listener(*this);
  memory_.remove_write_listener(*this);
  context_.listener = nullptr;
}

Result<void> ShadowSpaces::create_space() {
  auto space = std::make_unique<ShadowSpace>();
  const size_t windows = options_.views == ShadowViews::One ? 1 : 2;
  while (space->windows.size() < windows) space->windows.push_back(TRY(ShadowWindow::create(context_)));
  if (keeps()) space->slots.resize(ShadowSpace::kSlots);
  spaces_.push_back(std::move(space));
  ++context_.counters.spaces_made;
  return {};
}

void ShadowSpaces::load(const PagingRegisters& registers) {
  ++context_.counters.page_table_loads;
  memory_.finish_writes();
  keeps() ? load_kept(registers) : load_on_demand(registers);
}

void ShadowSpaces::load_on_demand(const PagingRegisters& registers) {
  const bool keeps_global = same_mode(registers, registers_) && (registers.cr4 & x86::kCr4Pge) != 0;
  registers_ = active_->registers = registers;
  if (!keeps_global) {
    invalidate_all();
    return;
  }
  // SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches": global pages stay.
  for (const auto& window : active_->windows) drop_non_global(*window);
}

void ShadowSpaces::load_kept(const PagingRegisters& registers) {
  ShadowSpace& space = space_for(registers);
  if (registers.enabled() && space.derived.none() && active_->key.mode == space.key.mode)
    share(space, *active_, registers);
  registers_ = registers;
  active_ = &space;
  space.last_used = context_.counters.page_table_loads;
  space.registers = registers;
  tables_.synchronize(space, registers);
}

// A space that is new or has been emptied begins with what its page table has in common with another's: the
// kernel's part, as a rule. A mapping alone costs a third of a fault that makes it.
void ShadowSpaces::share(ShadowSpace& space, const ShadowSpace& donor, const PagingRegisters& registers) {
  const std::vector<PageRun> common = tables_.share(space, donor, registers);
  space.shown_to = donor.shown_to;
  for (size_t i = 0; i < space.windows.size(); ++i) {
    for (const PageRun& pages : common) {
      if (!copy_window(*space.windows[i], *donor.windows[i], pages)) return;
    }
  }
}

// False: there is no room.
bool ShadowSpaces::copy_window(ShadowWindow& to, const ShadowWindow& from, const PageRun& pages) {
  const ShadowBook& book = from.book();
  const uint32_t end = pages.first + pages.count;
  for (uint32_t page = book.next_live(pages.first, end); page < end;) {
    if (!context_.budget.allows(kMappingsOfAFill) || context_.leaves.in_use() >= kMostLeaves) return false;
    const ShadowWord word = book.word(page);
    uint32_t count = 1;
    while (page + count < end && book.word(page + count).value == word.plus(count).value) ++count;
    if (!to.map(page, count, word, count <= kPopulated ? Populate::Yes : Populate::No)) return false;
    context_.counters.pages_shared += count;
    page = book.next_live(page + count, end);
  }
  return true;
}

ShadowWindow& ShadowSpaces::enter(Privilege privilege) {
  ShadowWindow& entered = window(privilege);
  if (&entered != std::exchange(entered_, &entered)) ++context_.counters.window_switches;
  if (active_->windows.size() == 1 && std::exchange(active_->shown_to, privilege) != privilege) {
    ++context_.counters.windows_emptied;
    entered.drop(0, ShadowBook::kPages);
  }
  return entered;
}

const ShadowSpace* ShadowSpaces::find(const PagingRegisters& registers) const {
  const SpaceKey key = SpaceKey::of(registers);
  for (const auto& space : spaces_) {
    if (keeps() ? space->key == key : SpaceKey::of(registers_) == key) return space.get();
  }
  return nullptr;
}

std::expected<Translation, WalkFault> ShadowSpaces::look(const PagingRegisters& registers,
                                                         VirtualAddress address) const {
  return walk(memory_, registers, address, AccessKind::Read, Privilege::Supervisor, Effects::None);
}

ShadowSpace& ShadowSpaces::space_for(const PagingRegisters& registers) {
  const SpaceKey key = SpaceKey::of(registers);
  for (const auto& space : spaces_) {
    if (space->key == key) return *space;
  }
  ShadowSpace* found = abandoned_space(registers);
  if (found == nullptr && spaces_.size() < options_.most_spaces) {
    constexpr uint64_t kWindows = 3 * ShadowWindow::kSize;  // two, the second cut out of twice its size
    if (addresses_to_spare(kWindows) && create_space()) {
      found = spaces_.back().get();
    } else {
      // The host has no more addresses for us: it is not asked again.
      options_.most_spaces = static_cast<unsigned>(spaces_.size());
    }
  }
  if (found == nullptr) found = &space_to_recycle(registers);
  if (found->last_used != 0) ++context_.counters.spaces_recycled;
  // In another mode the same entries mean something else. Otherwise synchronize() keeps what both page tables
  // have in common: the kernel's part, as a rule.
  if (found->key.mode != key.mode) discard(*found);
  found->key = key;
  return *found;
}

// A space that has never been used, or whose page table the guest has taken down, as at the end of a process.
// (That it has a new one at the same address is found by its key.)
ShadowSpace* ShadowSpaces::abandoned_space(const PagingRegisters& registers) {
  const SpaceKey key = SpaceKey::of(registers);
  for (const auto& space : spaces_) {
    if (space->last_used == 0) return space.get();
    if (space->key.mode != key.mode || !registers.enabled() || space.get() == active_) continue;
    if (tables_.abandoned(*space, registers)) return space.get();
  }
  return nullptr;
}

// Among the spaces that have not been used for longest, the one with most in common.
ShadowSpace& ShadowSpaces::space_to_recycle(const PagingRegisters& registers) {
  constexpr size_t kCandidates = 8;
  std::vector<ShadowSpace*> candidates;
  candidates.reserve(spaces_.size());
  for (const auto& space : spaces_) candidates.push_back(space.get());
  std::ranges::sort(candidates, {}, &ShadowSpace::last_used);
  candidates.resize(std::min(candidates.size(), kCandidates));
  const uint64_t mode = SpaceKey::of(registers).mode;
  return **std::ranges::max_element(candidates, {}, [&](const ShadowSpace* space) {
    return space->key.mode == mode ? tables_.agreement(*space, registers) : 0;
  });
}

void ShadowSpaces::invalidate_all() {
  if (keeps()) return;
  for (const auto& space : spaces_) {
    for (const auto& window : space->windows) {
      ++context_.counters.windows_emptied;
      window->drop(0, ShadowBook::kPages);
    }
    tables_.detach(*space);
  }
}

void ShadowSpaces::invalidate_page(VirtualAddress address) {
  const uint32_t page = address.value >> kPageShift;
  memory_.finish_writes();
  if (keeps()) {
    tables_.invalidate(*active_, registers_, page);
    return;
  }
  const PageRun reach = reach_of_large_page(page, registers_);
  for (const auto& window : active_->windows) {
    const ShadowBook& book = window->book();
    if (book.word(page).live()) window->drop(page, 1);
    // A large page may have been filled in part, elsewhere. What else lies in its reach may go, too.
    const uint32_t end = reach.first + reach.count;
    for (uint32_t i = book.next_live(reach.first, end); i < end; i = book.next_live(i + 1, end)) {
      if (!book.word(i).large()) continue;
      window->drop(reach.first, reach.count);
      break;
    }
  }
}

void ShadowSpaces::physical_map_changed() {
  discard_everything();
  // A block that has left the map may die, and another come to lie at its address.
  context_.reverse.forget_blocks();
  tables_.forget_writes();
}

void ShadowSpaces::page_watched(RamBlock& block, uint64_t page) {
  const unsigned number = context_.reverse.find_number(block);
  if (number == ReverseMap::kNoBlock) return;
  while (true) {
    const ReverseMap::Place place = context_.reverse.first(number, page);
    if (place == ReverseMap::kNowhere) return;
    // Takes the place from the list, whatever the host says.
    context_.reverse.window(place).lower(ReverseMap::page_of(place), 1);
  }
}

// Watches of code are not for us. A table may be watched for several processors' sake, each its own end of
// it.
uint8_t ShadowSpaces::watched_bytes_written(RamBlock& block, uint64_t page, unsigned offset, unsigned size,
                                            uint8_t watches) {
  const auto tables = static_cast<uint8_t>(watches & static_cast<uint8_t>(Watch::PageTable));
  if (tables == 0) return 0;
  if (!walking_) tables_.written(block, page, offset, size);
  return tables_.watches(block, page) ? tables : 0;
}

bool ShadowSpaces::needs_watch(const RamBlock& block, uint64_t page, Watch reason) const {
  return reason == Watch::PageTable && tables_.watches(block, page);
}

void ShadowSpaces::discard(ShadowSpace& space) {
  for (const auto& window : space.windows) {
    if (!window->empty()) window->discard_all();
  }
  tables_.detach(space);
}

void ShadowSpaces::discard_everything() {
  for (const auto& space : spaces_) discard(*space);
}

FillResult ShadowSpaces::fill(VirtualAddress address, AccessKind kind, Privilege privilege) {
  memory_.finish_writes();
  walking_ = true;
  const auto translation = walk(memory_, registers_, address, kind, privilege, Effects::SetAccessedAndDirty);
  walking_ = false;
  if (!translation) {
    ++context_.counters.true_faults;
    return {.outcome = FillOutcome::TrueFault, .error_code = translation.error().error_code};
  }
  const FillResult result = resolve(*translation, address, kind, privilege);
  if (result.outcome != FillOutcome::Filled) {
    ++context_.counters.emulated;
  } else {
    ++(kind == AccessKind::Fetch ? context_.counters.fetches : context_.counters.hidden_faults);
  }
  return result;
}

void ShadowSpaces::prefetch(VirtualAddress address, Privilege privilege) {
  const auto translation = look_at_accessed(address, AccessKind::Read, privilege);
  if (!translation) return;
  if (resolve(*translation, address, AccessKind::Read, privilege).outcome == FillOutcome::Filled)
    ++context_.counters.prefetches;
}

FillResult ShadowSpaces::prefetch_code(VirtualAddress address, Privilege privilege) {
  if (!keeps()) return {};
  const auto translation = look_at_accessed(address, AccessKind::Fetch, privilege);
  if (!translation || !only_notes_fetches(*translation)) return {};
  const FillResult result = resolve(*translation, address, AccessKind::Fetch, privilege);
  if (result.outcome == FillOutcome::Filled) ++context_.counters.code_prefetches;
  return result;
}

// A walk that changes nothing in the guest's tables and sees what a processor may use at any time.
std::expected<Translation, WalkFault> ShadowSpaces::look_at_accessed(VirtualAddress address, AccessKind kind,
                                                                     Privilege privilege) {
  memory_.finish_writes();
  auto translation = walk(memory_, registers_, address, kind, privilege, Effects::None);
  if (!translation) return translation;
  const bool by_directory = !registers_.enabled() || (translation->directory_entry & x86::kPageAccessed) != 0;
  return translation->accessed && by_directory ? translation : std::unexpected(WalkFault{});
}

FillResult ShadowSpaces::resolve(const Translation& translation, VirtualAddress address, AccessKind kind,
                                 Privilege privilege) {
  const PhysicalAddress where = memory_.gated(translation.page());
  const Region& region = memory_.find(where);
  if (region.read_block == nullptr || (region.read_offset & kPageMask) != 0) return {};
  PageTarget target;
  target.virtual_page = address.value >> kPageShift;
  target.block = region.read_block;
  target.page = region.read_page(where);
  if (target.page >= target.block->size() >> kPageShift) return {};
  const bool ram = region.write_block == region.read_block && region.write_offset == region.read_offset;
  target.may_write =
      ram && (translation.writable || (privilege == Privilege::Supervisor && !registers_.write_protect()));
  if (options_.policy == ShadowPolicy::Proactive &&
      !tables_.prepare(*active_, registers_, translation, target.virtual_page))
    return {};
  const uint8_t watches = watches_for(region, target, kind);
  const bool write = target.may_write && translation.dirty && watches == 0;
  target.state = write ? ShadowState::ReadWrite : ShadowState::Read;
  if (kind == AccessKind::Write && !write) return {};
  const bool only_noted = kind == AccessKind::Fetch && only_notes_fetches(translation);
  if (!(only_noted ? note_fetch(target, translation, privilege)
                   : show(target, translation, region, privilege)))
    return {};
  return {.outcome = FillOutcome::Filled, .block = target.block, .page = target.page};
}

// A page table that is about to be written, and that nobody watches but for its copies, is watched no longer.
// (Proactive: it stays watched, and the write is emulated.)
uint8_t ShadowSpaces::watches_for(const Region& region, const PageTarget& target, AccessKind kind) {
  constexpr auto kPageTable = static_cast<uint8_t>(Watch::PageTable);
  const uint8_t watches = target.block->watches(target.page);
  const bool emulated = options_.policy == ShadowPolicy::Proactive;
  if (kind != AccessKind::Write || !target.may_write || watches != kPageTable || emulated) return watches;
  memory_.note_write(*region.write_block, target.page);
  return target.block->watches(target.page);
}

// Code is translated from RAM and not executed in the window, so most pages of a program need no mapping.
bool ShadowSpaces::note_fetch(const PageTarget& target, const Translation& translation, Privilege privilege) {
  ShadowWindow& window = enter(privilege);
  if (context_.leaves.in_use() >= kMostLeaves) make_room(window);
  if (!tables_.derive(*active_, registers_, translation, {target.virtual_page, 1}, ShadowState::Read))
    return false;
  window.note_fetch(target.virtual_page);
  return true;
}

bool ShadowSpaces::show(const PageTarget& target, const Translation& translation, const Region& region,
                        Privilege privilege) {
  ShadowWindow& shown = enter(privilege);
  const unsigned number = context_.reverse.number(*target.block);
  if (number == ReverseMap::kNoBlock) return false;
  const uint64_t flags = (translation.global ? ShadowWord::kGlobal : 0) |
                         (translation.page_size != kPageSize ? ShadowWord::kLarge : 0);
  const ShadowWord wanted = ShadowWord::make(number, target.page, target.state, flags);
  const ShadowWord old = shown.book().word(target.virtual_page);
  if (old.live() && old.same_target(wanted) && old.state() >= target.state) return true;

  // Neighbours join that show nothing, or the same with fewer rights. Where a mapping has been kept only kept
  // ones join: it is far cheaper to give these their rights back.
  const bool kept = old.same_target(wanted);
  const PageRun longest = find_run(memory_, registers_, translation, region, target, kLongestRun);
  const auto joins = [&](uint32_t page) {
    const ShadowWord word = shown.book().word(page);
    const bool same = word.same_target(wanted.plus(uint64_t{page} - target.virtual_page));
    if (word.live()) return same && word.state() < target.state;
    return same || !kept;
  };
  const uint32_t end = longest.first + longest.count;
  uint32_t first = longest.first;
  uint32_t last = end - 1;
  if (shown.book().next_used(first, end) != end) {
    first = last = target.virtual_page;
    while (first > longest.first && joins(first - 1)) --first;
    while (last + 1 < end && joins(last + 1)) ++last;
  }
  const PageRun run{first, last - first + 1};
  const ShadowWord word =
      ShadowWord::make(number, target.page - (target.virtual_page - first), target.state, flags);

  if (!context_.budget.allows(kMappingsOfAFill) || context_.leaves.in_use() >= kMostLeaves) make_room(shown);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (keeps() && !tables_.derive(*active_, registers_, translation, run, target.state)) return false;
    if (map_run(shown, run, word, target)) {
      context_.counters.pages_filled += run.count;
      return true;
    }
    discard_everything();
    // What was protected before the run was looked for is so no more.
    if (options_.policy == ShadowPolicy::Proactive) return false;
  }
  return false;
}

// Pages near the target come with their host page-table entries if they exist, the rest as they are touched.
bool ShadowSpaces::map_run(ShadowWindow& shown, const PageRun& run, ShadowWord word,
                           const PageTarget& target) {
  const bool kept =
      shown.book().word(target.virtual_page).same_target(word.plus(target.virtual_page - run.first));
  if (kept) return shown.map(run.first, run.count, word, Populate::No);
  if (run.count == 1) return shown.map(run.first, run.count, word, Populate::Yes);
  const uint32_t last = run.first + run.count - 1;
  const uint32_t near_first = std::max(run.first, target.virtual_page & ~(kPopulated - 1));
  const uint32_t near_count = std::min(last, target.virtual_page | (kPopulated - 1)) - near_first + 1;
  const bool exist =
      context_.reverse.resident(word.block(), word.page() + (near_first - run.first), near_count);
  const bool all = exist && near_count == run.count;
  if (!shown.map(run.first, run.count, word, all ? Populate::Yes : Populate::No)) return false;
  if (exist && !all) shown.populate(near_first, near_count, word.state());
  return true;
}

void ShadowSpaces::make_room(ShadowWindow& wanted) {
  const uint64_t goal = context_.budget.limit() - context_.budget.limit() / 8;
  const auto enough = [&] {
    return context_.budget.used() + kMappingsOfAFill <= goal &&
           context_.leaves.in_use() < kMostLeaves - kMostLeaves / 8;
  };
  ++context_.counters.evictions;
  while (!enough()) {
    ShadowSpace* oldest = nullptr;
    for (const auto& space : spaces_) {
      if (space.get() == active_ || space->empty()) continue;
      if (oldest == nullptr || space->last_used < oldest->last_used) oldest = space.get();
    }
    if (oldest == nullptr) break;
    discard(*oldest);
  }
  for (const auto& window : active_->windows) {
    if (!enough() && window.get() != &wanted && !window->empty()) window->discard_all();
  }
  // Then the wanted window itself, 16 MiB after 16 MiB: a hand goes round, so that what was filled last where
  // it just passed stays longest.
  constexpr uint32_t kPiece = 4096;
  for (uint32_t passed = 0; passed < ShadowBook::kPages && !enough(); passed += kPiece) {
    wanted.discard(eviction_hand_, kPiece);
    eviction_hand_ = (eviction_hand_ + kPiece) % ShadowBook::kPages;
  }
}

}  // namespace vitrine::paging

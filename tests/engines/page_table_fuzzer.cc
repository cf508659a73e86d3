// See page_table_fuzzer.h.
#include "engines/page_table_fuzzer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "x86/control_registers.h"
#include "x86/page_entries.h"
#include "x86/selector.h"

namespace vitrine::engines {
namespace {

using paging::AccessKind, paging::Privilege;

// All tables and directories of the test, in one piece.
constexpr uint32_t kTablesFirst = PagingGuest::kDirectories;
constexpr uint32_t kTablesEnd = PagingGuest::kFirstTable + PagingGuest::kTables * kPageSize;
constexpr uint64_t kUsed = x86::kPageAccessed | x86::kPageDirty;

bool is_table(uint32_t physical) {
  return physical >= PagingGuest::kFirstTable && physical < kTablesEnd;
}
bool is_frame(uint64_t physical) {
  return physical >= PagingGuest::kFrames &&
         physical < PagingGuest::kFrames + PagingGuest::kFrameCount * kPageSize;
}

}  // namespace

PageTableFuzzer::PageTableFuzzer(const PagingGuest::Options& options, uint64_t seed)
    : FuzzedTables(options, seed), processors_(options.processors) {
  for (uint32_t space = 0; space < PagingGuest::kSpaces; ++space) {
    for (uint32_t slot = 0; slot < kSlots; ++slot)
      edit_by_dma(directory_entry_of(space, slot), random_directory_entry(space));
  }
  for (uint32_t table = 0; table < PagingGuest::kTables; ++table) {
    for (uint32_t page = 0; page < kPages; ++page) edit_by_dma(table_entry_of(table, page), random_entry());
  }
  look_again();
  for (auto& histories : histories_) {
    for (TranslationHistory& history : histories) history.invalidate();
  }
}

bool PageTableFuzzer::fail(std::string what) {
  complaint_ = fmt::format("step {}, processor {}: {}", counts_.steps, now_, what);
  return false;
}

std::string PageTableFuzzer::describe(unsigned processor, uint32_t page) const {
  const auto one = [](const CachedTranslation& t) {
    return fmt::format("{:x}{}{}{}{}{}{}", t.page, t.writable ? " W" : "", t.user ? " U" : "",
                       t.executable ? " X" : "", t.global ? " G" : "", t.accessed ? " A" : "",
                       t.dirty ? " D" : "");
  };
  const TranslationHistory& history = histories_[processor][page];
  std::string text = "now " + (history.now() ? one(*history.now()) : "absent");
  for (const CachedTranslation& old : history.older()) text += "; before " + one(old);
  return text;
}

// ---- What is put there.

uint64_t PageTableFuzzer::random_flags() {
  uint64_t flags = random_common_flags();
  if (chance(20)) flags |= x86::kPageGlobal;
  if (guest_.pae() && chance(10)) flags |= x86::kPageNoExecute;
  return flags;
}

uint64_t PageTableFuzzer::random_entry() {
  uint64_t frame = PagingGuest::kFrames + pick(PagingGuest::kFrameCount) * kPageSize;
  if (chance(8)) frame = PagingGuest::kFirstTable + pick(PagingGuest::kTables) * kPageSize;
  if (chance(3)) frame = PagingGuest::kNothing;
  return frame | random_flags();
}

uint64_t PageTableFuzzer::random_directory_entry(uint32_t /*space*/) {
  if (chance(15)) return PagingGuest::kFrames | random_flags() | x86::kPageLarge;
  const uint64_t table = PagingGuest::kFirstTable + pick(PagingGuest::kTables) * kPageSize;
  const uint64_t flags = random_flags() & ~uint64_t{x86::kPageGlobal};
  return table | flags | (chance(70) ? x86::kPageUser | x86::kPageWritable : 0);
}

// ---- What the tables say.

std::optional<CachedTranslation> PageTableFuzzer::translate(unsigned processor, uint32_t page) {
  const auto found =
      paging::walk(guest_.memory(), guest_.registers(processor), VirtualAddress(address_of(page)),
                   AccessKind::Read, Privilege::Supervisor, paging::Effects::None);
  if (!found) return std::nullopt;
  const bool directory_accessed = (found->directory_entry & x86::kPageAccessed) != 0;
  return CachedTranslation{found->page().value >> kPageShift,
                           found->writable,
                           found->user,
                           found->executable,
                           found->global,
                           found->dirty,
                           found->accessed && directory_accessed};
}

void PageTableFuzzer::look_again() {
  for (unsigned i = 0; i < processors_; ++i) {
    for (uint32_t page = 0; page < kAddresses; ++page) histories_[i][page].note(translate(i, page));
  }
}

bool PageTableFuzzer::command(Command which, const CommandRegisters& registers) {
  const auto result = guest_.run(now_, which, registers);
  if (!result) return fail(fmt::format("command {}: {}", static_cast<int>(which), guest_.complaint()));
  if (result->fault) {
    return fail(fmt::format("command {} faulted at {:x}, error {:x}", static_cast<int>(which),
                            result->address, result->error_code));
  }
  return true;
}

// ---- Changes.

bool PageTableFuzzer::edit_by_guest(uint32_t where, uint64_t value) {
  const uint32_t at = PagingGuest::kDirect + where;
  const auto low = static_cast<uint32_t>(value);
  if (!guest_.pae()) return command(chance(80) ? Command::Store : Command::Exchange, {.ebx = at, .eax = low});
  const auto high = static_cast<uint32_t>(value >> 32);
  if (chance(50)) {
    return command(
        Command::CompareExchange,
        {.edi = at, .ebx = low, .edx = guest_.word(where + 4), .ecx = high, .eax = guest_.word(where)});
  }
  if (!command(Command::Store, {.ebx = at, .eax = 0})) return false;
  look_again();
  return command(Command::Store, {.ebx = at + 4, .eax = high}) &&
         command(Command::Store, {.ebx = at, .eax = low});
}

bool PageTableFuzzer::edit_bits(uint32_t where) {
  constexpr std::array<uint32_t, 4> kBits = {x86::kPageWritable, x86::kPageUser, x86::kPageAccessed,
                                             x86::kPageDirty};
  const uint32_t bit = kBits[pick(kBits.size())];
  const uint32_t at = PagingGuest::kDirect + where;
  return chance(70) ? command(Command::And, {.ebx = at, .eax = ~bit})
                    : command(Command::Or, {.ebx = at, .eax = bit});
}

// A part of another table over this one.
bool PageTableFuzzer::edit_by_copy(uint32_t where) {
  const uint32_t from = table_entry_of(pick(PagingGuest::kTables), 0);
  const uint32_t offset = where & kPageMask;
  const uint32_t bytes = kPages * guest_.entry_size() - offset;
  return command(
      Command::Copy,
      {.edi = PagingGuest::kDirect + where, .esi = PagingGuest::kDirect + from + offset, .ecx = bytes / 4});
}

void PageTableFuzzer::edit_by_dma(uint32_t where, uint64_t value) {
  std::array<uint8_t, 8> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  guest_.memory().write(PhysicalAddress(where), std::span(bytes).first(guest_.entry_size()));
}

bool PageTableFuzzer::edit() {
  ++counts_.edits;
  const bool directory = chance(25);
  const uint32_t space = pick(PagingGuest::kSpaces);
  const uint32_t where = directory ? directory_entry_of(space, pick(kSlots))
                                   : table_entry_of(pick(PagingGuest::kTables), pick(kPages));
  const uint64_t value = directory ? random_directory_entry(space) : random_entry();
  const uint32_t how = pick(100);
  bool done = true;
  if (how < 50) {
    done = edit_by_guest(where, value);
  } else if (how < 75) {
    done = edit_bits(where);
  } else if (how < 85 && !directory) {
    done = edit_by_copy(where);
  } else {
    edit_by_dma(where, value);
  }
  look_again();
  return done;
}

// A table becomes ordinary memory: no directory names it any more, and it is full of something else.
bool PageTableFuzzer::recycle() {
  const uint32_t table = PagingGuest::kFirstTable + pick(PagingGuest::kTables) * kPageSize;
  for (uint32_t space = 0; space < PagingGuest::kSpaces; ++space) {
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      const uint32_t entry = directory_entry_of(space, slot);
      if ((guest_.word(entry) & x86::kLegacyFrameMask) == table && !edit_by_guest(entry, 0)) return false;
    }
  }
  look_again();
  // Not present whatever it is read as, should a stale directory entry still lead here.
  const CommandRegisters fill{.edi = PagingGuest::kDirect + table, .ecx = 1024, .eax = pick(1u << 30) << 2};
  const bool filled = command(Command::Fill, fill);
  look_again();
  for (uint32_t i = 0; filled && i < 40; ++i) {
    const uint32_t at = table + 4 * pick(1024);
    if (!command(Command::Store, {.ebx = PagingGuest::kDirect + at, .eax = i << 1})) return false;
    if (guest_.word(at) != i << 1) return fail(fmt::format("a store to {:x} is lost", at));
    look_again();
  }
  guest_.mark(table, table);
  look_again();
  return filled;
}

// ---- Invalidation.

bool PageTableFuzzer::invalidate_page(uint32_t page) {
  const bool done = command(Command::InvalidatePage, {.ebx = address_of(page) + pick(kPageSize)});
  histories_[now_][page].invalidate();
  return done;
}

bool PageTableFuzzer::load(Command which, uint32_t value) {
  const uint32_t pge = guest_.registers(now_).cr4 & x86::kCr4Pge;
  if (!command(which, {.eax = value})) return false;
  // MOV to CR0 invalidates nothing when it changes WP only.
  if (which == Command::LoadCr0) return true;
  for (uint32_t page = 0; page < kAddresses; ++page)
    histories_[now_][page].load(translate(now_, page), which == Command::LoadCr3 && pge != 0);
  return true;
}

bool PageTableFuzzer::invalidate() {
  const paging::PagingRegisters registers = guest_.registers(now_);
  const uint32_t how = pick(100);
  if (how < 50) return invalidate_page(pick(kAddresses));
  if (how < 65) {
    for (uint32_t page = 0; page < kAddresses; ++page) {
      if (!invalidate_page(page)) return false;
    }
    return true;
  }
  if (how < 88) return load(Command::LoadCr3, guest_.root(pick(PagingGuest::kSpaces)));
  if (how < 94) return load(Command::LoadCr0, registers.cr0 ^ x86::kCr0Wp);
  return load(Command::LoadCr4, registers.cr4 ^ x86::kCr4Pge);
}

// ---- Accesses.

void PageTableFuzzer::remember_tables() {
  tables_.assign(guest_.ram() + kTablesFirst, guest_.ram() + kTablesEnd);
}

bool PageTableFuzzer::permits(const CachedTranslation& translation, const Access& access) const {
  if (access.privilege == Privilege::User && !translation.user) return false;
  if (access.kind == AccessKind::Fetch) return translation.executable;
  const bool protects = access.privilege == Privilege::User || guest_.registers(now_).write_protect();
  return access.kind == AccessKind::Read || translation.writable || !protects;
}

// The error code without the bit for a page that is there.
uint32_t PageTableFuzzer::refusal(const Access& access) const {
  uint32_t code = access.kind == AccessKind::Write ? x86::kPageFaultWrite : 0;
  if (access.privilege == Privilege::User) code |= x86::kPageFaultUser;
  if (access.kind == AccessKind::Fetch && guest_.registers(now_).no_execute()) code |= x86::kPageFaultFetch;
  return code;
}

// Whether the access went where this translation leads.
bool PageTableFuzzer::showed(const CachedTranslation& translation, const Access& access, uint32_t page,
                             const CommandResult& result) const {
  if (!permits(translation, access)) return false;
  const uint64_t physical = translation.page << kPageShift;
  const bool storage = is_frame(physical) || is_table(static_cast<uint32_t>(physical));
  if (access.kind == AccessKind::Write) {
    return !storage || guest_.word(static_cast<uint32_t>(physical) + PagingGuest::kData) == access.value;
  }
  (void)page;
  return result.eax == (storage ? static_cast<uint32_t>(physical) : 0xffffffff);
}

bool PageTableFuzzer::access() {
  const uint32_t page = pick(kAddresses);
  Access access{static_cast<AccessKind>(pick(3)), static_cast<Privilege>(pick(2)), address_of(page),
                ++last_value_};
  const TranslationHistory& history = histories_[now_][page];
  const auto nothing = [](const CachedTranslation& t) {
    return t.page << kPageShift == PagingGuest::kNothing;
  };
  // What is fetched from nowhere is no code of ours.
  if (access.kind == AccessKind::Fetch &&
      ((history.now() && nothing(*history.now())) || std::ranges::any_of(history.older(), nothing)))
    access.kind = AccessKind::Read;
  constexpr std::array<std::array<Command, 3>, 2> kCommands = {
      {{Command::Load, Command::Store, Command::Jump},
       {Command::UserLoad, Command::UserStore, Command::UserJump}}};
  constexpr std::array<uint32_t, 3> kOffsets = {PagingGuest::kSignature, PagingGuest::kData,
                                                PagingGuest::kCode};
  const auto kind = static_cast<size_t>(access.kind);
  access.address += kOffsets[kind];
  remember_tables();
  ++counts_.accesses;
  const Command which = kCommands[static_cast<size_t>(access.privilege)][kind];
  const auto result = guest_.run(now_, which, {.ebx = access.address, .eax = access.value});
  if (!result) {
    return fail(
        fmt::format("access at {:x}: {}; {}", access.address, guest_.complaint(), describe(now_, page)));
  }
  return judge(access, page, *result);
}

bool PageTableFuzzer::judge(const Access& access, uint32_t page, const CommandResult& result) {
  const bool right = result.fault ? judge_fault(access, page, result) : judge_success(access, page, result);
  return right && judge_tables(access, page, !result.fault);
}

bool PageTableFuzzer::judge_fault(const Access& access, uint32_t page, const CommandResult& result) {
  ++counts_.faults;
  TranslationHistory& history = histories_[now_][page];
  const auto walked = paging::walk(guest_.memory(), guest_.registers(now_), VirtualAddress(access.address),
                                   access.kind, access.privilege, paging::Effects::None);
  const bool own = !walked && walked.error().error_code == result.error_code;
  // One that has been given more rights may fault once more.
  const bool spurious = result.error_code == (refusal(access) | x86::kPageFaultPresent) &&
                        std::ranges::any_of(history.older(), [&](const CachedTranslation& old) {
                          return !permits(old, access);
                        });
  if (result.address != access.address || (!own && !spurious)) {
    return fail(fmt::format("a fault at {:x} instead of {:x}, error {:x} (kind {}, privilege {}); {}",
                            result.address, access.address, result.error_code, static_cast<int>(access.kind),
                            static_cast<int>(access.privilege), describe(now_, page)));
  }
  // SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches": page faults do.
  history.invalidate();
  return true;
}

bool PageTableFuzzer::judge_success(const Access& access, uint32_t page, const CommandResult& result) {
  const TranslationHistory& history = histories_[now_][page];
  if (history.now() && showed(*history.now(), access, page, result)) {
    ++counts_.exact;
    return true;
  }
  const auto old = [&](const CachedTranslation& t) { return showed(t, access, page, result); };
  if (std::ranges::any_of(history.older(), old)) {
    ++counts_.stale;
    return true;
  }
  return fail(fmt::format("access at {:x} (kind {}, privilege {}, value {:x}) showed {:x}; {}",
                          access.address, static_cast<int>(access.kind), static_cast<int>(access.privilege),
                          access.value, result.eax, describe(now_, page)));
}

// Accessed and dirty bits appear in the entries that lead to the page, and where they must.
bool PageTableFuzzer::judge_tables(const Access& access, uint32_t page, bool done) {
  const paging::PagingRegisters registers = guest_.registers(now_);
  const auto walked = paging::walk(guest_.memory(), registers, VirtualAddress(access.address),
                                   AccessKind::Read, Privilege::Supervisor, paging::Effects::None);
  const uint32_t space = guest_.pae() ? (registers.cr3 - guest_.root(0)) / 32
                                      : (registers.cr3 - guest_.root(0)) / PagingGuest::kDirectorySize;
  const uint32_t directory = directory_entry_of(space, page / kPages);
  const uint64_t leaf = walked ? walked->entry_address.value : 0;
  for (uint32_t at = kTablesFirst; at < kTablesEnd; at += 4) {
    uint32_t before = 0;
    std::memcpy(&before, tables_.data() + (at - kTablesFirst), 4);
    const uint32_t after = guest_.word(at);
    if (before == after) continue;
    // The store itself, where a page is a table.
    if (done && access.kind == AccessKind::Write && after == access.value &&
        (at & kPageMask) == PagingGuest::kData)
      continue;
    uint32_t allowed = done && (at == directory || at == leaf) ? x86::kPageAccessed : 0;
    if (done && at == leaf && access.kind == AccessKind::Write) allowed |= x86::kPageDirty;
    if ((before ^ after) == ((before ^ after) & allowed) && (after & before) == before) continue;
    return fail(fmt::format("entry at {:x}: {:x} became {:x} by an access at {:x} (kind {}); {}", at, before,
                            after, access.address, static_cast<int>(access.kind), describe(now_, page)));
  }
  const TranslationHistory& history = histories_[now_][page];
  const bool fresh = done && history.older().empty() && walked;
  look_again();
  if (!fresh) return true;
  const uint64_t wanted = access.kind == AccessKind::Write ? kUsed : uint64_t{x86::kPageAccessed};
  if (history.now() && history.now()->accessed && (walked->entry & wanted) == wanted) {
    // What was cached had no dirty bit yet, or no accessed one: it is what there is now.
    histories_[now_][page].invalidate();
    return true;
  }
  return fail(fmt::format("access at {:x} (kind {}) left entry {:x} at {:x}; {}", access.address,
                          static_cast<int>(access.kind), walked->entry, leaf, describe(now_, page)));
}

bool PageTableFuzzer::step() {
  ++counts_.steps;
  if (processors_ > 1 && chance(30)) now_ = pick(processors_);
  const uint32_t what = pick(1000);
  if (what < 600) return access();
  if (what < 850) return edit();
  if (what < 853) return recycle();
  return invalidate();
}

}  // namespace vitrine::engines

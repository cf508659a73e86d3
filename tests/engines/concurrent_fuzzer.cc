// See concurrent_fuzzer.h.
#include "engines/concurrent_fuzzer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "translate/host_signals.h"
#include "x86/page_entries.h"
#include "x86/selector.h"

namespace vitrine::engines {
namespace {

using paging::AccessKind, paging::Privilege;

constexpr uint32_t kMostStores = 400, kMostLoads = 64;

PagingGuest::Options concurrent(PagingGuest::Options options) {
  options.processors = 2;
  options.concurrent = true;
  return options;
}

}  // namespace

ConcurrentFuzzer::ConcurrentFuzzer(const PagingGuest::Options& options, uint64_t seed)
    : FuzzedTables(concurrent(options), seed) {
  const Result<void> prepared = translate::prepare_host_signals();
  CHECK(prepared.has_value(), "{}", prepared.error().message());
  for (uint32_t space = 0; space < kOwnSpaces; ++space) {
    for (uint32_t slot = 0; slot < kSlots; ++slot)
      guest_.set_word(directory_entry_of(space, slot), random_directory_entry());
  }
  for (uint32_t table = 0; table < PagingGuest::kTables; ++table) {
    for (uint32_t page = 0; page < kPages; ++page)
      guest_.set_word(table_entry_of(table, page), random_entry());
  }
  editor_ = std::thread([this, random = std::mt19937_64(seed + 1)]() mutable {
    const Result<void> ready = translate::prepare_host_signals();
    CHECK(ready.has_value(), "{}", ready.error().message());
    for (;;) {
      meet_.arrive_and_wait();
      if (ending_) return;
      edit(random);
      meet_.arrive_and_wait();
    }
  });
}

ConcurrentFuzzer::~ConcurrentFuzzer() {
  ending_ = true;
  meet_.arrive_and_wait();
  editor_.join();
}

bool ConcurrentFuzzer::fail(std::string what) {
  if (complaint_.empty()) complaint_ = fmt::format("phase {}: {}", counts_.phases, what);
  return false;
}

// ---- What the tables may say.

// One page in eight is itself a table; what is stored there lies behind the entries that are used.
uint32_t ConcurrentFuzzer::random_entry() {
  const uint32_t frame = chance(12) ? PagingGuest::kFirstTable + pick(PagingGuest::kTables) * kPageSize
                                    : PagingGuest::kFrames + pick(PagingGuest::kFrameCount) * kPageSize;
  return frame | random_common_flags();
}

uint32_t ConcurrentFuzzer::random_directory_entry() {
  if (chance(15)) return PagingGuest::kFrames | random_common_flags() | x86::kPageLarge;
  const uint32_t table = PagingGuest::kFirstTable + pick(PagingGuest::kTables) * kPageSize;
  return table | random_common_flags() | (chance(70) ? x86::kPageUser | x86::kPageWritable : 0);
}

std::vector<uint32_t> ConcurrentFuzzer::versions(uint32_t entry) const {
  std::vector<uint32_t> all = {guest_.word(entry)};
  if (const auto edited = edits_.find(entry); edited != edits_.end())
    all.insert(all.end(), edited->second.begin(), edited->second.end());
  return all;
}

void ConcurrentFuzzer::add_outcomes(uint32_t directory_entry, uint32_t page, Outcomes& outcomes) const {
  if ((directory_entry & x86::kPagePresent) == 0) {
    outcomes.insert(Outcome{});
    return;
  }
  const auto add = [&](uint32_t frame, uint32_t rights) {
    outcomes.insert(Outcome{frame, (rights & x86::kPageWritable) != 0, (rights & x86::kPageUser) != 0, true});
  };
  if ((directory_entry & x86::kPageLarge) != 0)
    return add((directory_entry & x86::kLegacyFrameMask) + page * kPageSize, directory_entry);
  const uint32_t table = directory_entry & x86::kLegacyFrameMask;
  for (const uint32_t entry : versions(table + page * guest_.entry_size())) {
    if ((entry & x86::kPagePresent) == 0) {
      outcomes.insert(Outcome{});
    } else {
      add(entry & x86::kLegacyFrameMask, entry & directory_entry);
    }
  }
}

void ConcurrentFuzzer::find_possible() {
  for (uint32_t page = 0; page < kAddresses; ++page) {
    possible_[page].clear();
    for (const uint32_t entry : versions(directory_entry_of(space_, page / kPages)))
      add_outcomes(entry, page % kPages, possible_[page]);
  }
}

std::string ConcurrentFuzzer::describe(uint32_t page) const {
  const auto list = [](const Outcomes& outcomes) {
    std::string text;
    for (const Outcome& o : outcomes)
      text += fmt::format(" {:x}{}{}", o.page, o.writable ? "W" : "", o.user ? "U" : "");
    return text;
  };
  return fmt::format("possible:{}; cached:{}", list(possible_[page]), list(cached_[page]));
}

// ---- The processor that changes tables.

// A few entries, and a list of values for them in any order.
void ConcurrentFuzzer::plan() {
  edits_.clear();
  std::vector<uint32_t> entries;
  for (uint32_t n = 1 + pick(6); n > 0; --n) {
    const bool directory = chance(25);
    const uint32_t entry = directory ? directory_entry_of(pick(kOwnSpaces), pick(kSlots))
                                     : table_entry_of(pick(PagingGuest::kTables), pick(kPages));
    if (edits_.contains(entry)) continue;
    entries.push_back(entry);
    auto& values = edits_[entry];
    for (uint32_t i = 1 + pick(3); i > 0; --i)
      values.push_back(directory ? random_directory_entry() : random_entry());
  }
  stores_ = 1 + pick(kMostStores);
  delay_ = 1 + pick(chance(50) ? 20 : 400);
  const uint32_t list = PagingGuest::kLists + kPageSize;
  for (uint32_t i = 0; i < stores_; ++i) {
    const uint32_t entry = entries[pick(static_cast<uint32_t>(entries.size()))];
    const auto& values = edits_[entry];
    guest_.set_word(list + 8 * i, PagingGuest::kDirect + entry);
    guest_.set_word(list + 8 * i + 4, values[pick(static_cast<uint32_t>(values.size()))]);
  }
}

// On its own thread. Now and then it loads its page table as well.
void ConcurrentFuzzer::edit(std::mt19937_64& random) {
  const auto done = [&](Command which, const CommandRegisters& registers) {
    const auto result = guest_.run(1, which, registers);
    if (result && !result->fault) return true;
    editor_complaint_ = result ? fmt::format("processor 1 faulted at {:x}", result->address)
                               : fmt::format("processor 1: {}", guest_.complaint());
    return false;
  };
  const CommandRegisters stores{
      .esi = PagingGuest::kDirect + PagingGuest::kLists + kPageSize, .ebx = delay_, .ecx = stores_};
  for (unsigned n = 1 + static_cast<unsigned>(random() % 4); n > 0; --n) {
    if (!done(Command::StoreList, stores)) return;
    const auto space = static_cast<uint32_t>(kOwnSpaces + random() % kOwnSpaces);
    if (random() % 4 == 0 && !done(Command::LoadCr3, {.eax = guest_.root(space)})) return;
  }
}

// ---- The processor that uses them.

bool ConcurrentFuzzer::permits(const Outcome& outcome, const Access& access) const {
  if (outcome.page == 0) return false;
  if (access.privilege == Privilege::User && !outcome.user) return false;
  const bool protects = access.privilege == Privilege::User || guest_.registers(0).write_protect();
  return access.kind != AccessKind::Write || outcome.writable || !protects;
}

uint32_t ConcurrentFuzzer::refusal(const Access& access, bool present) const {
  uint32_t code = access.kind == AccessKind::Write ? x86::kPageFaultWrite : 0;
  if (access.privilege == Privilege::User) code |= x86::kPageFaultUser;
  if (access.kind == AccessKind::Fetch && guest_.registers(0).no_execute()) code |= x86::kPageFaultFetch;
  return code | (present ? x86::kPageFaultPresent : 0);
}

bool ConcurrentFuzzer::judge_fault(const Access& access, const CommandResult& result) {
  ++counts_.faults;
  const auto refuses = [&](const Outcome& outcome) {
    return !permits(outcome, access) && result.error_code == refusal(access, outcome.page != 0);
  };
  const bool right = std::ranges::any_of(possible_[access.page], refuses) ||
                     std::ranges::any_of(cached_[access.page], refuses);
  if (!right) {
    return fail(fmt::format("kind {}, privilege {}: a fault at {:x}, error {:x}; {}",
                            static_cast<int>(access.kind), static_cast<int>(access.privilege), result.address,
                            result.error_code, describe(access.page)));
  }
  // SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches": page faults do.
  cached_[access.page].clear();
  return true;
}

bool ConcurrentFuzzer::judge_success(const Access& access, uint32_t found) {
  ++counts_.accesses;
  if (possible_[access.page].size() > 1) ++counts_.mixed;
  const auto showed = [&](const Outcome& outcome) {
    if (!permits(outcome, access)) return false;
    return access.kind == AccessKind::Write ? guest_.word(outcome.page + PagingGuest::kData) == access.value
                                            : found == outcome.page;
  };
  const bool right = std::ranges::any_of(possible_[access.page], showed) ||
                     std::ranges::any_of(cached_[access.page], showed);
  return right || fail(fmt::format("kind {}, privilege {}: access at {:x} showed {:x}; {}",
                                   static_cast<int>(access.kind), static_cast<int>(access.privilege),
                                   address_of(access.page), found, describe(access.page)));
}

// Many loads at once, without a way out of translated code in between.
bool ConcurrentFuzzer::use_list() {
  const uint32_t list = PagingGuest::kLists;
  std::vector<uint32_t> pages(1 + pick(kMostLoads));
  for (uint32_t i = 0; i < pages.size(); ++i) {
    pages[i] = pick(kAddresses);
    guest_.set_word(list + 8 * i, address_of(pages[i]) + PagingGuest::kSignature);
  }
  for (uint32_t next = 0; next < pages.size(); ++next) {
    const CommandRegisters registers{.esi = PagingGuest::kDirect + list + 8 * next,
                                     .ecx = static_cast<uint32_t>(pages.size()) - next};
    const auto result = guest_.run(0, Command::LoadList, registers);
    if (!result) return fail(guest_.complaint());
    const uint32_t end = (result->esi - PagingGuest::kDirect - list) / 8;
    for (; next < end; ++next) {
      if (!judge_success({.page = pages[next]}, guest_.word(list + 8 * next + 4))) return false;
    }
    if (result->fault && !judge_fault({.page = pages[next]}, *result)) return false;
  }
  return true;
}

bool ConcurrentFuzzer::use_one() {
  const Access access{static_cast<AccessKind>(pick(3)), static_cast<Privilege>(pick(2)), pick(kAddresses),
                      ++last_value_};
  constexpr std::array<std::array<Command, 3>, 2> kCommands = {
      {{Command::Load, Command::Store, Command::Jump},
       {Command::UserLoad, Command::UserStore, Command::UserJump}}};
  constexpr std::array<uint32_t, 3> kOffsets = {PagingGuest::kSignature, PagingGuest::kData,
                                                PagingGuest::kCode};
  const auto kind = static_cast<size_t>(access.kind);
  const uint32_t address = address_of(access.page) + kOffsets[kind];
  const auto result = guest_.run(0, kCommands[static_cast<size_t>(access.privilege)][kind],
                                 {.ebx = address, .eax = access.value});
  if (!result) return fail(guest_.complaint() + "; " + describe(access.page));
  return result->fault ? judge_fault(access, *result) : judge_success(access, result->eax);
}

// What has been possible so far in this phase may be cached anew at once.
bool ConcurrentFuzzer::invalidate(bool everything) {
  if (!everything) {
    const uint32_t page = pick(kAddresses);
    cached_[page].clear();
    return guest_.run(0, Command::InvalidatePage, {.ebx = address_of(page)}).has_value() ||
           fail(guest_.complaint());
  }
  for (Outcomes& cached : cached_) cached.clear();
  space_ = pick(kOwnSpaces);
  return guest_.run(0, Command::LoadCr3, {.eax = guest_.root(space_)}).has_value() ||
         fail(guest_.complaint());
}

bool ConcurrentFuzzer::use() {
  for (uint32_t n = 4 + pick(12); n > 0; --n) {
    const uint32_t how = pick(100);
    if (!(how < 40 ? use_list() : how < 90 ? use_one() : invalidate(false))) return false;
  }
  return true;
}

bool ConcurrentFuzzer::phase() {
  ++counts_.phases;
  plan();
  find_possible();
  meet_.arrive_and_wait();
  bool right = use();
  meet_.arrive_and_wait();
  counts_.stores += stores_;
  if (!editor_complaint_.empty()) return fail(editor_complaint_);
  if (!right) return false;
  for (uint32_t page = 0; page < kAddresses; ++page) cached_[page].merge(possible_[page]);
  // The shoot-down.
  if (chance(60)) right = invalidate(true);
  edits_.clear();
  find_possible();
  // Nobody changes anything now.
  for (uint32_t n = 4; right && n > 0; --n) right = use_list() && use_one();
  return right;
}

}  // namespace vitrine::engines

#include "paging/shadow_window.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"

namespace vitrine::paging {

namespace {

constexpr uint64_t kReserved = ShadowWindow::kSize + 2 * ShadowWindow::kGuard;
constexpr int kReservation = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// The host steps over every mapping in a range whose rights change, at some 0.2 µs; a call costs it 2 to 3.
constexpr uint32_t kMostBetween = 12;

int host_protection(ShadowState state) {
  switch (state) {
    case ShadowState::Empty:
    case ShadowState::Retained: return PROT_NONE;
    case ShadowState::Read: return PROT_READ;
    case ShadowState::ReadWrite: return PROT_READ | PROT_WRITE;
  }
  return PROT_NONE;
}

}  // namespace

Result<std::unique_ptr<ShadowWindow>> ShadowWindow::create(ShadowContext& context) {
  // A private mapping without rights counts nowhere, not even with vm.overcommit_memory=2, except against the
  // limit on address space. Twice the size is asked for so that an aligned window fits, then cut to size.
  constexpr uint64_t kAsked = kReserved + kSize;
  RightsMap rights = TRY(RightsMap::create());
  void* asked = ::mmap(nullptr, kAsked, PROT_NONE, kReservation, -1, 0);
  if (asked == MAP_FAILED) {
    return std::unexpected(error_from_errno(
        fmt::format("cannot reserve {} GiB of addresses for a guest address space", kAsked >> 30), "",
        errno == ENOMEM ? "'ulimit -v unlimited' lifts the limit; --engine interpret needs none of this"
                        : ""));
  }
  // SAFETY: only addresses within the mapping just made are unmapped, and nobody else knows of them yet.
  auto* const start = static_cast<uint8_t*>(asked);
  const uint64_t first = reinterpret_cast<uint64_t>(start) + kGuard;
  const uint64_t base = (first + kSize - 1) & ~(kSize - 1);
  uint8_t* const reservation = start + (base - first);
  uint8_t* const end = reservation + kReserved;
  if (reservation != start) (void)::munmap(start, static_cast<size_t>(reservation - start));
  if (end != start + kAsked) (void)::munmap(end, static_cast<size_t>(start + kAsked - end));
  return std::unique_ptr<ShadowWindow>(
      new ShadowWindow(context, MachineAddress(reservation), std::move(rights)));
}

ShadowWindow::ShadowWindow(ShadowContext& context, MachineAddress reservation, RightsMap rights)
    : context_(context),
      base_(reservation + kGuard),
      book_(context.leaves),
      rights_(std::move(rights)),
      number_(context.reverse.add_window(*this, book_)) {
  context_.budget.change(1);
}

ShadowWindow::~ShadowWindow() {
  forget(0, ShadowBook::kPages);
  context_.budget.change(-1);
  const int result = ::munmap(base_.value - kGuard, kReserved);
  CHECK(result == 0, "munmap of a shadow window failed");
}

ShadowEntry ShadowWindow::entry(VirtualAddress address) const {
  const ShadowWord word = book_.word(address.value >> kPageShift);
  if (!word.live()) return {};
  return {&context_.reverse.block(word.block()), word.page(),
          word.state() == ShadowState::ReadWrite ? ShadowRights::ReadWrite : ShadowRights::Read};
}

void ShadowWindow::tell(uint32_t first, uint32_t count) {
  if (context_.listener == nullptr) return;
  context_.listener->entries_dropped(*this, VirtualAddress(first << kPageShift), count);
}

// Tells of what the guest's tables gave and that goes now.
void ShadowWindow::tell_of_given(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  const uint32_t given = book_.next_given(first, end);
  if (given == end) return;
  tell(given, end - given);
  book_.clear_fetched(given, end - given);
}

// Keeps the reverse map in step.
void ShadowWindow::change(uint32_t page, ShadowWord word) {
  const ShadowWord old = book_.word(page);
  if (old.state() == ShadowState::ReadWrite) context_.reverse.unlink(place(page), old);
  book_.set(page, word);
  rights_.set(page, word.state());
  if (word.state() == ShadowState::ReadWrite) context_.reverse.link(place(page), book_.record(page));
}

void ShadowWindow::account(uint32_t joints) {
  const int64_t by = int64_t{joints} - int64_t{joints_before_};
  mappings_ += static_cast<uint64_t>(by);
  context_.budget.change(by);
}

// Empties the books of a range whose host mappings are gone or about to go.
void ShadowWindow::forget(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  tell_of_given(first, count);
  begin_change(first, count);
  for (uint32_t page = book_.next_live(first, end); page < end; page = book_.next_live(page + 1, end)) {
    const ShadowWord word = book_.word(page);
    if (word.state() == ShadowState::ReadWrite) context_.reverse.unlink(place(page), word);
    rights_.set(page, ShadowState::Empty);
  }
  book_.clear(first, count);
  end_change(first, count);
}

bool ShadowWindow::map(uint32_t first, uint32_t count, ShadowWord word, Populate populate) {
  const bool fresh = book_.next_used(first, first + count) == first + count;
  bool kept = !fresh;    // the host has the mapping already, with fewer rights
  bool changes = false;  // something else is visible now
  for (uint32_t i = 0; !fresh && i < count; ++i) {
    const ShadowWord old = book_.word(first + i);
    if (old.same_target(word.plus(i))) continue;
    kept = false;
    changes = changes || old.live();
  }
  if (changes) tell(first, count);
  const uint64_t size = uint64_t{count} << kPageShift;
  const int protection = host_protection(word.state());
  bool done = false;
  // SAFETY: the range lies inside the reservation, which holds nothing but what this class put there.
  if (kept) {
    done = ::mprotect(host(first), size, protection) == 0;
    ++context_.counters.revivals;
  } else {
    const int flags = MAP_SHARED | MAP_FIXED | (populate == Populate::Yes ? MAP_POPULATE : 0);
    done = ::mmap(host(first), size, protection, flags, context_.reverse.block(word.block()).descriptor(),
                  static_cast<off_t>(word.page() << kPageShift)) != MAP_FAILED;
    ++context_.counters.maps;
  }
  if (!done) {
    // A failed replacement may have left a hole: closed before anything else can be mapped there.
    discard_all();
    return false;
  }
  begin_change(first, count);
  if (fresh) {
    const bool writable = word.state() == ShadowState::ReadWrite;
    book_.set_run(first, count, word, [&](uint32_t page, ShadowRecord& record) {
      if (writable) context_.reverse.link(place(page), record);
      rights_.set(page, word.state());
    });
  } else {
    for (uint32_t i = 0; i < count; ++i) change(first + i, word.plus(i));
  }
  // Within the run nothing separates.
  const ShadowWord before = first == 0 ? ShadowWord{} : book_.word(first - 1);
  const ShadowWord after = first + count == ShadowBook::kPages ? ShadowWord{} : book_.word(first + count);
  account((before.joins(word) ? 0u : 1u) + (word.plus(count - 1).joins(after) ? 0u : 1u));
  return true;
}

void ShadowWindow::populate(uint32_t first, uint32_t count, ShadowState state) {
  // Only saves the host's own faults; where it fails (before Linux 5.14) they come.
  const int advice = state == ShadowState::ReadWrite ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  (void)::madvise(host(first), uint64_t{count} << kPageShift, advice);
}

void ShadowWindow::drop(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  discard_idle(first, end);
  tell_of_given(first, count);
  const uint32_t start = book_.next_live(first, end);
  if (start == end) return;
  uint32_t piece = start;  // what one call of the host's is to drop begins here
  uint32_t last = start;
  for (uint32_t page = start; page < end; page = book_.next_live(last + 1, end)) {
    if (page != start && book_.mappings(last + 1, page, kMostBetween + 1) > kMostBetween) {
      if (!take_rights(piece, last)) return;
      piece = page;
    }
    last = page;
    while (last + 1 < end && book_.word(last + 1).live()) ++last;
    // Run by run: what lies between is as it was, and there may be much of it.
    begin_change(page, last - page + 1);
    for (uint32_t i = page; i <= last; ++i) change(i, book_.word(i).with(ShadowState::Retained));
    end_change(page, last - page + 1);
  }
  if (take_rights(piece, last)) relieve();
}

// Pages first…last; those among them that show nothing have no rights to lose. False: the host refused, and
// the window is empty.
bool ShadowWindow::take_rights(uint32_t first, uint32_t last) {
  ++context_.counters.drops;
  if (::mprotect(host(first), uint64_t{last - first + 1} << kPageShift, PROT_NONE) == 0) return true;
  discard_all();
  return false;
}

// What was kept where nothing has been shown since: stacks and heaps of processes that have ended, each at an
// address of its own. The host steps over every mapping in a range whose rights change.
void ShadowWindow::discard_idle(uint32_t first, uint32_t end) {
  constexpr uint32_t kMostIdle = 64;
  uint32_t idle = 0;
  for (uint32_t page = book_.next_idle(first, end); page < end;
       page = book_.next_idle(page + ShadowLeaf::kPages, end)) {
    ++idle;
  }
  if (idle <= kMostIdle) return;
  for (uint32_t page = book_.next_idle(first, end); page < end; page = book_.next_idle(page, end)) {
    const uint32_t live = book_.next_live(page, end);
    const uint32_t stop = live - live % ShadowLeaf::kPages;
    discard(page, stop - page);
    page = stop;
  }
}

void ShadowWindow::lower(uint32_t first, uint32_t count) {
  const uint32_t end = first + count;
  for (uint32_t page = book_.next_live(first, end); page < end;) {
    uint32_t stop = page;
    while (stop < end && book_.word(stop).state() == ShadowState::ReadWrite) ++stop;
    if (stop == page) {
      page = book_.next_live(page + 1, end);
      continue;
    }
    begin_change(page, stop - page);
    for (uint32_t i = page; i < stop; ++i) change(i, book_.word(i).with(ShadowState::Read));
    end_change(page, stop - page);
    ++context_.counters.lowered;
    if (::mprotect(host(page), uint64_t{stop - page} << kPageShift, PROT_READ) != 0) {
      discard_all();
      return;
    }
    page = book_.next_live(stop, end);
  }
  relieve();
}

// What takes rights away splits mappings and cannot be refused: beyond the budget the window pays with all of
// its own.
void ShadowWindow::relieve() {
  if (context_.budget.allows(0)) return;
  ++context_.counters.evictions;
  discard_all();
}

void ShadowWindow::discard(uint32_t first, uint32_t count) {
  const bool mapped = book_.next_used(first, first + count) != first + count;
  forget(first, count);
  if (!mapped) return;
  // SAFETY: inside the reservation, as above.
  if (::mmap(host(first), uint64_t{count} << kPageShift, PROT_NONE, kReservation | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    discard_all();
  }
}

void ShadowWindow::discard_all() {
  forget(0, ShadowBook::kPages);
  // Replacing the whole reservation splits nothing, so the limit on mappings cannot forbid it; should the
  // host refuse nevertheless, taking all rights splits nothing either, and map() replaces whatever lies
  // there.
  uint8_t* const start = base_.value - kGuard;
  if (::mmap(start, kReserved, PROT_NONE, kReservation | MAP_FIXED, -1, 0) != MAP_FAILED) return;
  const int result = ::mprotect(start, kReserved, PROT_NONE);
  CHECK(result == 0, "cannot take the rights from a shadow window");
}

}  // namespace vitrine::paging

// Translated code and how it is found: by guest address when running, by host address after a fault.
//
//   CodePage   one page of guest code at one virtual page and privilege: guest offset → host code
//     └ Unit   code translated in one go, contiguous in code memory, with its instruction boundaries
//   Site       a direct branch out of a unit: leads to its own stub until it is linked
//
// Every instruction boundary is an entry: registers and flags are where they always are, so that code can be
// entered anywhere and nothing is translated twice. Links within a page are unconditional; a link to another
// page passes a check of the active window's code map (docs/translation.md). Memory is filled from the low
// end and, when it is full, emptied as a whole.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/addresses.h"
#include "cpu/code_cache.h"
#include "memory/ram_block.h"
#include "translate/code_memory.h"

namespace vitrine::translate {

/// The mode that code was translated for.
enum class CodePrivilege : uint8_t {
  Supervisor,
  User,
  UserWithFpu,  ///< The floating-point state is in the host's registers whenever such code runs.
};

struct PageKey {
  memory::RamBlock* block = nullptr;
  uint64_t page = 0;          ///< Index within the block.
  uint32_t virtual_page = 0;  ///< Linear address >> 12.
  CodePrivilege privilege = CodePrivilege::Supervisor;

  bool operator==(const PageKey&) const = default;
};

/// Where an instruction begins: offset within the guest's page, offset within code memory.
struct Boundary {
  uint16_t guest = 0;
  bool shadow = false;  ///< The instruction before is STI: no interrupt is taken here.
  int8_t pending = 0;   ///< So many doublewords lie between r15 and ESP. Not 0: no entry, but see Entry.
  uint32_t host = 0;

  [[nodiscard]] bool is_entry() const { return pending == 0; }
};

/// A way in that puts r15 where the code behind a boundary with something pending expects it.
struct Entry {
  uint16_t guest = 0;
  uint32_t host = 0;
};

struct CodePage;

using SiteIndex = uint32_t;
using DeclineIndex = uint32_t;
using UnitIndex = uint32_t;

/// Code of one page, translated in one go. An instruction that reaches into the next page is a unit of its
/// own.
struct Unit {
  uint32_t begin = 0;  ///< Code memory offsets: instructions…
  uint32_t end = 0;    ///< …and what comes behind them (stubs).
  CodePage* page = nullptr;
  CodePage* tail_page = nullptr;  ///< Where the rest of an instruction that reaches into the next page lies…
  uint32_t tail_id = 0;           ///< Its number when the unit was made.
  uint16_t tail_last_byte = 0;    ///< …up to this offset.
  bool live = true;
  DeclineIndex first_decline = 0, end_decline = 0;
  uint16_t first_byte = 0, last_byte = 0;  ///< Guest bytes it was made from, offsets in the page.
  /// Where CALL enters the first instruction, ESP being the doubleword below r15; 0: like everybody else.
  uint32_t called = 0;
  std::vector<Entry> entries;        ///< Besides the boundaries that are.
  std::vector<Boundary> boundaries;  ///< Ascending by `host`.
  std::vector<SiteIndex> incoming;   ///< Sites that are linked to this unit.
};

/// Where a page's code is entered: code memory offsets by guest offset, 0 for none.
class EntryTable {
 public:
  [[nodiscard]] uint32_t find(uint16_t guest) const {
    const auto& chunk = chunks_[guest / kChunk];
    return chunk ? (*chunk)[guest % kChunk] : 0;
  }
  void set(uint16_t guest, uint32_t host) {
    auto& chunk = chunks_[guest / kChunk];
    if (!chunk) chunk = std::make_unique<std::array<uint32_t, kChunk>>();
    (*chunk)[guest % kChunk] = host;
  }
  /// Unless it has been set to something else.
  void forget(uint16_t guest, uint32_t host) {
    if (find(guest) == host) set(guest, 0);
  }

 private:
  static constexpr unsigned kChunk = 64;
  std::array<std::unique_ptr<std::array<uint32_t, kChunk>>, kPageSize / kChunk> chunks_;
};

/// Why an instruction that could run natively is left to the interpreter: its accesses keep faulting.
enum class SlowReason : uint8_t {
  None,
  Access,     ///< Faults for the interpreter: a device's register, a page with code.
  PageFault,  ///< Pages to be filled, and page faults of the guest's own.
};

struct SlowSite {
  uint32_t accesses = 0;     ///< That faulted for the interpreter while it was native.
  uint32_t page_faults = 0;  ///< While native; else those among `runs` that would have been.
  uint32_t runs = 0;         ///< While it was not native.
  uint8_t patience = 0;      ///< Times that page faults turned out to be rare.
  SlowReason reason = SlowReason::None;
  /// PageFault: it may look by itself whether the window shows what it accesses, and count its runs in this
  /// one of GuestContext::checks_left. 0: there was none left, or it looked in vain.
  uint16_t check = 0;
  bool looks = false;  ///< It does; else it always leaves.
  uint8_t unseen = 0;  ///< Accesses that faulted though it had looked.
};

/// An instruction in a unit that the interpreter executes without leaving the engine.
struct Decline {
  cpu::BlockPointer block;   ///< That instruction alone; null: not executed yet.
  SlowSite* slow = nullptr;  ///< What it is in CodePage::slow, if it could run natively.
  bool unsteady = false;     ///< What it reads does not stay as it is (engine_steady.cc).
};
inline constexpr DeclineIndex kNoDecline = 0;

/// So many strays, and the place behind a CALL does without the landing pad.
inline constexpr uint8_t kStraysToBeChecked = 4;

struct CodePage {
  uint32_t id = 0;  ///< Another one after each drop, so that whoever knows it by number has to look again.
  PageKey key;
  EntryTable entries;
  std::unordered_map<uint16_t, uint32_t> called;  ///< Unit::called by guest offset.
  std::vector<UnitIndex> units;
  std::unordered_map<uint16_t, SlowSite> slow;  ///< By guest offset.
  std::unordered_set<uint16_t> wraps;  ///< Guest offsets of instructions whose addresses wrap at 4 GiB.
  std::unordered_map<uint16_t, uint8_t> strays;  ///< By guest offset of a CALL: returns there from elsewhere.
  std::vector<uint16_t> targets;                 ///< Guest offsets that indirect branches have led to.
  std::vector<UnitIndex> tails;                  ///< Units of the page before that end in this one.
};

struct Site {
  uint32_t distance = 0;  ///< Offset of the 32-bit distance to patch.
  uint32_t stub = 0;      ///< Where it leads while unlinked.
  uint32_t target = 0;    ///< Guest address.
  uint32_t check = 0;     ///< Offset of the negated page id in the check; 0: a site within one page.
  /// Of a CALL, which comes with ESP below r15: the distance to patch for an entry that expects that (0: no
  /// CALL), and where r15 is moved on the way to `distance`, for one that does not.
  uint32_t call = 0, settle = 0;
};

class TranslationCache {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TranslationCache>> create(size_t size);

  [[nodiscard]] const CodeMemory& memory() const { return memory_; }
  /// Glue comes first; what is below this offset survives flush().
  void keep_below(uint32_t offset) { floor_ = next_ = unit_behind(offset); }

  [[nodiscard]] CodePage* find_page(const PageKey& key) const;
  CodePage& add_page(const PageKey& key);
  /// Null: the page has another number by now, or was flushed.
  [[nodiscard]] CodePage* page(uint32_t id) const {
    return id <= numbered_.size() ? numbered_[id - 1] : nullptr;
  }

  /// Room for one more unit (kMaximumUnit bytes); false: flush() first.
  [[nodiscard]] bool has_room() const { return next_ + kMaximumUnit <= memory_.size(); }
  static constexpr uint32_t kMaximumUnit = 64 << 10;
  /// Where the next unit begins: with a line of the host's caches, on which its decoded instructions are
  /// kept, too. The innermost functions begin with a unit, and lost up to a tenth elsewhere.
  [[nodiscard]] static constexpr uint32_t unit_behind(uint32_t end) {
    constexpr uint32_t kLine = 64;
    return (end + kLine - 1) & ~(kLine - 1);
  }
  [[nodiscard]] uint32_t next() const { return next_; }
  /// Takes over a unit that was written at next().
  UnitIndex add_unit(Unit unit);

  struct Pending {
    const Unit* unit;
    const Boundary* boundary;
  };
  /// The boundary of a unit of `page` that is no entry for what is pending there. Nothing: there is none.
  [[nodiscard]] std::optional<Pending> find_pending(const CodePage& page, uint16_t guest) const;

  SiteIndex add_site(const Site& site);
  [[nodiscard]] bool is_call(SiteIndex index) const {
    return index < sites_.size() && sites_[index].call != 0;
  }
  /// Belongs to the unit that is added next.
  DeclineIndex add_decline(SlowSite* slow);
  /// That unit will not come.
  void forget_declines(DeclineIndex first) { declines_.resize(first); }
  [[nodiscard]] DeclineIndex end_of_declines() const { return static_cast<DeclineIndex>(declines_.size()); }
  [[nodiscard]] Decline& decline(DeclineIndex index) { return declines_[index]; }
  /// Makes a site lead to the entry for its target in `page`, which has one; a CALL to its own, if there is.
  void link(SiteIndex site, CodePage& page);

  /// A page that lost code, and the number by which nobody may find it any more.
  struct Renumbered {
    const CodePage* page;
    uint32_t old_id;
  };
  /// Drops what was made from these bytes of a page of a block. Returns the pages that lost something.
  [[nodiscard]] std::vector<Renumbered> drop(const memory::RamBlock& block, uint64_t page, unsigned offset,
                                             unsigned size);
  /// Whether drop() would find something.
  [[nodiscard]] bool made_from(const memory::RamBlock& block, uint64_t page, unsigned offset,
                               unsigned size) const;
  /// Whether anything is left that was made from a page.
  [[nodiscard]] bool has_code(const memory::RamBlock& block, uint64_t page) const;
  void flush();

  /// The unit that a code memory offset lies in, or null.
  [[nodiscard]] const Unit* unit_at(uint32_t offset) const;
  /// Where in the guest an address of translated code belongs.
  struct Place {
    const Unit* unit;
    const Boundary* boundary;
    uint32_t offset;  ///< Of code memory.
    uint32_t eip;     ///< Of the instruction.
  };
  /// Nothing: the address is not translated code.
  [[nodiscard]] std::optional<Place> place_of(uint64_t address) const;
  /// The boundary that an offset in the unit belongs to: the last at or below it.
  [[nodiscard]] static const Boundary* boundary_at(const Unit& unit, uint32_t offset);

  struct Counters {
    uint64_t units = 0, instructions = 0, links = 0, drops = 0, flushes = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] uint32_t used() const { return next_; }

 private:
  explicit TranslationCache(CodeMemory memory) : memory_(std::move(memory)) {}

  struct BlockPage {
    const memory::RamBlock* block;
    uint64_t page;
    bool operator==(const BlockPage&) const = default;
  };
  struct Hash {
    size_t operator()(const PageKey& key) const;
    size_t operator()(const BlockPage& key) const;
  };

  void patch(uint32_t distance, uint32_t target);
  void unlink(const Site& site);
  void drop_unit(UnitIndex index);
  void number(CodePage& page);

  CodeMemory memory_;
  uint32_t floor_ = 0, next_ = 0;
  std::vector<std::unique_ptr<CodePage>> pages_;
  std::vector<CodePage*> numbered_;  // by id - 1
  std::unordered_map<PageKey, CodePage*, Hash> by_key_;
  std::unordered_map<BlockPage, std::vector<CodePage*>, Hash> by_block_page_;
  std::vector<Unit> units_;  // ascending by begin
  std::vector<Site> sites_;
  std::vector<Decline> declines_ = std::vector<Decline>(1);  // from 1 on
  std::vector<cpu::BlockPointer> retired_;  // of dropped units, one of which may be executing
  Counters counters_;
};

}  // namespace vitrine::translate

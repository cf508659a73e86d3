// The shadow page tables of one virtual processor: which window belongs to the guest's present page table and
// privilege, and how its entries come and go.
//
//   hidden fault ─► fill(): walk of the guest's table ─► accessed/dirty ─► the longest run into the window
//   CR3 load, INVLPG, CR0/CR4/EFER, change of the physical map, a page becoming watched ─► drop
//
// Each guest address space has a window for pretend-kernel and one for pretend-user mode; supervisor pages
// exist in the first only, so that a change of privilege is a change of GS base. (Or one window for both,
// emptied at each such change: ShadowViews.) What happens to entries at the guest's flushes is the policy's
// business (ShadowPolicy). Single-threaded: a processor's own thread,
// also from its handler of host faults (which are synchronous: translated code holds no lock and never
// allocates).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/addresses.h"
#include "base/result.h"
#include "memory/physical_map.h"
#include "paging/page_run.h"
#include "paging/page_walker.h"
#include "paging/shadow_policy.h"
#include "paging/shadow_space.h"
#include "paging/shadow_window.h"
#include "paging/table_tracker.h"

namespace vitrine::paging {

enum class FillOutcome : uint8_t {
  Filled,     ///< The access can be repeated: it will not fault again for the same reason.
  TrueFault,  ///< The guest's own fault: reflect it with `error_code`; the address is the one asked for.
  Emulate,  ///< A device, ROM being written, nothing, a watched page being written: the interpreter makes the
            ///< one access, which notices whatever there is to notice. Also when the host refuses a mapping.
};

struct FillResult {
  FillOutcome outcome = FillOutcome::Emulate;
  uint32_t error_code = 0;            ///< TrueFault.
  memory::RamBlock* block = nullptr;  ///< Filled: the page that the address lies in.
  uint64_t page = 0;
};

class ShadowSpaces final : private memory::MapListener, private memory::WriteListener {
 public:
  struct Options {
    ShadowPolicy policy = ShadowPolicy::OnDemand;
    ShadowViews views = ShadowViews::Two;
    uint64_t mapping_budget = 0;  ///< Host mappings; 0: from vm.max_map_count, leaving 2,000 free.
    unsigned most_spaces = 64;    ///< Guest address spaces remembered by the policies that do.
    uint32_t table_patience = TableTracker::kPatience;  ///< Unsync: see TrackedTable::patience.
  };

  [[nodiscard]] static Result<std::unique_ptr<ShadowSpaces>> create(memory::PhysicalMap& memory,
                                                                    const Options& options);
  ~ShadowSpaces() override;

  void set_listener(ShadowListener* listener) { context_.listener = listener; }

  // What the guest does. Each takes effect at once.

  /// A load of CR3, or a change of CR0, CR4 or EFER that matters to paging (WP, PG, PSE, PAE, PGE, NXE). Also
  /// to be called before first use.
  void load(const PagingRegisters& registers);
  /// INVLPG.
  void invalidate_page(VirtualAddress address);
  /// Everything, global entries too. Where windows are kept, what has changed goes at the next load(), which
  /// has to follow.
  void invalidate_all();

  /// The window for accesses at this privilege in the present address space. The reference stays good until
  /// the object dies; which one it is may change at load().
  [[nodiscard]] ShadowWindow& window(Privilege privilege) { return active_->window(privilege); }
  /// The same, about to be used: what it must not show at this privilege is gone. After each load() and
  /// change of privilege.
  [[nodiscard]] ShadowWindow& enter(Privilege privilege);

  /// An access at this privilege could not be made, or (Fetch) code is to be translated at `address`: makes
  /// it possible or says why not. An access that reaches into the next page may need a second call, for the
  /// address of that page's first byte. For a Fetch the window need not show the page: who looks code up
  /// there reads it from the block, and ShadowListener hears when it goes. The page is watched by nobody yet.
  [[nodiscard]] FillResult fill(VirtualAddress address, AccessKind kind, Privilege privilege);

  /// What a processor may do at any time: makes reading possible, and writing where it has no more effect
  /// than that, if the guest's tables give the page and it has been accessed already. Else nothing.
  void prefetch(VirtualAddress address, Privilege privilege);

  /// The same for looking code up, where nothing need be mapped for that: as fill() for a Fetch.
  [[nodiscard]] FillResult prefetch_code(VirtualAddress address, Privilege privilege);

  [[nodiscard]] const ShadowCounters& counters() const { return context_.counters; }
  [[nodiscard]] const MappingBudget& budget() const { return context_.budget; }

  // For monitors.

  [[nodiscard]] const std::vector<std::unique_ptr<ShadowSpace>>& spaces() const { return spaces_; }
  [[nodiscard]] const ShadowSpace& active() const { return *active_; }
  /// At the last load().
  [[nodiscard]] const PagingRegisters& registers() const { return registers_; }
  /// The space of a guest page table; null: it has none.
  [[nodiscard]] const ShadowSpace* find(const PagingRegisters& registers) const;
  /// A walk for the supervisor without side effects.
  [[nodiscard]] std::expected<Translation, WalkFault> look(const PagingRegisters& registers,
                                                           VirtualAddress address) const;

 private:
  ShadowSpaces(memory::PhysicalMap& memory, const Options& options);

  void physical_map_changed() override;
  void page_watched(memory::RamBlock& block, uint64_t page) override;
  [[nodiscard]] uint8_t watched_bytes_written(memory::RamBlock& block, uint64_t page, unsigned offset,
                                              unsigned size, uint8_t watches) override;
  void watched_writes_finished() override { tables_.finish_writes(); }
  [[nodiscard]] bool needs_watch(const memory::RamBlock& block, uint64_t page,
                                 memory::Watch reason) const override;

  [[nodiscard]] Result<void> create_space();
  [[nodiscard]] ShadowSpace& space_for(const PagingRegisters& registers);
  [[nodiscard]] ShadowSpace& space_to_recycle(const PagingRegisters& registers);
  [[nodiscard]] ShadowSpace* abandoned_space(const PagingRegisters& registers);
  void load_on_demand(const PagingRegisters& registers);
  void load_kept(const PagingRegisters& registers);
  void share(ShadowSpace& space, const ShadowSpace& donor, const PagingRegisters& registers);
  [[nodiscard]] bool copy_window(ShadowWindow& to, const ShadowWindow& from, const PageRun& pages);
  /// Windows outlive loads.
  [[nodiscard]] bool keeps() const { return options_.policy != ShadowPolicy::OnDemand; }
  [[nodiscard]] std::expected<Translation, WalkFault> look_at_accessed(VirtualAddress address,
                                                                       AccessKind kind, Privilege privilege);
  /// Code on a page is looked up without a mapping of it. Where tables are tracked they say when it is there
  /// no more; a virtual TLB knows by what it shows.
  [[nodiscard]] bool only_notes_fetches(const Translation& translation) const {
    return keeps() && registers_.enabled() && translation.page_size == kPageSize;
  }
  [[nodiscard]] FillResult resolve(const Translation& translation, VirtualAddress address, AccessKind kind,
                                   Privilege privilege);
  [[nodiscard]] uint8_t watches_for(const memory::Region& region, const PageTarget& target, AccessKind kind);
  [[nodiscard]] bool note_fetch(const PageTarget& target, const Translation& translation,
                                Privilege privilege);
  [[nodiscard]] bool show(const PageTarget& target, const Translation& translation,
                          const memory::Region& region, Privilege privilege);
  [[nodiscard]] bool map_run(ShadowWindow& shown, const PageRun& run, ShadowWord word,
                             const PageTarget& target);
  void make_room(ShadowWindow& wanted);
  void discard(ShadowSpace& space);
  void discard_everything();

  memory::PhysicalMap& memory_;
  ShadowContext context_;  // before the windows: they use it to the end
  TableTracker tables_;
  std::vector<std::unique_ptr<ShadowSpace>> spaces_;
  ShadowSpace* active_ = nullptr;
  const ShadowWindow* entered_ = nullptr;
  Options options_;
  PagingRegisters registers_;
  uint32_t eviction_hand_ = 0;
  bool walking_ = false;  // the accessed and dirty bits being set are our own doing
};

}  // namespace vitrine::paging

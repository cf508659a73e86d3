// The guest's page tables, and whether accessed and dirty flags in them may differ between two engines.
//
// SDM Vol. 3A, "Accessed and Dirty Flags" and "Invalidation of TLBs and Paging-Structure Caches": the access
// that loads a translation sets the flag, if it is clear; nothing else does. A flag that the guest has
// cleared (or an entry that it has changed while it was present) is set again only once the translation has
// been forgotten, at the latest when the guest invalidates it. Until then an engine may set it or not, and
// that is the only case in which flags may differ.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/addresses.h"
#include "cpu/cpu_state.h"
#include "cpu/native_engine.h"
#include "lockstep/recorder.h"
#include "memory/physical_map.h"

namespace vitrine::lockstep {

class GuestTables {
 public:
  explicit GuestTables(const memory::PhysicalMap& memory) : memory_(memory) {}

  void forget();
  /// What these control registers lead to are page tables, and from the step's end on nothing else.
  void learn(const cpu::CpuState& state);
  /// At the end of each step.
  void step_ended();
  /// The guest's processor has been told to forget.
  void invalidated(cpu::Invalidation what, uint32_t linear, const cpu::CpuState& state);
  [[nodiscard]] bool knows(const PageOf& page) const { return tables_.contains(page); }

  /// An instruction that translated code declines may have been tried by it: then the follower has set the
  /// flags for an access that both make with their next instruction.
  enum class Tried : uint8_t { No, Yes, YesButInterrupted };
  struct Verdict {
    bool merged = false;     ///< The flags differ and may; `page` has what either has set.
    bool early = false;      ///< The follower has flags that the leader must have after the next instruction.
    std::string difference;  ///< Empty: no other than those.
  };
  /// A page that is known was written: by the two engines alike, but for what is said. `page` holds the
  /// leader's bytes.
  [[nodiscard]] Verdict judge(const PageOf& page, std::span<uint8_t> leader,
                              std::span<const uint8_t> follower, Tried tried);

 private:
  struct Hash {
    size_t operator()(const PageOf& page) const {
      return reinterpret_cast<uintptr_t>(page.block) * 31 + page.page * 0x9e3779b97f4a7c15;
    }
  };
  struct Table {
    bool directory = false;
    bool leaves = false;  ///< Entries are of 4 KiB pages; with a directory in itself it is both.
    uint32_t found = 0;   ///< The number of the learn() that found it last.
    bool fresh = true;    ///< Found in this step: nothing of it can be remembered by a processor.
    std::array<uint8_t, kPageSize> seen{};
    std::array<uint8_t, 1024> free{};    ///< By entry: flags that may differ…
    std::array<uint32_t, 1024> since{};  ///< …from this moment on…
    std::array<bool, 1024> global{};     ///< …and outlive a load of CR3.
  };

  void add(PhysicalAddress address, bool directory);
  void add_tables_of(const Table& directory);
  [[nodiscard]] PageOf page_at(PhysicalAddress address) const;
  [[nodiscard]] unsigned entry_size() const { return pae_ ? 8 : 4; }
  [[nodiscard]] uint8_t may_differ(const Table& table, unsigned index) const;
  void follow(Table& table, unsigned index, uint64_t before, uint64_t now);
  void forgive(PhysicalAddress table, unsigned index);

  const memory::PhysicalMap& memory_;
  std::unordered_map<PageOf, std::unique_ptr<Table>, Hash> tables_;
  std::vector<Table*> fresh_;
  uint32_t learned_ = 0;  // calls of learn()
  bool stale_ = false;    // tables are known that the last of them did not find
  bool pae_ = false;
  uint32_t moment_ = 1;
  uint32_t forgot_all_ = 0, forgot_non_global_ = 0;  // moments
  uint32_t directory_changed_ = 0;                   // an entry that named a table
};

}  // namespace vitrine::lockstep

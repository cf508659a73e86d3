// Random page tables, random edits of them each followed by the invalidation that the manual requires, random
// fills; the walker is the oracle. A window must show exactly the bytes that the guest's table says, with no
// more rights than it gives, under every policy.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <tuple>

#include "paging/shadow_test_guest.h"

namespace vitrine::paging {
namespace {

using memory::Placement;
using memory::RamBlock;
using memory::Watch;

enum class Format : uint8_t { Legacy, Pae };
enum class Globals : uint8_t { Off, On };

struct Variant {
  ShadowPolicy policy;
  Format format;
  Globals globals;
  uint64_t budget;
  ShadowViews views = ShadowViews::Two;
};

constexpr std::array<const char*, 3> kPolicyNames = {"OnDemand", "Proactive", "Unsync"};

constexpr uint32_t kDirectories = 0x10000;  // four pages for each address space
constexpr uint32_t kSpaces = 6;
constexpr uint32_t kFirstTable = 0x40000;
constexpr uint32_t kTableCount = 8;
constexpr uint32_t kFrames = 0x800000;
constexpr uint32_t kRom = 0x7000000;
constexpr uint32_t kPagesUsed = 12;  // of each table
constexpr uint32_t kSignature = 0xff8;

class ShadowOracle : public ShadowGuest, public testing::WithParamInterface<Variant> {
 protected:
  ShadowOracle() : rom_(RamBlock::create("rom", 0x10000).value()) {
    memory_.add(Placement::rom(PhysicalAddress(kRom), 0x10000, *rom_, 0));
    for (RamBlock* block : {ram_.get(), rom_.get()}) {
      for (uint32_t at = 0; at < block->size(); at += kPageSize) {
        const uint32_t signature = at | (block == rom_.get() ? 0x80000000 : 0);
        // Only what tests use is touched.
        if (at < 0x900000) std::memcpy(block->data() + at + kSignature, &signature, 4);
      }
    }
    pae_ = GetParam().format == Format::Pae;
    registers_.cr4 =
        (pae_ ? x86::kCr4Pae : x86::kCr4Pse) | (GetParam().globals == Globals::On ? x86::kCr4Pge : 0);
    registers_.efer = pae_ ? x86::kEferNxe : 0;
  }

  uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  bool chance(uint32_t percent) { return pick(100) < percent; }
  [[nodiscard]] uint32_t pages_in_slot() const { return pae_ ? 512 : 1024; }
  [[nodiscard]] uint32_t slot_number(uint32_t i) const {
    constexpr uint32_t kLegacy[] = {1, 2, 768};
    constexpr uint32_t kPae[] = {2, 3, 1537};
    return pae_ ? kPae[i] : kLegacy[i];
  }
  [[nodiscard]] uint32_t address_of(uint32_t slot, uint32_t page) const {
    return (slot_number(slot) * pages_in_slot() + page) << kPageShift;
  }
  [[nodiscard]] uint64_t directory_entry_at(uint32_t space, uint32_t slot) const {
    const uint32_t number = slot_number(slot);
    return kDirectories + space * 0x4000 + number * (pae_ ? 8 : 4);
  }
  [[nodiscard]] uint64_t table_entry_at(uint32_t table, uint32_t page) const {
    return kFirstTable + table * kPageSize + page * (pae_ ? 8 : 4);
  }

  uint64_t random_flags() {
    uint64_t flags = chance(90) ? x86::kPagePresent : 0;
    if (chance(70)) flags |= x86::kPageWritable;
    if (chance(60)) flags |= x86::kPageUser;
    if (chance(70)) flags |= x86::kPageAccessed;
    if (chance(60)) flags |= x86::kPageDirty;
    if (chance(20)) flags |= x86::kPageGlobal;
    if (pae_ && chance(10)) flags |= x86::kPageNoExecute;
    return flags;
  }
  uint64_t random_entry(uint32_t page) {
    uint64_t frame = kFrames + page * kPageSize;
    if (chance(30)) frame = kFrames + pick(32) * kPageSize;
    if (chance(8)) frame = kFirstTable + pick(kTableCount) * kPageSize;
    if (chance(3)) frame = kRom + pick(16) * kPageSize;
    if (chance(3)) frame = 0x0f000000;
    return frame | random_flags();
  }
  uint64_t random_directory_entry(uint32_t space) {
    if (chance(15)) return (chance(50) ? kFrames : 0u) | random_flags() | x86::kPageLarge;
    uint64_t table = kFirstTable + pick(kTableCount) * kPageSize;
    if (chance(4)) table = kDirectories + space * 0x4000;  // seen as a table
    if (chance(2)) table = kRom;
    if (chance(2)) table = 0x0f000000;  // nothing there: all ones
    const uint64_t flags = random_flags() & ~uint64_t{x86::kPageNoExecute};
    return table | flags | (chance(80) ? x86::kPageUser | x86::kPageWritable : 0);
  }

  // As the guest or a bus master would: by a store through a window, the interpreter's pointer, or DMA.
  void store(uint64_t where, uint64_t value) {
    const size_t size = pae_ ? 8 : 4;
    const uint32_t way = pick(3);
    if (way == 0 && ram_->watches(where >> kPageShift) == 0) {
      std::memcpy(ram_->data() + where, &value, size);
      return;
    }
    if (way == 1 && spaces_ != nullptr && store_through_window(where, value, size)) return;
    memory_.write(PhysicalAddress(where), static_cast<unsigned>(size), value);
  }
  bool store_through_window(uint64_t where, uint64_t value, size_t size) {
    for (uint32_t slot = 0; slot < 3; ++slot) {
      for (uint32_t page = 0; page < kPagesUsed; ++page) {
        const VirtualAddress address(address_of(slot, page));
        const auto found = vitrine::paging::walk(memory_, registers_, address, AccessKind::Write,
                                                 Privilege::Supervisor, Effects::None);
        if (!found || found->page().value != (where & ~uint64_t{kPageMask})) continue;
        if (fill(address.value, AccessKind::Write) != FillOutcome::Filled) return false;
        // Setting the dirty bit may have changed the very entry.
        iovec local{&value, size};
        iovec remote{at(address.value).value + (where & kPageMask), size};
        EXPECT_EQ(::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0), static_cast<ssize_t>(size));
        ++stores_through_windows_;
        return true;
      }
    }
    return false;
  }

  void invalidate_pages(uint32_t slot, uint32_t page, uint32_t count) {
    for (uint32_t i = page; i < page + count; ++i) {
      spaces_->invalidate_page(VirtualAddress(address_of(slot, i)));
    }
  }
  void load_space(uint32_t space) {
    const uint32_t cr3 = kDirectories + space * 0x4000;
    if (cr3 != registers_.cr3 && (registers_.cr4 & x86::kCr4Pge) != 0) {
      // Global pages would stay, and they are not the same in all these address spaces.
      registers_.cr4 &= ~x86::kCr4Pge;
      spaces_->load(registers_);
      registers_.cr4 |= x86::kCr4Pge;
    }
    registers_.cr3 = cr3;
    if (pae_) {
      for (uint32_t i = 0; i < 4; ++i) {
        registers_.pdptes[i] = (registers_.cr3 + i * kPageSize) | x86::kPagePresent;
      }
    }
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg | (chance(85) ? x86::kCr0Wp : 0);
    spaces_->load(registers_);
    pending_ = false;
  }

  // An edit, and what the manual wants after it. Other address spaces need nothing but their load, unless
  // pages are global.
  void edit() {
    const bool global = GetParam().globals == Globals::On;
    const bool lazily = !global && chance(50);
    if (chance(25)) {
      const uint32_t space = pick(kSpaces);
      const uint32_t slot = pick(3);
      store(directory_entry_at(space, slot), random_directory_entry(space));
      if (lazily) {
        pending_ = true;
      } else {
        // A directory may serve as a table as well.
        for (uint32_t i = 0; i < 3; ++i) invalidate_pages(i, 0, kPagesUsed);
      }
      return;
    }
    const uint32_t page = pick(kPagesUsed);
    store(table_entry_at(pick(kTableCount), page), random_entry(page));
    if (lazily) {
      pending_ = true;
    } else {
      for (uint32_t i = 0; i < 3; ++i) invalidate_pages(i, page, 1);
    }
  }

  struct Truth {
    bool readable = false;
    bool writable = false;
    const RamBlock* block = nullptr;
    uint64_t page = 0;
  };
  // What a window may show at most.
  Truth truth(uint32_t address, Privilege privilege) {
    Truth truth;
    const auto found = vitrine::paging::walk(memory_, registers_, VirtualAddress(address), AccessKind::Read,
                                             privilege, Effects::None);
    if (!found || !found->accessed) return truth;
    const memory::Region& region = memory_.find(found->page());
    if (region.read_block == nullptr) return truth;
    truth.readable = true;
    truth.block = region.read_block;
    truth.page = region.read_page(memory_.gated(found->page()));
    const bool may =
        found->writable || (privilege == Privilege::Supervisor && (registers_.cr0 & x86::kCr0Wp) == 0);
    truth.writable = may && found->dirty && region.write_block == region.read_block &&
                     region.read_block->watches(truth.page) == 0;
    return truth;
  }
  uint32_t signature(MachineAddress page) {
    uint32_t value = 0;
    iovec local{&value, 4};
    iovec remote{page.value + kSignature, 4};
    EXPECT_EQ(::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0), 4);
    return value;
  }
  void check(uint32_t address, Privilege privilege) {
    const Truth allowed = truth(address, privilege);
    const ShadowEntry entry = spaces_->window(privilege).entry(VirtualAddress(address));
    const MachineAddress where = at(address, privilege);
    ASSERT_EQ(probe_read(where + kSignature).has_value(), entry.block != nullptr);
    if (entry.block == nullptr) return;
    ASSERT_TRUE(allowed.readable) << std::hex << address;
    ASSERT_EQ(entry.block, allowed.block) << std::hex << address;
    ASSERT_EQ(entry.page, allowed.page) << std::hex << address;
    uint32_t expected = 0;
    std::memcpy(&expected, allowed.block->data() + (allowed.page << kPageShift) + kSignature, 4);
    ASSERT_EQ(signature(where), expected) << std::hex << address;
    const bool writable = probe_write(where + kSignature, static_cast<uint8_t>(expected));
    ASSERT_EQ(writable, entry.rights == ShadowRights::ReadWrite);
    // Until the guest invalidates, an entry may have kept rights that the table has lost.
    if (!stale_allowed()) {
      ASSERT_LE(writable, allowed.writable) << std::hex << address;
    }
  }
  [[nodiscard]] bool stale_allowed() const {
    return pending_ && GetParam().policy != ShadowPolicy::Proactive;
  }
  void check_all() {
    for (uint32_t slot = 0; slot < 3; ++slot) {
      for (uint32_t page = 0; page < kPagesUsed; ++page) {
        for (const Privilege privilege : {Privilege::Supervisor, Privilege::User}) {
          // A single window shows nothing to the other privilege once that is entered.
          (void)spaces_->enter(privilege);
          check(address_of(slot, page), privilege);
        }
        if (HasFatalFailure()) return;
      }
    }
  }
  void fill_somewhere() {
    const uint32_t address = address_of(pick(3), pick(kPagesUsed));
    const auto kind = static_cast<AccessKind>(pick(3));
    const auto privilege = static_cast<Privilege>(pick(2));
    const auto expected =
        vitrine::paging::walk(memory_, registers_, VirtualAddress(address), kind, privilege, Effects::None);
    const FillOutcome outcome = fill(address, kind, privilege);
    if (outcome == FillOutcome::TrueFault) {
      // A faulting walk has no side effects; without them the walker takes tables where nothing is for
      // absent.
      const auto fault = vitrine::paging::walk(memory_, registers_, VirtualAddress(address), kind, privilege,
                                               Effects::SetAccessedAndDirty);
      ASSERT_FALSE(expected);
      ASSERT_FALSE(fault);
      ASSERT_EQ(last_.error_code, fault.error().error_code);
      return;
    }
    ++outcomes_[static_cast<size_t>(outcome)];
    if (!expected) {
      ASSERT_EQ(outcome, FillOutcome::Emulate);
      return;
    }
    const Truth allowed = truth(address, privilege);
    const bool possible = kind == AccessKind::Write ? allowed.writable : allowed.readable;
    ASSERT_EQ(outcome == FillOutcome::Filled, possible) << std::hex << address;
    if (outcome != FillOutcome::Filled) return;
    ASSERT_EQ(last_.block, allowed.block);
    ASSERT_EQ(last_.page, allowed.page);
    if (kind == AccessKind::Write) {
      ASSERT_TRUE(probe_write(at(address, privilege) + 0xf00, 0));
    }
    check(address, privilege);
  }
  void step() {
    const uint32_t what = pick(100);
    if (what < 60) {
      fill_somewhere();
    } else if (what < 80) {
      edit();
    } else if (what < 90) {
      load_space(pick(kSpaces));
    } else if (what < 94) {
      const uint64_t page = (kFrames >> kPageShift) + pick(16);
      if (chance(40)) {
        memory_.watch(*ram_, page, Watch::Code);
      } else {
        ram_->unwatch(page, Watch::Code);
      }
    } else if (what < 95 && chance(20)) {
      memory_.set_a20(!memory_.a20());
    } else if (!stale_allowed()) {
      check_all();
    }
  }

  std::unique_ptr<RamBlock> rom_;
  std::mt19937_64 random_;
  bool pae_ = false;
  bool pending_ = false;
  int stores_through_windows_ = 0;
  std::array<int, 3> outcomes_{};
};

TEST_P(ShadowOracle, ShowsWhatTheWalkSays) {
  random_.seed(12345);
  for (int run = 0; run < 20; ++run) {
    for (uint32_t space = 0; space < kSpaces; ++space) {
      for (uint32_t slot = 0; slot < 3; ++slot) {
        store(directory_entry_at(space, slot), random_directory_entry(space));
      }
    }
    for (uint32_t table = 0; table < kTableCount; ++table) {
      for (uint32_t page = 0; page < kPagesUsed; ++page) {
        store(table_entry_at(table, page), random_entry(page));
      }
    }
    start({.policy = GetParam().policy,
           .views = GetParam().views,
           .mapping_budget = GetParam().budget,
           .most_spaces = 3 + static_cast<unsigned>(run % 8),
           .table_patience = 1u << run % 6});
    load_space(0);
    for (int i = 0; i < 1500; ++i) {
      step();
      if (HasFatalFailure()) {
        ADD_FAILURE() << "run " << run << ", step " << i;
        return;
      }
    }
    memory_.set_a20(true);
    spaces_.reset();
  }
  EXPECT_GT(outcomes_[static_cast<size_t>(FillOutcome::Filled)], 1000);
  EXPECT_GT(stores_through_windows_, 50);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, ShadowOracle,
    testing::Values(Variant{ShadowPolicy::OnDemand, Format::Legacy, Globals::Off, 0},
                    Variant{ShadowPolicy::OnDemand, Format::Pae, Globals::On, 0},
                    Variant{ShadowPolicy::OnDemand, Format::Legacy, Globals::On, 40},
                    Variant{ShadowPolicy::OnDemand, Format::Pae, Globals::On, 0, ShadowViews::One},
                    Variant{ShadowPolicy::Unsync, Format::Legacy, Globals::Off, 0, ShadowViews::One},
                    Variant{ShadowPolicy::Unsync, Format::Legacy, Globals::Off, 0},
                    Variant{ShadowPolicy::Unsync, Format::Pae, Globals::Off, 0},
                    Variant{ShadowPolicy::Unsync, Format::Legacy, Globals::On, 0},
                    Variant{ShadowPolicy::Unsync, Format::Pae, Globals::On, 40},
                    Variant{ShadowPolicy::Unsync, Format::Legacy, Globals::Off, 40},
                    Variant{ShadowPolicy::Proactive, Format::Legacy, Globals::Off, 0},
                    Variant{ShadowPolicy::Proactive, Format::Pae, Globals::Off, 0},
                    Variant{ShadowPolicy::Proactive, Format::Legacy, Globals::On, 40},
                    Variant{ShadowPolicy::Proactive, Format::Pae, Globals::On, 0, ShadowViews::One}),
    [](const testing::TestParamInfo<Variant>& test) {
      const Variant& variant = test.param;
      return std::string(kPolicyNames[static_cast<size_t>(variant.policy)]) +
             (variant.format == Format::Pae ? "Pae" : "Legacy") +
             (variant.globals == Globals::On ? "Global" : "") + (variant.budget != 0 ? "SmallBudget" : "") +
             (variant.views == ShadowViews::One ? "OneView" : "");
    });

}  // namespace
}  // namespace vitrine::paging

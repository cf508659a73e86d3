// Changes a guest's page tables at random, with and without the invalidation that the manual requires, and
// compares each access that the guest then makes with the walker: it must use the translation that the tables
// give now, or one that they gave since the address was last invalidated; and accessed and dirty bits appear
// where the access went and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "engines/fuzzed_tables.h"
#include "engines/translation_history.h"

namespace vitrine::engines {

struct FuzzerCounts {
  uint64_t steps = 0, accesses = 0, faults = 0, edits = 0, stale = 0, exact = 0;
};

class PageTableFuzzer : public FuzzedTables {
 public:
  PageTableFuzzer(const PagingGuest::Options& options, uint64_t seed);

  /// One access, edit, or invalidation. False: it went wrong, as complaint() says.
  [[nodiscard]] bool step();
  [[nodiscard]] const std::string& complaint() const { return complaint_; }
  [[nodiscard]] const FuzzerCounts& counts() const { return counts_; }

 private:
  /// An access to one of the test's pages.
  struct Access {
    paging::AccessKind kind;
    paging::Privilege privilege;
    uint32_t address;
    uint32_t value;
  };

  [[nodiscard]] bool fail(std::string what);
  [[nodiscard]] std::string describe(unsigned processor, uint32_t page) const;

  [[nodiscard]] uint64_t random_flags();
  [[nodiscard]] uint64_t random_entry();
  [[nodiscard]] uint64_t random_directory_entry(uint32_t space);

  [[nodiscard]] std::optional<CachedTranslation> translate(unsigned processor, uint32_t page);
  void look_again();
  [[nodiscard]] bool command(Command which, const CommandRegisters& registers);
  [[nodiscard]] bool edit();
  [[nodiscard]] bool edit_by_guest(uint32_t where, uint64_t value);
  [[nodiscard]] bool edit_bits(uint32_t where);
  [[nodiscard]] bool edit_by_copy(uint32_t where);
  void edit_by_dma(uint32_t where, uint64_t value);
  [[nodiscard]] bool recycle();
  [[nodiscard]] bool invalidate();
  [[nodiscard]] bool invalidate_page(uint32_t page);
  [[nodiscard]] bool load(Command which, uint32_t value);
  [[nodiscard]] bool access();
  [[nodiscard]] bool judge(const Access& access, uint32_t page, const CommandResult& result);
  [[nodiscard]] bool judge_fault(const Access& access, uint32_t page, const CommandResult& result);
  [[nodiscard]] bool judge_success(const Access& access, uint32_t page, const CommandResult& result);
  [[nodiscard]] bool judge_tables(const Access& access, uint32_t page, bool done);
  [[nodiscard]] bool permits(const CachedTranslation& translation, const Access& access) const;
  [[nodiscard]] uint32_t refusal(const Access& access) const;
  [[nodiscard]] bool showed(const CachedTranslation& translation, const Access& access, uint32_t page,
                            const CommandResult& result) const;
  void remember_tables();

  unsigned processors_;
  unsigned now_ = 0;  // the processor whose turn it is
  std::array<std::array<TranslationHistory, kAddresses>, 2> histories_;
  std::vector<uint8_t> tables_;  // as they were before an access
  uint32_t last_value_ = 1;
  FuzzerCounts counts_;
  std::string complaint_;
};

}  // namespace vitrine::engines

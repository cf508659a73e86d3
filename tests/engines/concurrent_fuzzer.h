// Two processors at the same time: one changes page tables, over and over, while the other uses them, each on
// a thread of its own. Between two points where both stand still, an access may find whatever any table in
// use said in between, combined in any way, or what was cached before that and not invalidated since; nothing
// else.
#pragma once

#include <array>
#include <barrier>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engines/fuzzed_tables.h"

namespace vitrine::engines {

struct ConcurrentCounts {
  uint64_t phases = 0, stores = 0, accesses = 0, faults = 0;
  uint64_t mixed = 0;  ///< Accesses for which more than one outcome was right.
};

class ConcurrentFuzzer : public FuzzedTables {
 public:
  /// `options` with an engine.
  ConcurrentFuzzer(const PagingGuest::Options& options, uint64_t seed);
  ~ConcurrentFuzzer();
  ConcurrentFuzzer(const ConcurrentFuzzer&) = delete;
  ConcurrentFuzzer& operator=(const ConcurrentFuzzer&) = delete;

  /// Both processors, until each has done its part. False: it went wrong, as complaint() says.
  [[nodiscard]] bool phase();
  [[nodiscard]] const std::string& complaint() const { return complaint_; }
  [[nodiscard]] const ConcurrentCounts& counts() const { return counts_; }

 private:
  static constexpr uint32_t kOwnSpaces = 2;

  /// What an address may lead to.
  struct Outcome {
    uint32_t page = 0;  ///< Physical address; 0: nothing is there.
    bool writable = false, user = false, executable = false;
    auto operator<=>(const Outcome&) const = default;
  };
  using Outcomes = std::set<Outcome>;

  struct Access {
    paging::AccessKind kind = paging::AccessKind::Read;
    paging::Privilege privilege = paging::Privilege::Supervisor;
    uint32_t page = 0;  ///< Of the test's, 0…kAddresses-1.
    uint32_t value = 0;
  };

  bool fail(std::string what);

  [[nodiscard]] uint32_t random_entry();
  [[nodiscard]] uint32_t random_directory_entry();
  [[nodiscard]] std::vector<uint32_t> versions(uint32_t entry) const;
  void add_outcomes(uint32_t directory_entry, uint32_t page, Outcomes& outcomes) const;
  void find_possible();

  void plan();
  void edit(std::mt19937_64& random);
  [[nodiscard]] bool use();
  [[nodiscard]] bool use_list();
  [[nodiscard]] bool use_one();
  [[nodiscard]] bool invalidate(bool everything);
  [[nodiscard]] bool judge_fault(const Access& access, const CommandResult& result);
  [[nodiscard]] bool judge_success(const Access& access, uint32_t found);
  [[nodiscard]] bool permits(const Outcome& outcome, const Access& access) const;
  [[nodiscard]] uint32_t refusal(const Access& access, bool present) const;
  [[nodiscard]] std::string describe(uint32_t page) const;

  uint32_t space_ = 0;  // of processor 0
  uint32_t last_value_ = 1;
  std::map<uint32_t, std::vector<uint32_t>> edits_;  // by entry: the low words that it gets in this phase
  uint32_t stores_ = 0;                              // in the list of processor 1
  uint32_t delay_ = 1;
  std::array<Outcomes, kAddresses> possible_;  // in this phase
  std::array<Outcomes, kAddresses> cached_;    // before it, and not invalidated since
  ConcurrentCounts counts_;
  std::string complaint_;
  std::string editor_complaint_;

  bool ending_ = false;
  std::barrier<> meet_{2};
  std::thread editor_;
};

}  // namespace vitrine::engines

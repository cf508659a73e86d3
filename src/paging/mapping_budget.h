// How many host mappings the shadow windows may use. The host allows a process vm.max_map_count of them
// (65,530 by default), and at that limit even dropping a page from the middle of a run fails; so a part stays
// free.
#pragma once

#include <cstdint>

namespace vitrine::paging {

class MappingBudget {
 public:
  /// Left to the rest of the process, and to the mappings that dropping splits.
  static constexpr uint64_t kReserve = 2000;

  /// `limit` 0: what the host allows, less the reserve.
  explicit MappingBudget(uint64_t limit);

  [[nodiscard]] uint64_t limit() const { return limit_; }
  [[nodiscard]] uint64_t used() const { return used_; }
  /// Whether `more` mappings fit.
  [[nodiscard]] bool allows(uint64_t more) const { return used_ + more <= limit_; }
  void change(int64_t by) { used_ += static_cast<uint64_t>(by); }

  /// What of a host's limit is ours.
  [[nodiscard]] static uint64_t share_of(uint64_t host_limit);
  /// vm.max_map_count, or the kernel's default if it cannot be read.
  [[nodiscard]] static uint64_t host_limit();

 private:
  uint64_t limit_;
  uint64_t used_ = 0;
};

}  // namespace vitrine::paging

#include "paging/mapping_budget.h"

#include <algorithm>
#include <fstream>

namespace vitrine::paging {

namespace {
// Enough for a fill to make progress whatever the host allows.
constexpr uint64_t kLeast = 16;
}  // namespace

MappingBudget::MappingBudget(uint64_t limit) {
  if (limit == 0) {
    const uint64_t host = host_limit();
    // Where the host allows very little, a half is ours.
    limit = host > 2 * kReserve ? host - kReserve : host / 2;
  }
  limit_ = std::max(limit, kLeast);
}

uint64_t MappingBudget::host_limit() {
  constexpr uint64_t kKernelDefault = 65530;
  std::ifstream file("/proc/sys/vm/max_map_count");
  uint64_t limit = 0;
  return file >> limit && limit != 0 ? limit : kKernelDefault;
}

}  // namespace vitrine::paging

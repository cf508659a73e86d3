#include "paging/mapping_budget.h"

#include <algorithm>
#include <fstream>

namespace vitrine::paging {

namespace {
// Enough for a fill to make progress whatever the host allows.
constexpr uint64_t kLeast = 16;
}  // namespace

MappingBudget::MappingBudget(uint64_t limit)
    : limit_(std::max(limit != 0 ? limit : share_of(host_limit()), kLeast)) {}

uint64_t MappingBudget::share_of(uint64_t host_limit) {
  // Where the host allows very little, a half is ours.
  return host_limit > 2 * kReserve ? host_limit - kReserve : host_limit / 2;
}

uint64_t MappingBudget::host_limit() {
  constexpr uint64_t kKernelDefault = 65530;
  std::ifstream file("/proc/sys/vm/max_map_count");
  uint64_t limit = 0;
  return file >> limit && limit != 0 ? limit : kKernelDefault;
}

}  // namespace vitrine::paging

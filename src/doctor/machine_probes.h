// The rows of the report that are about `vitrine run` and about the kernel's limits.
#pragma once

#include <vector>

#include "doctor/host_report.h"

namespace vitrine::doctor {

/// Whether guest code can be run natively, and what makes it fast.
[[nodiscard]] std::vector<Row> machine_rows();
/// vm.max_map_count, ulimits, overcommitment: numbers.
[[nodiscard]] std::vector<Row> limit_rows();
/// openat2, user dispatch, userfaultfd.
[[nodiscard]] std::vector<Row> call_rows();

}  // namespace vitrine::doctor

// Drives: from paths to open, locked, examined images.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace vitrine::cli {

/// Remarks that do not keep the machine from running go to `warnings`.
[[nodiscard]] Result<std::vector<machine::DriveConfig>> open_drives(const RunOptions& options,
                                                                    std::vector<std::string>& warnings);

}  // namespace vitrine::cli

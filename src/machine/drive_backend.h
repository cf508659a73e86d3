// From a drive's configuration to what its controller stores sectors in.
#pragma once

#include <memory>

#include "devices/block_backend.h"
#include "machine/machine_config.h"

namespace vitrine::machine {

/// Null for a drive without a medium. Takes the descriptors out of `drive`.
[[nodiscard]] Result<std::unique_ptr<devices::BlockBackend>> create_drive_backend(DriveConfig& drive);

}  // namespace vitrine::machine

// Keeps two machines from writing to one disk image.
#pragma once

#include <cstdint>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::cli {

enum class LockKind : uint8_t {
  Shared,     ///< Readers: any number.
  Exclusive,  ///< A writer, alone.
};

enum class LockOutcome : uint8_t { Locked, NotSupported /**< The file system has no locks. */ };

/// Locks the whole image with an open-file-description lock, held until every copy of `file` is closed (also
/// by exit). An Error says that somebody else holds it. `name` is for messages.
[[nodiscard]] Result<LockOutcome> lock_image(const Descriptor& file, const std::string& name, LockKind kind);

}  // namespace vitrine::cli

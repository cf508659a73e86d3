// A picture as a PNG file.
#pragma once

#include <cstdint>
#include <span>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::machine {

/// Writes 24-bit RGB, rows from the top without padding. `rgb` has 3 * width * height bytes; neither is zero.
[[nodiscard]] Result<void> write_png(Descriptor file, uint32_t width, uint32_t height,
                                     std::span<const uint8_t> rgb);

}  // namespace vitrine::machine

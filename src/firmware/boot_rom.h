// Makes the option ROM that carries out a BootPlan inside the guest. See boot_rom.S for what it does there.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "firmware/boot_plan.h"

namespace vitrine::firmware {

/// The name under which the firmware finds the ROM in fw_cfg, and its line for the file "bootorder".
inline constexpr char kBootRomFile[] = "genroms/vitrineboot.bin";
inline constexpr char kBootRomBootOrder[] = "/rom@genroms/vitrineboot.bin";

/// `selectors[i]` is the fw_cfg selector under which plan.chunks[i].data can be read.
/// Error: more chunks than fit a ROM (some 4,000).
[[nodiscard]] Result<std::vector<uint8_t>> make_boot_rom(const BootPlan& plan,
                                                         std::span<const uint16_t> selectors);

}  // namespace vitrine::firmware

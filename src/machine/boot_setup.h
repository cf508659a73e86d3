// What the machine finds at its first instruction: ROMs in their places, the firmware configuration device
// filled, and a kernel given with -kernel prepared, either for our option ROM or, without firmware, put into
// memory at once.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "base/shared_bytes.h"
#include "devices/fw_cfg.h"
#include "firmware/direct_boot.h"
#include "machine/machine_config.h"
#include "memory/ram_block.h"

namespace vitrine::machine {

/// All of a file, at most `limit` bytes. `name` is for messages.
[[nodiscard]] Result<SharedBytes> read_whole(const Descriptor& file, const std::string& name, uint64_t limit);

/// A ROM image in storage of its own, its end on a page boundary; bytes in front of it are FFh.
[[nodiscard]] Result<std::unique_ptr<memory::RamBlock>> load_rom(const RomFile& rom, uint64_t limit);

/// Sizes of RAM that the machine's memory map is made from, in bytes.
struct MemorySizes {
  uint64_t below_4g = 0;
  uint64_t above_4g = 0;
};
/// The memory map of a PC without firmware: what INT 15h E820h would say.
[[nodiscard]] std::vector<firmware::MemoryRange> memory_ranges(const MemorySizes& sizes);

/// A kernel's boot plan, from the files that were opened. Nothing: there is no -kernel.
[[nodiscard]] Result<std::optional<firmware::BootPlan>> plan_boot(const MachineConfig& config,
                                                                  const MemorySizes& sizes);

/// Everything that the firmware asks for, the option ROM for `plan` included. With `plan`, the chunks' bytes
/// move into the device.
[[nodiscard]] Result<void> fill_fw_cfg(devices::FwCfg& fw_cfg, MachineConfig& config,
                                       const MemorySizes& sizes, std::optional<firmware::BootPlan> plan);

}  // namespace vitrine::machine

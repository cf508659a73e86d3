#include "firmware/boot_rom.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <numeric>

#include "base/check.h"

// boot_rom.S
extern "C" const uint8_t vitrine_boot_rom_start[];
extern "C" const uint8_t vitrine_boot_rom_parameters[];
extern "C" const uint8_t vitrine_boot_rom_end[];

namespace vitrine::firmware {
namespace {

constexpr size_t kRomUnit = 512;
constexpr size_t kRomLimit = 0x10000;
constexpr size_t kSizeOffset = 2;
constexpr size_t kPnpPointerOffset = 0x1a;
constexpr size_t kPnpChecksumOffset = 9;
constexpr size_t kPnpLength = 32;

// In the order of boot_rom.S, `parameters`.
struct Parameters {
  uint32_t protocol, setup_segment, stack_pointer, entry, information, memory_map, memory_map_limit,
      transfers;
};

// One DMA request of the firmware configuration device, big-endian.
struct Transfer {
  uint32_t control, length;
  uint64_t address;
};
static_assert(sizeof(Transfer) == 16);
constexpr uint32_t kControlRead = 2;
constexpr uint32_t kControlSelect = 8;

// The byte at `where` is chosen so that the bytes of `range` add up to zero.
void fix_checksum(std::span<uint8_t> range, size_t where) {
  range[where] = 0;
  const unsigned sum = std::accumulate(range.begin(), range.end(), 0u);
  range[where] = static_cast<uint8_t>(-sum);
}

}  // namespace

Result<std::vector<uint8_t>> make_boot_rom(const BootPlan& plan, std::span<const uint16_t> selectors) {
  CHECK(selectors.size() == plan.chunks.size());
  std::vector<uint8_t> rom(vitrine_boot_rom_start, vitrine_boot_rom_end);

  const Parameters parameters{
      .protocol = plan.protocol == BootProtocol::LinuxRealMode ? 0u : 1u,
      .setup_segment = plan.setup_segment,
      .stack_pointer = plan.stack_pointer,
      .entry = plan.entry,
      .information = plan.information,
      .memory_map = plan.memory_map,
      .memory_map_limit = plan.memory_map_limit,
      .transfers = static_cast<uint32_t>(plan.chunks.size()),
  };
  std::memcpy(rom.data() + (vitrine_boot_rom_parameters - vitrine_boot_rom_start), &parameters,
              sizeof parameters);

  for (size_t i = 0; i < plan.chunks.size(); ++i) {
    const uint32_t control = uint32_t{selectors[i]} << 16 | kControlSelect | kControlRead;
    const Transfer transfer{std::byteswap(control),
                            std::byteswap(static_cast<uint32_t>(plan.chunks[i].data.size())),
                            std::byteswap(plan.chunks[i].address.value)};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&transfer);
    rom.insert(rom.end(), bytes, bytes + sizeof transfer);
  }

  rom.resize((rom.size() + 1 + kRomUnit - 1) / kRomUnit * kRomUnit);
  if (rom.size() > kRomLimit) {
    return std::unexpected(
        Error{"the kernel given with -kernel cannot be booted", "", 0, "it has too many segments"});
  }
  rom[kSizeOffset] = static_cast<uint8_t>(rom.size() / kRomUnit);
  uint16_t pnp = 0;
  std::memcpy(&pnp, rom.data() + kPnpPointerOffset, sizeof pnp);
  fix_checksum(std::span(rom).subspan(pnp, kPnpLength), kPnpChecksumOffset);
  fix_checksum(rom, rom.size() - 1);
  return rom;
}

}  // namespace vitrine::firmware

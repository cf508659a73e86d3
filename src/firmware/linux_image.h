// Linux's bzImage. Documentation: "The Linux/x86 Boot Protocol".
//
// A bzImage is 16-bit set-up code followed by a 32-bit part that unpacks the real kernel, an ELF file. It is
// booted as shipped (the guest unpacks), or unpacked here first: then the set-up code still runs in the guest
// and collects what the BIOS knows, but its jump to the 32-bit part goes to the kernel's own entry. Nothing
// in the kernel is changed; only KASLR, which the skipped code would have done, does not happen.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "firmware/boot_plan.h"

namespace vitrine::firmware {

enum class Payload : uint8_t {
  AsShipped,
  Unpacked,  ///< Falls back to AsShipped when the payload is compressed in a way not known here, or 64-bit.
};

struct LinuxBoot {
  SharedBytes kernel;
  SharedBytes initrd;
  std::string_view command_line;
  uint64_t low_memory = 0;  ///< RAM below 4 GiB, in bytes.
  Payload payload = Payload::Unpacked;
};

/// Whether the file has the boot protocol's signature ("HdrS").
[[nodiscard]] bool is_linux_image(std::span<const uint8_t> file);

/// Errors: not a bzImage, an old zImage, truncated, too little memory for kernel or initrd, command line too
/// long.
[[nodiscard]] Result<BootPlan> plan_linux_boot(const LinuxBoot& boot);

/// The payload of a bzImage, unpacked: xz, lzma, gzip, or not packed at all. At most 512 MiB.
[[nodiscard]] Result<SharedBytes> unpack_payload(const SharedBytes& payload);

}  // namespace vitrine::firmware

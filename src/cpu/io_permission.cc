// Who may use which I/O port. SDM Vol. 1, "Protected-Mode I/O"; Vol. 3B, "8086 Emulation".
#include "cpu/access.h"
#include "x86/descriptors.h"
#include "x86/tss.h"

namespace vitrine::cpu {

bool io_permitted_by_level(const Core& core) {
  if (core.real_mode()) return true;
  // In virtual-8086 mode the map alone decides.
  return !core.v86_mode() && core.state.cpl <= core.iopl();
}

bool io_permitted(Core& core, uint16_t port, unsigned size) {
  if (io_permitted_by_level(core)) return true;

  const SegmentRegister& tss = core.state.tr;
  const bool has_map = x86::is_32bit_tss(tss.attributes) && x86::is_present(tss.attributes);
  if (!has_map || tss.limit < x86::tss32::kMinimumLimit) return core.raise(x86::Vector::GeneralProtection);
  uint16_t map = 0;
  if (!load_system(core, tss.base + x86::tss32::kIoMapBase, map)) return false;
  // Two bytes are always read, so that an access across a byte of the map needs no case of its own.
  const uint32_t offset = map + port / 8u;
  if (offset + 1 > tss.limit) return core.raise(x86::Vector::GeneralProtection);
  uint16_t bits = 0;
  if (!load_system(core, tss.base + offset, bits)) return false;
  const uint32_t mask = (1u << size) - 1;
  if ((bits >> (port & 7) & mask) != 0) return core.raise(x86::Vector::GeneralProtection);
  return true;
}

}  // namespace vitrine::cpu

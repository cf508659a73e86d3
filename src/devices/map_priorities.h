// Who hides whom in the PC's physical address space (memory::Placement::priority). Higher hides lower.
#pragma once

namespace vitrine::devices {

enum MapPriority : int {
  kPriorityPci = -1,    ///< PCI base address registers: RAM hides them, as the host bridge answers first.
  kPriorityRam = 0,     ///< System RAM, and the BIOS at the top of 4 GiB.
  kPriorityHole = 1,    ///< A0000–BFFFF, where the host bridge hands accesses to PCI.
  kPriorityVga = 2,     ///< The VGA's window in that hole.
  kPriorityBridge = 3,  ///< C0000–FFFFF as the PAM registers say, and open SMRAM.
  kPriorityApic = 4,    ///< Local APIC and I/O APIC pages.
};

}  // namespace vitrine::devices

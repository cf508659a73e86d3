// Starts a kernel without firmware: memory and registers as firmware::DirectEntry says.
#pragma once

#include "firmware/direct_boot.h"
#include "machine/processors.h"
#include "memory/physical_map.h"

namespace vitrine::machine {

/// After Processors::reset(). Leaves the boot processor in 32-bit protected mode at the kernel's entry, the
/// PIC's interrupts reaching it as if firmware had run.
void start_directly(const firmware::DirectEntry& entry, memory::PhysicalMap& memory, Processors& processors);

}  // namespace vitrine::machine

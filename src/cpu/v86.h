// Virtual-8086 mode extensions. SDM Vol. 3B, "8086 Emulation": "Interrupt and Exception Handling in
// Virtual-8086 Mode".
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

/// Where INT n of a virtual-8086 program goes.
enum class V86Interrupt : uint8_t {
  Protected,  ///< To the handler in the IDT.
  Redirected  ///< To the 8086 program's own handler.
};

/// Decides by IOPL, CR4.VME and the redirection bit map of the TSS. False: core.fault.
[[nodiscard]] bool route_v86_interrupt(Core& core, uint8_t vector, V86Interrupt& route);

/// Goes to the handler that the 8086 interrupt table at linear address 0 names, with the virtual interrupt
/// flag in the place of IF when IOPL is less than 3. False: core.fault, nothing has changed.
[[nodiscard]] bool redirect_v86_interrupt(Core& core, uint8_t vector);

/// FLAGS as a 16-bit POPF or IRET under VME loads them with IOPL below 3: IF becomes VIF. False: #GP(0).
[[nodiscard]] bool load_virtual_flags(Core& core, uint16_t image);
/// FLAGS as a 16-bit PUSHF or INT under VME stores them with IOPL below 3.
[[nodiscard]] uint16_t virtual_flags(const Core& core);

}  // namespace vitrine::cpu

// A static check of translated code: every instruction of every unit is decoded as the host's processor
// would, and must be one of the forms by which translated code may work. Knows nothing of how they came
// about, so that a mistake of the translator or of the emitter is one here. See docs/translation.md.
//
// What holds when nothing is found: memory is touched by operands gs:[32-bit address], by [r11 + 32-bit
// register] and [r15] within reach of the window's guards, by a string instruction whose pointers have just
// been put into the window, by loads around the landing pad, or within the GuestContext, the code map and the
// rights of the window's pages at places that the translator may use; R11–R14 are never written, RSP is but
// emptied, and R15 stays near the window; no register of the guest's gets an upper half; nothing enters the
// host's kernel; control stays at instruction starts of translated code and at the glue's ways out.
#pragma once

#include <string>

#include "translate/engine.h"

namespace vitrine::engines {

/// Empty, or one line for each kind of violation found.
[[nodiscard]] std::string verify_translations(const translate::Engine& engine);

}  // namespace vitrine::engines

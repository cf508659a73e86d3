// A static check of translated code: every instruction of every unit is decoded as the host's processor
// would, and must be one of the forms by which translated code may work. Knows nothing of how they came
// about, so that a mistake of the translator or of the emitter is one here. See docs/translation.md.
//
// What holds when nothing is found: memory is touched by operands gs:[32-bit address] only, by a string
// instruction whose pointers have just been put into the window, or within the GuestContext and code map at
// places that the translator may use; RSP and R12–R14 are never written; no register of the guest's gets an
// upper half; nothing enters the host's kernel; control stays at instruction starts of translated code and at
// the glue's ways out.
#pragma once

#include <string>

#include "translate/engine.h"

namespace vitrine::engines {

/// Empty, or one line for each kind of violation found.
[[nodiscard]] std::string verify_translations(const translate::Engine& engine);

}  // namespace vitrine::engines

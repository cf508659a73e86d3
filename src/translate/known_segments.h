// Loads of segment registers that translated code may do by itself: the two that were seen last for each. The
// processor's state learns of them on the way out.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/core.h"
#include "translate/guest_context.h"

namespace vitrine::translate {

class KnownSegments {
 public:
  /// Before translated code is entered: what the processor's registers hold is known from now on.
  void enter(const cpu::Core& core, GuestContext& context);
  /// When it has come back: the registers are what it made them.
  void leave(GuestContext& context, cpu::Core& core);

 private:
  void learn(const cpu::Core& core, GuestContext& context, unsigned which, unsigned load);

  std::array<std::array<cpu::SegmentRegister, kKnownLoads>, kKnownSegments.size()> segments_{};
  std::array<unsigned, kKnownSegments.size()> current_{};
  cpu::DescriptorTableRegister gdtr_{};
};

}  // namespace vitrine::translate

#include "cpu/v86.h"

#include "cpu/access.h"
#include "cpu/descriptor_access.h"
#include "cpu/stack_frame.h"
#include "x86/control_registers.h"
#include "x86/tss.h"

namespace vitrine::cpu {

using x86::Vector;

namespace {

// SDM Vol. 3B, "Class 3—Software Interrupt Handling in Virtual-8086 Mode": the map's 32 bytes end where the
// I/O permission map begins. A bit that is clear redirects.
bool read_redirection_bit(Core& core, uint8_t vector, bool& to_protected) {
  const SegmentRegister& tss = core.state.tr;
  if (!x86::is_32bit_tss(tss.attributes) || tss.limit < x86::tss32::kMinimumLimit)
    return core.raise(Vector::GeneralProtection);
  uint16_t io_map = 0;
  if (!load_system(core, tss.base + x86::tss32::kIoMapBase, io_map)) return false;
  const uint32_t offset = io_map - x86::tss32::kRedirectionBytes + vector / 8u;
  if (io_map < x86::tss32::kRedirectionBytes || offset > tss.limit)
    return core.raise(Vector::GeneralProtection);
  uint8_t bits = 0;
  if (!load_system(core, tss.base + offset, bits)) return false;
  to_protected = (bits >> (vector & 7) & 1) != 0;
  return true;
}

}  // namespace

bool route_v86_interrupt(Core& core, uint8_t vector, V86Interrupt& route) {
  route = V86Interrupt::Protected;
  bool to_protected = true;
  if ((core.state.cr4 & x86::kCr4Vme) != 0 && !read_redirection_bit(core, vector, to_protected)) return false;
  if (!to_protected) {
    route = V86Interrupt::Redirected;
    return true;
  }
  return core.iopl() == 3 || core.raise(Vector::GeneralProtection);
}

bool redirect_v86_interrupt(Core& core, uint8_t vector) {
  CpuState& state = core.state;
  uint16_t ip = 0, cs = 0;
  if (!load_system(core, vector * 4u, ip) || !load_system(core, vector * 4u + 2, cs)) return false;

  const bool virtual_if = core.iopl() < 3;
  StackFrame frame(state.segments[x86::kSs], state.gpr[x86::kEsp], Privilege::User, 0);
  frame.push(2, virtual_if ? virtual_flags(core) : state.eflags);
  frame.push(2, state.segments[x86::kCs].selector);
  frame.push(2, state.eip);
  if (!frame.check(core) || !frame.write(core)) return false;

  state.gpr[x86::kEsp] = frame.esp();
  state.eflags &= ~(x86::kTf | x86::kRf | (virtual_if ? x86::kVif : x86::kIf));
  state.segments[x86::kCs] = segment_for_v86(cs);
  state.eip = ip;
  update_mode(core);
  return true;
}

bool load_virtual_flags(Core& core, uint16_t image) {
  uint32_t& eflags = core.state.eflags;
  const bool enables = (image & x86::kIf) != 0;
  if ((image & x86::kTf) != 0 || (enables && (eflags & x86::kVip) != 0))
    return core.raise(Vector::GeneralProtection);
  constexpr uint32_t kLoaded = x86::kArithmeticFlags | x86::kDf | x86::kNt | x86::kTf;
  eflags = (eflags & ~(kLoaded | x86::kVif)) | (image & kLoaded) | (enables ? x86::kVif : 0);
  return true;
}

uint16_t virtual_flags(const Core& core) {
  const uint32_t eflags = core.state.eflags;
  const uint32_t image = (eflags & ~x86::kIf) | x86::kIopl | ((eflags & x86::kVif) != 0 ? x86::kIf : 0);
  return static_cast<uint16_t>(image);
}

}  // namespace vitrine::cpu

// CLI, STI, PUSHF, POPF: the instructions on IF and IOPL, with virtual-8086 mode extensions (VME) and
// protected-mode virtual interrupts (PVI). Documentation: SDM Vol. 2 under each mnemonic, tables "Decision
// Table for …".
#include "cpu/access.h"
#include "cpu/stack_frame.h"
#include "cpu/system_instructions.h"
#include "cpu/v86.h"
#include "x86/control_registers.h"

namespace vitrine::cpu {

using x86::Vector;

namespace {

// Which flag CLI and STI mean here: IF, VIF, or none (#GP).
uint32_t interrupt_flag(const Core& core) {
  const CpuState& state = core.state;
  if (core.real_mode()) return x86::kIf;
  if (core.v86_mode()) {
    if (core.iopl() == 3) return x86::kIf;
    return (state.cr4 & x86::kCr4Vme) != 0 ? x86::kVif : 0;
  }
  if (core.iopl() >= state.cpl) return x86::kIf;
  return state.cpl == 3 && (state.cr4 & x86::kCr4Pvi) != 0 ? x86::kVif : 0;
}

constexpr uint32_t kWordFlags =
    x86::kArithmeticFlags | x86::kTf | x86::kIf | x86::kDf | x86::kIopl | x86::kNt;
constexpr uint32_t kDoublewordFlags = kWordFlags | x86::kAc | x86::kId;

// The flags that POPF loads, apart from VME with IOPL below 3.
uint32_t popped_flags(const Core& core, unsigned size) {
  uint32_t loaded = size == 4 ? kDoublewordFlags : kWordFlags;
  if (core.real_mode()) return loaded;
  if (core.state.cpl != 0) loaded &= ~x86::kIopl;
  if (core.state.cpl > core.iopl()) loaded &= ~x86::kIf;
  return loaded;
}

}  // namespace

bool cli(Core& core, const Instruction& /*i*/) {
  const uint32_t flag = interrupt_flag(core);
  if (flag == 0) return core.raise(Vector::GeneralProtection);
  core.state.eflags &= ~flag;
  return true;
}

bool sti(Core& core, const Instruction& /*i*/) {
  CpuState& state = core.state;
  const uint32_t flag = interrupt_flag(core);
  if (flag == 0 || (flag == x86::kVif && (state.eflags & x86::kVip) != 0))
    return core.raise(Vector::GeneralProtection);
  // Interrupts stay off for one more instruction, if they were off before.
  if (flag == x86::kIf && (state.eflags & x86::kIf) == 0) state.interrupt_shadow = true;
  state.eflags |= flag;
  return true;
}

bool pushf(Core& core, const Instruction& i) {
  const uint32_t eflags = core.state.eflags & ~(x86::kVm | x86::kRf);
  if (core.v86_mode() && core.iopl() < 3) {
    if (i.operand_size != 2 || (core.state.cr4 & x86::kCr4Vme) == 0)
      return core.raise(Vector::GeneralProtection);
    return push(core, virtual_flags(core));
  }
  return i.operand_size == 4 ? push(core, eflags) : push(core, static_cast<uint16_t>(eflags));
}

bool popf(Core& core, const Instruction& i) {
  const bool virtual_flags_only = core.v86_mode() && core.iopl() < 3;
  if (virtual_flags_only && (i.operand_size != 2 || (core.state.cr4 & x86::kCr4Vme) == 0))
    return core.raise(Vector::GeneralProtection);
  StackReader stack(core);
  uint32_t image = 0;
  if (!stack.pop(i.operand_size == 4 ? 4 : 2, image)) return false;
  CpuState& state = core.state;
  if (virtual_flags_only) {
    if (!load_virtual_flags(core, static_cast<uint16_t>(image))) return false;
  } else {
    const uint32_t loaded = popped_flags(core, i.operand_size);
    state.eflags = (state.eflags & ~(loaded | x86::kRf)) | (image & loaded) | x86::kFlagsFixed;
  }
  state.gpr[x86::kEsp] = stack.esp();
  update_mode(core);  // AC
  return true;
}

}  // namespace vitrine::cpu

// IRET and IRETD in all modes. Documentation: SDM Vol. 2, "IRET/IRETD"; Vol. 3B, "8086 Emulation"; task
// returns are in task_switch.cc.
#include "cpu/access.h"
#include "cpu/code_segment.h"
#include "cpu/stack_frame.h"
#include "cpu/task_switch.h"
#include "cpu/v86.h"
#include "x86/control_registers.h"

namespace vitrine::cpu {

using x86::Selector;
using x86::Vector;

namespace {

// What a 16-bit image holds, and what a 32-bit one adds to it.
constexpr uint32_t kWordFlags =
    x86::kArithmeticFlags | x86::kTf | x86::kIf | x86::kDf | x86::kIopl | x86::kNt;
constexpr uint32_t kDoublewordFlags = kWordFlags | x86::kRf | x86::kAc | x86::kId;

void load_flags(Core& core, uint32_t image, uint32_t loaded) {
  core.state.eflags = (core.state.eflags & ~loaded) | (image & loaded) | x86::kFlagsFixed;
}

struct ReturnFrame {
  uint32_t eip = 0, cs = 0, eflags = 0;
};

bool pop_frame(StackReader& stack, unsigned size, ReturnFrame& frame) {
  return stack.pop(size, frame.eip) && stack.pop(size, frame.cs) && stack.pop(size, frame.eflags);
}

bool return_real(Core& core, unsigned size) {
  StackReader stack(core);
  ReturnFrame frame;
  if (!pop_frame(stack, size, frame)) return false;
  CpuState& state = core.state;
  if (!within_code(state.segments[x86::kCs], frame.eip)) return core.raise(Vector::GeneralProtection);
  state.gpr[x86::kEsp] = stack.esp();
  load_flags(core, frame.eflags, size == 4 ? kDoublewordFlags : kWordFlags);
  SegmentRegister& cs = state.segments[x86::kCs];
  cs.selector = static_cast<uint16_t>(frame.cs);
  cs.base = uint32_t{cs.selector} << 4;
  state.eip = frame.eip;
  update_mode(core);
  return true;
}

// Within virtual-8086 mode. With IOPL below 3 only the 16-bit form under VME is allowed.
bool return_within_v86(Core& core, unsigned size) {
  CpuState& state = core.state;
  const bool trusted = core.iopl() == 3;
  if (!trusted && (size == 4 || (state.cr4 & x86::kCr4Vme) == 0))
    return core.raise(Vector::GeneralProtection);
  StackReader stack(core);
  ReturnFrame frame;
  if (!pop_frame(stack, size, frame)) return false;
  if (frame.eip > 0xffff) return core.raise(Vector::GeneralProtection);
  if (trusted) {
    load_flags(core, frame.eflags, (size == 4 ? kDoublewordFlags : kWordFlags) & ~x86::kIopl);
  } else if (!load_virtual_flags(core, static_cast<uint16_t>(frame.eflags))) {
    return false;
  }
  state.gpr[x86::kEsp] = stack.esp();
  state.segments[x86::kCs] = segment_for_v86(static_cast<uint16_t>(frame.cs));
  state.eip = frame.eip;
  update_mode(core);
  return true;
}

bool return_to_v86(Core& core, StackReader& stack, const ReturnFrame& frame) {
  uint32_t esp = 0;
  uint32_t values[5] = {};  // SS, ES, DS, FS, GS
  if (!stack.pop(4, esp)) return false;
  for (uint32_t& value : values) {
    if (!stack.pop(4, value)) return false;
  }
  if (frame.eip > 0xffff) return core.raise(Vector::GeneralProtection);
  CpuState& state = core.state;
  constexpr x86::Segment kOrder[5] = {x86::kSs, x86::kEs, x86::kDs, x86::kFs, x86::kGs};
  for (unsigned n = 0; n < 5; ++n)
    state.segments[kOrder[n]] = segment_for_v86(static_cast<uint16_t>(values[n]));
  state.segments[x86::kCs] = segment_for_v86(static_cast<uint16_t>(frame.cs));
  state.gpr[x86::kEsp] = esp;
  state.eip = frame.eip;
  state.cpl = 3;
  load_flags(core, frame.eflags, x86::kFlagsDefined);
  update_mode(core);
  return true;
}

// Which flags the CPL before the return may change.
uint32_t loadable_flags(const Core& core, unsigned size) {
  uint32_t loaded = size == 4 ? kDoublewordFlags : kWordFlags;
  if (core.state.cpl > core.iopl()) loaded &= ~x86::kIf;
  if (core.state.cpl != 0) {
    loaded &= ~x86::kIopl;
  } else if (size == 4) {
    loaded |= x86::kVif | x86::kVip;
  }
  return loaded;
}

bool return_protected(Core& core, unsigned size) {
  CpuState& state = core.state;
  StackReader stack(core);
  ReturnFrame frame;
  if (!pop_frame(stack, size, frame)) return false;
  if (size == 4 && (frame.eflags & x86::kVm) != 0 && state.cpl == 0) return return_to_v86(core, stack, frame);

  CodeTarget target;
  if (!find_return_code(core, Selector(static_cast<uint16_t>(frame.cs)), target)) return false;
  const uint8_t level = target.selector.rpl();
  const bool outward = level > state.cpl;
  SegmentRegister ss;
  uint32_t esp = 0;
  if (outward) {
    uint32_t ss_value = 0;
    if (!stack.pop(size, esp) || !stack.pop(size, ss_value)) return false;
    if (!find_outer_stack(core, Selector(static_cast<uint16_t>(ss_value)), level, ss)) return false;
  }
  if (!prepare_code(core, target, frame.eip)) return false;

  load_flags(core, frame.eflags, loadable_flags(core, size));
  enter_code(core, target, level, frame.eip);
  if (outward) {
    state.gpr[x86::kEsp] = merged_esp(ss, state.gpr[x86::kEsp], esp);
    state.segments[x86::kSs] = ss;
    drop_inner_segments(core);
  } else {
    state.gpr[x86::kEsp] = stack.esp();
  }
  update_mode(core);
  return true;
}

}  // namespace

bool interrupt_return(Core& core, unsigned operand_size) {
  // SDM Vol. 3A, "Handling Multiple NMIs": the execution of IRET unblocks NMIs, also when it faults.
  core.state.nmi_blocked = false;
  if (core.real_mode()) return return_real(core, operand_size);
  if (core.v86_mode()) return return_within_v86(core, operand_size);
  if ((core.state.eflags & x86::kNt) != 0) return return_to_previous_task(core);
  return return_protected(core, operand_size);
}

}  // namespace vitrine::cpu

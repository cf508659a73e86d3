// The instruction functions of the system half: all of them end a block (see core.h). system_rows.cc says
// which operation and form each belongs to.
#pragma once

#include "cpu/core.h"

namespace vitrine::cpu {

#define VITRINE_SYSTEM_FUNCTION(name) [[nodiscard]] bool name(Core& core, const Instruction& i);

// segment_instructions.cc
VITRINE_SYSTEM_FUNCTION(mov_from_segment)
VITRINE_SYSTEM_FUNCTION(mov_to_segment)
VITRINE_SYSTEM_FUNCTION(push_segment)
VITRINE_SYSTEM_FUNCTION(pop_segment)
VITRINE_SYSTEM_FUNCTION(load_far_pointer)
VITRINE_SYSTEM_FUNCTION(lar)
VITRINE_SYSTEM_FUNCTION(lsl)
VITRINE_SYSTEM_FUNCTION(verr)
VITRINE_SYSTEM_FUNCTION(verw)
VITRINE_SYSTEM_FUNCTION(arpl)

// descriptor_table_instructions.cc
VITRINE_SYSTEM_FUNCTION(lgdt)
VITRINE_SYSTEM_FUNCTION(lidt)
VITRINE_SYSTEM_FUNCTION(sgdt)
VITRINE_SYSTEM_FUNCTION(sidt)
VITRINE_SYSTEM_FUNCTION(lldt)
VITRINE_SYSTEM_FUNCTION(ltr)
VITRINE_SYSTEM_FUNCTION(sldt)
VITRINE_SYSTEM_FUNCTION(str)

// far_transfer_instructions.cc
VITRINE_SYSTEM_FUNCTION(jmp_far_pointer)
VITRINE_SYSTEM_FUNCTION(jmp_far_memory)
VITRINE_SYSTEM_FUNCTION(call_far_pointer)
VITRINE_SYSTEM_FUNCTION(call_far_memory)
VITRINE_SYSTEM_FUNCTION(ret_far)
VITRINE_SYSTEM_FUNCTION(iret)
VITRINE_SYSTEM_FUNCTION(int_n)
VITRINE_SYSTEM_FUNCTION(int1)
VITRINE_SYSTEM_FUNCTION(int3)
VITRINE_SYSTEM_FUNCTION(into)

// flags_instructions.cc
VITRINE_SYSTEM_FUNCTION(cli)
VITRINE_SYSTEM_FUNCTION(sti)
VITRINE_SYSTEM_FUNCTION(pushf)
VITRINE_SYSTEM_FUNCTION(popf)

// control_registers.cc
VITRINE_SYSTEM_FUNCTION(mov_from_control)
VITRINE_SYSTEM_FUNCTION(mov_to_control)
VITRINE_SYSTEM_FUNCTION(mov_from_debug)
VITRINE_SYSTEM_FUNCTION(mov_to_debug)
VITRINE_SYSTEM_FUNCTION(clts)
VITRINE_SYSTEM_FUNCTION(lmsw)
VITRINE_SYSTEM_FUNCTION(smsw)
VITRINE_SYSTEM_FUNCTION(invlpg)
VITRINE_SYSTEM_FUNCTION(xgetbv)
VITRINE_SYSTEM_FUNCTION(xsetbv)

// sysenter.cc
VITRINE_SYSTEM_FUNCTION(sysenter)
VITRINE_SYSTEM_FUNCTION(sysexit)

// msr.cc
VITRINE_SYSTEM_FUNCTION(rdmsr)
VITRINE_SYSTEM_FUNCTION(wrmsr)

// processor_instructions.cc
VITRINE_SYSTEM_FUNCTION(cpuid)
VITRINE_SYSTEM_FUNCTION(rdtsc)
VITRINE_SYSTEM_FUNCTION(rdtscp)
VITRINE_SYSTEM_FUNCTION(rdpmc)
VITRINE_SYSTEM_FUNCTION(rdrand)
VITRINE_SYSTEM_FUNCTION(rdseed)
VITRINE_SYSTEM_FUNCTION(hlt)
VITRINE_SYSTEM_FUNCTION(invalidate_caches)
VITRINE_SYSTEM_FUNCTION(monitor)
VITRINE_SYSTEM_FUNCTION(mwait)

// hypercalls.cc
VITRINE_SYSTEM_FUNCTION(vmcall)

#undef VITRINE_SYSTEM_FUNCTION

/// What a privileged instruction asks first: CPL 0, else #GP(0). Virtual-8086 mode has CPL 3.
[[nodiscard]] inline bool require_supervisor(Core& core) {
  return core.state.cpl == 0 || core.raise(x86::Vector::GeneralProtection);
}

}  // namespace vitrine::cpu

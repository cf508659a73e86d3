// What stands around tested code, the same on every virtual machine here: a GDT with flat segments, a TSS, an
// IDT and handlers that halt, in four pages of which only a supervisor knows. And a state to begin with.
//
//   31340000  GDT, TSS at +800 | IDT | handlers, one byte each | stack
#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_model.h"
#include "cpu/cpu_state.h"
#include "differential/test_case.h"

namespace vitrine::differential {

inline constexpr uint32_t kKernelBase = 0x31340000, kKernelPages = 4;
inline constexpr uint32_t kGdt = kKernelBase, kTss = kKernelBase + 0x800, kIdt = kKernelBase + 0x1000,
                          kHandlers = kKernelBase + 0x2000, kStackTop = kKernelBase + 0x4000;
inline constexpr uint32_t kVectors = 256;

inline constexpr uint32_t kPresent = 1, kWritable = 2, kUser = 4;
inline constexpr uint16_t kKernelCode = 0x08, kKernelData = 0x10, kUserCode = 0x23, kUserData = 0x2b,
                          kTask = 0x30;

void put_word(std::span<uint8_t> memory, uint32_t at, uint32_t value);

/// Fills the four pages. User code may use the gates of #BP and #OF.
void build_supervisor(std::span<uint8_t> pages);

/// Flat segments at this privilege level, tables, control registers. CR3 and everything of the program's are
/// left.
void enter_supervisor_tables(cpu::CpuState& state, const cpu::CpuModel& model, unsigned cpl);

/// From and to the image of FXSAVE and the upper halves of the YMM registers. The places of the last x87
/// instruction and operand are taken over by from_unit(); to_unit() leaves them zero.
void from_unit(const MachineState& state, cpu::FloatingPointState& fpu);
void to_unit(const cpu::FloatingPointState& fpu, MachineState& state);
/// Those places, without the segments.
void to_unit_places(const cpu::FloatingPointState& fpu, MachineState& state);

}  // namespace vitrine::differential

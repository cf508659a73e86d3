#include "differential/supervisor.h"

#include <algorithm>
#include <cstring>

#include "x86/control_registers.h"

namespace vitrine::differential {
namespace {

// Second doublewords of descriptors; as CpuState holds attributes, without the base.
constexpr uint32_t kFlat = 0x00cf0000;
constexpr uint32_t kAttributesCode0 = 0x00c09b00, kAttributesData0 = 0x00c09300,
                   kAttributesCode3 = 0x00c0fb00, kAttributesData3 = 0x00c0f300, kAttributesTss = 0x00008b00;

cpu::SegmentRegister flat(uint16_t selector, uint32_t attributes) {
  return {selector, attributes, 0, 0xffffffff};
}

}  // namespace

void put_word(std::span<uint8_t> memory, uint32_t at, uint32_t value) {
  std::memcpy(memory.data() + at, &value, 4);
}

void build_supervisor(std::span<uint8_t> pages) {
  const auto word = [&](uint32_t address, uint32_t value) { put_word(pages, address - kKernelBase, value); };
  const auto descriptor = [&](uint16_t selector, uint32_t low, uint32_t high) {
    word(kGdt + (selector & ~7u), low);
    word(kGdt + (selector & ~7u) + 4, high);
  };
  descriptor(kKernelCode, 0xffff, kFlat | (kAttributesCode0 & 0xffff));
  descriptor(kKernelData, 0xffff, kFlat | (kAttributesData0 & 0xffff));
  descriptor(kUserCode, 0xffff, kFlat | (kAttributesCode3 & 0xffff));
  descriptor(kUserData, 0xffff, kFlat | (kAttributesData3 & 0xffff));
  descriptor(kTask, (kTss & 0xffff) << 16 | 0x67, (kTss & 0xff000000) | (kTss >> 16 & 0xff) | kAttributesTss);
  word(kTss + 4, kStackTop);
  word(kTss + 8, kKernelData);
  word(kTss + 0x64, 0x00680000);  // no I/O permission bit map
  for (uint32_t vector = 0; vector < kVectors; ++vector) {
    const uint32_t handler = kHandlers + vector;
    const bool user = vector == 3 || vector == 4;  // as Linux has it
    word(kIdt + 8 * vector, uint32_t{kKernelCode} << 16 | (handler & 0xffff));
    word(kIdt + 8 * vector + 4, (handler & 0xffff0000) | (user ? 0xee00 : 0x8e00));
    pages[handler - kKernelBase] = 0xf4;  // hlt
  }
}

void enter_supervisor_tables(cpu::CpuState& state, const cpu::CpuModel& model, unsigned cpl) {
  state.cr0 = x86::kCr0Pg | x86::kCr0Wp | x86::kCr0Ne | x86::kCr0Et | x86::kCr0Mp | x86::kCr0Pe;
  state.cr4 = x86::kCr4Osfxsr | x86::kCr4Osxmmexcpt;
  if (model.has(cpu::Feature::Xsave)) state.cr4 |= x86::kCr4Osxsave;
  state.xcr0 = std::max(1u, model.cpuid(13, 0).eax);
  state.cpl = static_cast<uint8_t>(cpl);
  const bool user = cpl == 3;
  state.segments.fill(user ? flat(kUserData, kAttributesData3) : flat(kKernelData, kAttributesData0));
  state.segments[x86::kCs] = user ? flat(kUserCode, kAttributesCode3) : flat(kKernelCode, kAttributesCode0);
  state.gdtr = {kGdt, 0x37};
  state.idtr = {kIdt, kVectors * 8 - 1};
  state.tr = {kTask, kAttributesTss, kTss, 0x67};
}

void from_unit(const MachineState& state, cpu::FloatingPointState& fpu) {
  const uint8_t* unit = state.unit.data();
  std::memcpy(&fpu.control, unit, 2);
  std::memcpy(&fpu.status, unit + 2, 2);
  std::memcpy(&fpu.opcode, unit + 6, 2);
  std::memcpy(&fpu.instruction_pointer, unit + 8, 4);
  std::memcpy(&fpu.data_pointer, unit + 16, 4);
  std::memcpy(&fpu.mxcsr, unit + 24, 4);
  fpu.instruction_segment = fpu.data_segment = 0;
  fpu.tag = 0;
  for (unsigned n = 0; n < 8; ++n) {
    if ((unit[4] >> n & 1) == 0) fpu.tag |= static_cast<uint16_t>(3u << 2 * n);
    std::memcpy(fpu.registers[((fpu.status >> 11) + n) & 7].data(), unit + 32 + 16 * n, 10);
  }
  std::memcpy(fpu.xmm.data(), unit + 160, 128);
  std::memcpy(fpu.ymm_high.data(), state.ymm_high.data(), kYmmHighSize);
}

void to_unit(const cpu::FloatingPointState& fpu, MachineState& state) {
  uint8_t* unit = state.unit.data();
  state.unit.fill(0);
  std::memcpy(unit, &fpu.control, 2);
  std::memcpy(unit + 2, &fpu.status, 2);
  std::memcpy(unit + 24, &fpu.mxcsr, 4);
  for (unsigned n = 0; n < 8; ++n) {
    if ((fpu.tag >> 2 * n & 3) != 3) unit[4] |= static_cast<uint8_t>(1u << n);
    std::memcpy(unit + 32 + 16 * n, fpu.registers[((fpu.status >> 11) + n) & 7].data(), 10);
  }
  std::memcpy(unit + 160, fpu.xmm.data(), 128);
  std::memcpy(state.ymm_high.data(), fpu.ymm_high.data(), kYmmHighSize);
}

void to_unit_places(const cpu::FloatingPointState& fpu, MachineState& state) {
  std::memcpy(state.unit.data() + 6, &fpu.opcode, 2);
  std::memcpy(state.unit.data() + 8, &fpu.instruction_pointer, 4);
  std::memcpy(state.unit.data() + 16, &fpu.data_pointer, 4);
}

}  // namespace vitrine::differential

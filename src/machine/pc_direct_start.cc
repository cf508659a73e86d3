#include "machine/pc_direct_start.h"

#include "x86/control_registers.h"
#include "x86/registers.h"

namespace vitrine::machine {
namespace {

// Present, ring 0, 32-bit, page granular, accessed. In CpuState's form: bits 8–23 of the descriptor.
constexpr uint32_t kFlatCode = 0x00c09b00;
constexpr uint32_t kFlatData = 0x00c09300;
constexpr uint16_t kCodeSelector = 0x10;
constexpr uint16_t kDataSelector = 0x18;

}  // namespace

void start_directly(const firmware::DirectEntry& entry, memory::PhysicalMap& memory, Processors& processors) {
  for (const firmware::Chunk& chunk : entry.chunks) memory.write(chunk.address, chunk.data);
  processors.enter_virtual_wire_mode();
  cpu::Vcpu& vcpu = processors.vcpu(0);
  cpu::CpuState& state = vcpu.state();
  state.gpr = {};
  state.gpr[x86::kEax] = entry.eax;
  state.gpr[x86::kEbx] = entry.ebx;
  state.gpr[x86::kEsi] = entry.esi;
  state.eip = entry.eip;
  state.eflags = 2;
  state.cr0 = x86::kCr0Pe | x86::kCr0Et;
  state.cpl = 0;
  for (cpu::SegmentRegister& segment : state.segments) segment = {kDataSelector, kFlatData, 0, 0xffffffff};
  state.segments[x86::kCs] = {kCodeSelector, kFlatCode, 0, 0xffffffff};
  state.gdtr = {entry.gdt, static_cast<uint16_t>(entry.gdt_size - 1)};
  vcpu.state_changed();
}

}  // namespace vitrine::machine

// For tests of the system half: a Core with a little memory, flat segments, one TSS, and nothing that runs
// instructions. Tests call the functions directly and look at the state.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "cpu/code_cache.h"
#include "cpu/core.h"
#include "cpu/descriptor_access.h"
#include "cpu/system.h"
#include "cpu/system_instructions.h"
#include "x86/control_registers.h"
#include "x86/tss.h"

namespace vitrine::cpu {

class SystemTest : public testing::Test {
 protected:
  // Physical layout.
  static constexpr uint32_t kGdt = 0x1000, kIdt = 0x2000, kLdt = 0x3000, kTss = 0x4000, kTss2 = 0x5000;
  static constexpr uint32_t kStack0 = 0x20000, kStack3 = 0x30000;
  static constexpr uint32_t kMemory = 0x200000;

  // The GDT.
  static constexpr uint16_t kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1b, kData3 = 0x23, kTssSelector = 0x28,
                            kLdtSelector = 0x30, kTss2Selector = 0x38, kConforming = 0x40, kFree = 0x48,
                            kFree2 = 0x50;

  struct Bus : ProcessorBus {
    std::optional<uint8_t> acknowledge_interrupt(unsigned) override { return std::nullopt; }
    uint64_t time_stamp(unsigned) override { return ticks; }
    bool set_apic_base(unsigned, uint64_t) override { return true; }
    void set_tsc_deadline(unsigned, uint64_t value) override { deadline = value; }
    uint64_t tsc_deadline(unsigned) override { return deadline; }
    void set_ferr(unsigned, bool) override {}
    uint64_t ticks = 1000, deadline = 0;
  };

  SystemTest() : block_(memory::RamBlock::create("ram", kMemory).value()) {
    memory_.add(memory::Placement::ram(PhysicalAddress(0), kMemory, *block_, 0));
    core_ = std::make_unique<Core>(CoreEnvironment{memory_, ports_, bus_, model_});
    reset_state(*core_, ResetKind::PowerOn);
  }

  Core& core() { return *core_; }
  CpuState& state() { return core_->state; }
  SegmentRegister& segment(x86::Segment number) { return state().segments[number]; }

  void put(uint32_t address, uint64_t value, unsigned size) {
    memory_.write(PhysicalAddress(address), size, value);
  }
  void put16(uint32_t address, uint16_t value) { put(address, value, 2); }
  void put32(uint32_t address, uint32_t value) { put(address, value, 4); }
  uint32_t get16(uint32_t address) {
    return static_cast<uint32_t>(memory_.read(PhysicalAddress(address), 2));
  }
  uint32_t get32(uint32_t address) {
    return static_cast<uint32_t>(memory_.read(PhysicalAddress(address), 4));
  }

  void set_descriptor(uint16_t selector, x86::Descriptor descriptor) {
    put((selector & 4 ? kLdt : kGdt) + (selector & 0xfff8), descriptor.raw(), 8);
  }
  x86::Descriptor descriptor(uint16_t selector) {
    return x86::Descriptor(
        memory_.read(PhysicalAddress((selector & 4 ? kLdt : kGdt) + (selector & 0xfff8)), 8));
  }
  void set_gate(uint8_t vector, x86::Descriptor gate) { put(kIdt + vector * 8u, gate.raw(), 8); }
  static x86::Descriptor flat(uint32_t attributes, unsigned level) {
    return x86::make_segment(
        0, 0xffffffff,
        attributes | x86::kFlat32 | level << x86::kAttributeDplShift | x86::kAttributeAccessed);
  }
  static x86::Descriptor tss(uint32_t base, x86::SystemType type, uint32_t limit = 0x67) {
    return x86::make_segment(base, limit, x86::kAttributePresent | static_cast<uint32_t>(type) << 8);
  }

  /// Flat protected mode at a privilege level, with a TSS that has a stack for level 0.
  void enter_protected(uint8_t level) {
    set_descriptor(kCode0, flat(x86::kCodeSegment, 0));
    set_descriptor(kData0, flat(x86::kDataSegment, 0));
    set_descriptor(kCode3, flat(x86::kCodeSegment, 3));
    set_descriptor(kData3, flat(x86::kDataSegment, 3));
    set_descriptor(kTssSelector, tss(kTss, x86::SystemType::Tss32Busy, 0xfff));
    set_descriptor(kLdtSelector, tss(kLdt, x86::SystemType::Ldt, 0xff));
    set_descriptor(kTss2Selector, tss(kTss2, x86::SystemType::Tss32Available));
    set_descriptor(kConforming, flat(x86::kCodeSegment | x86::kAttributeConforming, 0));
    put32(kTss + x86::tss32::kEsp0, kStack0);
    put32(kTss + x86::tss32::kSs0, kData0);
    put16(kTss + x86::tss32::kIoMapBase, 0x68 + 32);
    CpuState& s = state();
    s.gdtr = {kGdt, 0xff};
    s.idtr = {kIdt, 0x7ff};
    s.tr = segment_from(x86::Selector(kTssSelector), descriptor(kTssSelector));
    s.ldtr = {};
    s.cr0 |= x86::kCr0Pe;
    s.cpl = level;
    const bool user = level == 3;
    s.segments.fill(segment_from(x86::Selector(user ? kData3 : kData0), descriptor(user ? kData3 : kData0)));
    s.segments[x86::kCs] =
        segment_from(x86::Selector(user ? kCode3 : kCode0), descriptor(user ? kCode3 : kCode0));
    s.gpr[x86::kEsp] = user ? kStack3 : kStack0;
    s.eip = 0x1234;
    s.eflags = 2;
    update_mode(core());
  }

  void enter_v86(unsigned iopl) {
    enter_protected(3);
    CpuState& s = state();
    s.eflags = x86::kVm | iopl << x86::kIoplShift | x86::kIf | 2;
    for (SegmentRegister& register_ : s.segments) register_ = segment_for_v86(0x1000);
    s.segments[x86::kSs] = segment_for_v86(0x3000);
    s.gpr[x86::kEsp] = 0x100;
    s.eip = 0x234;
    update_mode(core());
  }

  /// An instruction without operands, or with the fields that matter set by the test.
  static Instruction instruction(uint8_t operand_size = 4) {
    Instruction i{};
    i.operand_size = operand_size;
    i.base = i.index = kNoRegister;
    i.segment = x86::kDs;
    i.address_mask = 0xffffffff;
    return i;
  }
  static Instruction memory_instruction(uint32_t address, uint8_t operand_size = 4) {
    Instruction i = instruction(operand_size);
    i.is_memory = 1;
    i.displacement = address;
    return i;
  }
  static Instruction register_instruction(uint8_t reg, uint8_t rm, uint8_t operand_size = 4) {
    Instruction i = instruction(operand_size);
    i.reg = reg;
    i.rm = rm;
    return i;
  }

  /// The function refused with this exception, and left the state as it was.
  template <typename Function>
  void expect_fault(x86::Vector vector, uint32_t error_code, Function function) {
    const CpuState before = state();
    EXPECT_FALSE(function());
    EXPECT_EQ(core().fault.vector, vector);
    EXPECT_EQ(core().fault.error_code, error_code);
    EXPECT_EQ(before.gpr, state().gpr);
    EXPECT_EQ(before.eflags, state().eflags);
    EXPECT_EQ(before.segments, state().segments);
    EXPECT_EQ(before.cpl, state().cpl);
    EXPECT_EQ(before.eip, state().eip);
  }

  std::unique_ptr<memory::RamBlock> block_;
  memory::PhysicalMap memory_;
  memory::PortMap ports_;
  Bus bus_;
  CpuModel model_ = CpuModel::create("max").value();
  std::unique_ptr<Core> core_;
};

}  // namespace vitrine::cpu

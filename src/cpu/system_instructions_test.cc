// System instructions from their bytes: that the decoder hands each function the operands it expects.
#include <gtest/gtest.h>

#include "cpu/test_machine.h"
#include "x86/descriptors.h"

namespace vitrine::cpu {
namespace {

class SystemInstructions : public testing::Test {
 protected:
  SystemInstructions() { m.trap_exceptions(); }
  uint32_t eax() { return m.reg(x86::kEax); }
  TestMachine m;
};

TEST_F(SystemInstructions, SegmentRegisters) {
  m.run_code({0xb8, 0xff, 0xff, 0xff, 0xff,     // mov eax, -1
              0x8c, 0xd8,                       // mov eax, ds
              0x66, 0x8c, 0xd1,                 // mov cx, ss
              0x8c, 0x1d, 0,    0,    2,    0,  // mov [20000h], ds
              0xbb, 0x33, 0,    0,    0,        // mov ebx, 33h
              0x8e, 0xe3,                       // mov fs, bx
              0x0f, 0xa0, 0x0f, 0xa9});         // push fs; pop gs
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(eax(), TestMachine::kData32);
  EXPECT_EQ(m.reg(x86::kEcx), TestMachine::kData32);
  EXPECT_EQ(m.at<uint32_t>(0x20000), TestMachine::kData32);
  EXPECT_EQ(m.state().segments[x86::kFs].selector, 0x33);
  EXPECT_EQ(m.state().segments[x86::kGs].selector, 0x33);
  EXPECT_EQ(m.state().segments[x86::kGs].limit, 0xffffffffu);
}

TEST_F(SystemInstructions, BadSelectorFaultsAtTheInstruction) {
  m.run_code({0x90, 0xb8, 0xf8, 0, 0, 0, 0x8e, 0xd8});
  EXPECT_EQ(m.exception(), 13);
  EXPECT_EQ(m.stacked(0), 0xf8u);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode + 6);
}

TEST_F(SystemInstructions, FarPointers) {
  m.put<uint32_t>(0x20000, 0x11223344);
  m.put<uint16_t>(0x20004, TestMachine::kData32);
  m.run_code({0xc4, 0x35, 0, 0, 2, 0,                // les esi, [20000h]
              0x66, 0x0f, 0xb5, 0x1d, 2, 0, 2, 0});  // lgs bx, [20002h]: offset 1122h, selector 10h
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(x86::kEsi), 0x11223344u);
  EXPECT_EQ(m.reg(x86::kEbx) & 0xffff, 0x1122u);
  EXPECT_EQ(m.state().segments[x86::kEs].selector, TestMachine::kData32);
}

TEST_F(SystemInstructions, DescriptorTables) {
  m.put<uint16_t>(0x20000, 0x1ff);
  m.put<uint32_t>(0x20002, 0x12345678);
  m.run_code({0x0f, 0x01, 0x0d, 0x10, 0, 2, 0,     // sidt [20010h]
              0x66, 0x0f, 0x01, 0x1d, 0, 0, 2, 0,  // lidt [20000h], 16-bit
              0x0f, 0x01, 0x0d, 0x20, 0, 2, 0,     // sidt [20020h]
              0x0f, 0x01, 0x05, 0x30, 0, 2, 0,     // sgdt [20030h]
              0x0f, 0x01, 0x1d, 0x10, 0, 2, 0});   // lidt [20010h]
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.at<uint32_t>(0x20012), TestMachine::kIdt);
  EXPECT_EQ(m.at<uint16_t>(0x20020), 0x1ff);
  EXPECT_EQ(m.at<uint32_t>(0x20022), 0x345678u);
  EXPECT_EQ(m.at<uint32_t>(0x20032), TestMachine::kGdt);
  EXPECT_EQ(m.state().idtr.base, TestMachine::kIdt);
}

TEST_F(SystemInstructions, TaskAndLdtRegisters) {
  // Two descriptors in place of the user segments.
  m.put<uint64_t>(TestMachine::kGdt + 0x28, x86::make_segment(0x3000, 0x67, 0x8900).raw());
  m.put<uint64_t>(TestMachine::kGdt + 0x30, x86::make_segment(0x4000, 0x67, 0x8200).raw());
  m.run_code({0xb8, 0x28, 0,    0,    0,    0x0f, 0x00, 0xd8,  // ltr ax
              0xb8, 0x30, 0,    0,    0,    0x0f, 0x00, 0xd0,  // lldt ax
              0x83, 0xc8, 0xff, 0x0f, 0x00, 0xc8,              // or eax,-1; str eax
              0x0f, 0x00, 0x05, 0,    0,    2,    0});         // sldt [20000h]
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(eax(), 0x28u);
  EXPECT_EQ(m.at<uint32_t>(0x20000), 0x30u);
  EXPECT_EQ(m.state().tr.base, 0x3000u);
  EXPECT_EQ(m.state().ldtr.limit, 0x67u);
}

TEST_F(SystemInstructions, SelectorTests) {
  m.run_code({0xb8, 0x08, 0,    0,    0,    0x0f, 0x02, 0xc8,  // lar ecx, eax
              0x0f, 0x03, 0xd0,                                // lsl edx, eax
              0x0f, 0x00, 0xe0, 0x0f, 0x94, 0xc3,              // verr ax; setz bl
              0x0f, 0x00, 0xe8, 0x0f, 0x94, 0xc7});            // verw ax; setz bh
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(x86::kEcx), 0x00c09b00u);
  EXPECT_EQ(m.reg(x86::kEdx), 0xffffffffu);
  EXPECT_EQ(m.reg(x86::kEbx) & 0xffff, 0x0001u);
}

TEST_F(SystemInstructions, FarTransfers) {
  m.put<uint32_t>(0x20000, TestMachine::kCode + 0x20);
  m.put<uint16_t>(0x20004, TestMachine::kCode32);
  m.write(TestMachine::kCode + 0x20, {0x43, 0xca, 4, 0});  // inc ebx; retf 4
  m.run_code({0x31, 0xdb, 0x50,                            // xor ebx, ebx; push eax
              0x9a, 0x20, 0x80, 0, 0, 8, 0,                // call 8:8020h
              0x50, 0xff, 0x1d, 0, 0, 2, 0});              // push eax; call far [20000h]
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(x86::kEbx), 2u);
  EXPECT_EQ(m.reg(x86::kEsp), TestMachine::kStack - 0x100);
  m.write(TestMachine::kCode + 0x20, {0xf4});
  m.run_code({0xff, 0x2d, 0, 0, 2, 0});  // jmp far [20000h]
  EXPECT_EQ(m.state().eip, TestMachine::kCode + 0x21);
  m.run_code({0xea, 0x20, 0x80, 0, 0, 8, 0});
  EXPECT_EQ(m.state().eip, TestMachine::kCode + 0x21);
}

TEST_F(SystemInstructions, SoftwareInterrupts) {
  m.write(0x30080, {0x43, 0xcf});  // handler of 80h: inc ebx; iret
  m.run_code({0x31, 0xdb, 0xcd, 0x80, 0xcd, 0x80});
  EXPECT_EQ(m.reg(x86::kEbx), 2u);
  EXPECT_EQ(m.reg(x86::kEsp), TestMachine::kStack - 0x100);
  m.run_code({0xcc});
  EXPECT_EQ(m.exception(), 3);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 1);
  m.run_code({0xb0, 0x7f, 0x04, 1, 0xce});  // mov al,127; add al,1; into
  EXPECT_EQ(m.exception(), 4);
  m.run_code({0xf1});
  EXPECT_EQ(m.exception(), 1);
  m.run_code({0x0f, 0x0b});
  EXPECT_EQ(m.exception(), 6);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode);
  m.run_code({0x0f, 0xaa});  // RSM
  EXPECT_EQ(m.exception(), 6);
}

TEST_F(SystemInstructions, ControlRegisters) {
  m.run_code({0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xd0,       // mov eax, cr0; mov cr2, eax
              0x0f, 0x20, 0xd1, 0x0f, 0x06,             // mov ecx, cr2; clts
              0x0f, 0x01, 0xe2,                         // smsw edx
              0x0f, 0x01, 0x3d, 0,    0,    2,    0});  // invlpg
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(eax(), 0x11u);
  EXPECT_EQ(m.reg(x86::kEcx), 0x11u);
  EXPECT_EQ(m.reg(x86::kEdx), 0x11u);
  m.run_code({0x0f, 0x22, 0xc8});  // mov cr1, eax
  EXPECT_EQ(m.exception(), 6);
  m.run_code({0x0f, 0x01, 0xf8});  // the register form of INVLPG (SWAPGS)
  EXPECT_EQ(m.exception(), 6);
  m.run_code({0xb8, 0x78, 0x56, 0, 0, 0x0f, 0x23, 0xd8, 0x0f, 0x21, 0xda});  // mov dr3, eax; mov edx, dr3
  EXPECT_EQ(m.reg(x86::kEdx), 0x5678u);
}

TEST_F(SystemInstructions, EnablingPagingTakesEffectAtOnce) {
  m.make_page_tables();
  m.run_code({0x0f, 0x20, 0xc0, 0x0d, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0, 0x90});
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.state().cr0, 0x80000011u);
}

TEST_F(SystemInstructions, ProcessorInstructions) {
  m.bus.ticks = 0x1'23456789;
  m.state().tsc_offset = 0;
  m.run_code({0x0f, 0x31});
  EXPECT_EQ(eax(), 0x23456789u);
  EXPECT_EQ(m.reg(x86::kEdx), 1u);
  m.run_code({0x31, 0xc0, 0x0f, 0xa2});
  EXPECT_EQ(m.reg(x86::kEbx), 0x756e6547u);
  m.run_code({0xb9, 0x77, 2, 0, 0, 0x0f, 0x32});  // rdmsr PAT
  EXPECT_EQ(eax(), 0x00070406u);
  m.run_code({0xb9, 0xff, 0xff, 0, 0, 0x0f, 0x30});
  EXPECT_EQ(m.exception(), 13);
  m.run_code({0x0f, 0x01, 0xd0});  // XGETBV without OSXSAVE
  EXPECT_EQ(m.exception(), 6);
  m.run_code({0x0f, 0x09, 0x0f, 0x08});
  EXPECT_EQ(m.exception(), -1);
}

TEST_F(SystemInstructions, FlagsInstructions) {
  m.run_code({0xfb, 0x9c, 0x58, 0xfa, 0x9c, 0x59});  // sti; pushf; pop eax; cli; pushf; pop ecx
  EXPECT_EQ(eax(), 0x202u);
  EXPECT_EQ(m.reg(x86::kEcx), 0x2u);
  m.run_code({0x68, 0xd5, 8, 0x20, 0, 0x9d, 0x66, 0x9c, 0x66, 0x58});  // push 2008d5h; popf; pushf16; pop ax
  EXPECT_EQ(m.state().eflags, 0x2008d7u);
  EXPECT_EQ(eax() & 0xffff, 0x8d7u);
}

TEST_F(SystemInstructions, StiShadowHoldsTheInterruptForOneInstruction) {
  m.bus.interrupts = {0x40};
  m.cpu->set_interrupt_request(true);
  m.run_code({0xfb, 0x40, 0x40});  // sti; inc eax; inc eax
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 2);
}

TEST_F(SystemInstructions, SingleStepAndPopSs) {
  // push ss; push 102h; popf; pop ss; nop: the trap after POP SS comes behind the next instruction.
  m.run_code({0x16, 0x68, 0x02, 0x01, 0, 0, 0x9d, 0x17, 0x90, 0x90});
  EXPECT_EQ(m.exception(), 1);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 9);
  EXPECT_EQ(m.state().dr6, 0xffff4ff0u);
}

TEST_F(SystemInstructions, RealModeToProtectedAndBack) {
  TestMachine real(TestMode::Real);
  real.put<uint16_t>(0x20, 0x3f);
  real.put<uint32_t>(0x22, TestMachine::kGdt);
  real.run_code({0x0f, 0x01, 0x16, 0x20, 0,        // lgdt [20h]
                 0x0f, 0x20, 0xc0, 0x0c, 0x01,     // mov eax, cr0; or al, 1
                 0x0f, 0x22, 0xc0,                 // mov cr0, eax
                 0xb8, 0x10, 0,    0x8e, 0xd8,     // mov ax, 10h; mov ds, ax: 4 GiB
                 0x0f, 0x20, 0xc0, 0x24, 0xfe,     // mov eax, cr0; and al, FEh
                 0x0f, 0x22, 0xc0,                 // mov cr0, eax
                 0x31, 0xc0, 0x8e, 0xd8,           // xor ax, ax; mov ds, ax
                 0x66, 0xbb, 0,    0,    0x20, 0,  // mov ebx, 200000h
                 0x67, 0xc6, 0x03, 0x5a});         // mov byte [ebx], 5Ah: big real mode
  EXPECT_EQ(real.state().cr0, 0x10u);
  EXPECT_EQ(real.at<uint8_t>(0x200000), 0x5a);
}

}  // namespace
}  // namespace vitrine::cpu

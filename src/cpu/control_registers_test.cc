// MOV CR and DR, LMSW, CLTS, INVLPG, SYSENTER and SYSEXIT, reset.
#include "cpu/control_registers.h"

#include "cpu/print_state.h"
#include "cpu/system_test_core.h"
#include "x86/debug_registers.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

class ControlRegisters : public SystemTest {
 protected:
  bool write(uint8_t number, uint32_t value) {
    state().gpr[x86::kEax] = value;
    return mov_to_control(core(), register_instruction(number, x86::kEax));
  }
  bool write_debug(uint8_t number, uint32_t value) {
    state().gpr[x86::kEax] = value;
    return mov_to_debug(core(), register_instruction(number, x86::kEax));
  }
  uint32_t read_debug(uint8_t number) {
    EXPECT_TRUE(mov_from_debug(core(), register_instruction(number, x86::kEdx)));
    return state().gpr[x86::kEdx];
  }
};

TEST_F(ControlRegisters, Cr0Checks) {
  const auto refused = [&](uint32_t value) {
    const uint32_t before = state().cr0;
    state().gpr[x86::kEax] = value;
    expect_fault(Vector::GeneralProtection, 0,
                 [&] { return mov_to_control(core(), register_instruction(0, x86::kEax)); });
    EXPECT_EQ(state().cr0, before);
  };
  refused(x86::kCr0Pg);
  refused(x86::kCr0Nw);
  ASSERT_TRUE(write(0, 0x0000ffee));
  EXPECT_EQ(state().cr0, x86::kCr0Et | x86::kCr0Mp | x86::kCr0Em | x86::kCr0Ts | x86::kCr0Ne);
}

TEST_F(ControlRegisters, PrivilegeAndNumbers) {
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0,
               [&] { return mov_to_control(core(), register_instruction(0, x86::kEax)); });
  expect_fault(Vector::GeneralProtection, 0,
               [&] { return mov_from_control(core(), register_instruction(3, x86::kEax)); });
  expect_fault(Vector::InvalidOpcode, 0,
               [&] { return mov_from_control(core(), register_instruction(1, x86::kEax)); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return clts(core(), instruction()); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return hlt(core(), instruction()); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return invlpg(core(), memory_instruction(0)); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return invalidate_caches(core(), instruction()); });
}

TEST_F(ControlRegisters, Cr4FollowsTheModel) {
  const auto old = CpuModel::create("pentium2").value();
  EXPECT_NE(defined_cr4(old) & x86::kCr4Pae, 0u);
  EXPECT_EQ(defined_cr4(old) & x86::kCr4Osxmmexcpt, 0u);
  state().gpr[x86::kEax] = 1u << 13;  // VMXE
  expect_fault(Vector::GeneralProtection, 0,
               [&] { return mov_to_control(core(), register_instruction(4, x86::kEax)); });
  ASSERT_TRUE(write(4, x86::kCr4Pge | x86::kCr4Pse));
}

TEST_F(ControlRegisters, PaeLoadsPdptes) {
  enter_protected(0);
  constexpr uint32_t kTable = 0x10000;
  put(kTable, 0x11001, 8);
  put(kTable + 8, 0x12003, 8);  // a reserved bit
  ASSERT_TRUE(write(4, x86::kCr4Pae));
  ASSERT_TRUE(write(3, kTable));  // paging is off: not looked at
  state().gpr[x86::kEax] = state().cr0 | x86::kCr0Pg;
  expect_fault(Vector::GeneralProtection, 0,
               [&] { return mov_to_control(core(), register_instruction(0, x86::kEax)); });
  EXPECT_EQ(state().pdptes[0], 0u);
  put(kTable + 8, 0x12001, 8);
  put(0x11000, 0x83, 8);
  ASSERT_TRUE(write(0, state().cr0 | x86::kCr0Pg));
  EXPECT_EQ(state().pdptes[0], 0x11001u);
  put(kTable, 0, 8);  // memory changes, the registers do not
  EXPECT_TRUE(debug_translate(core(), VirtualAddress(0x1234)));
  ASSERT_TRUE(write(3, kTable));
  EXPECT_FALSE(debug_translate(core(), VirtualAddress(0x1234)));
}

TEST_F(ControlRegisters, Lmsw) {
  const auto load = [&](uint32_t value) {
    state().gpr[x86::kEax] = value;
    return lmsw(core(), register_instruction(0, x86::kEax, 2));
  };
  ASSERT_TRUE(load(0xffff));
  EXPECT_EQ(state().cr0 & 0xff, 0x1fu);
  ASSERT_TRUE(load(0));
  EXPECT_EQ(state().cr0 & 0xff, 0x11u);  // PE stays
  ASSERT_TRUE(smsw(core(), register_instruction(0, x86::kEcx, 4)));
  EXPECT_EQ(state().gpr[x86::kEcx], state().cr0);
}

TEST_F(ControlRegisters, DebugRegisters) {
  enter_protected(0);
  ASSERT_TRUE(write_debug(0, 0x12345678));
  EXPECT_EQ(read_debug(0), 0x12345678u);
  ASSERT_TRUE(write_debug(6, 0));
  EXPECT_EQ(read_debug(4), 0xffff0ff0u);  // the alias
  ASSERT_TRUE(write_debug(7, 0xffffdfff));
  EXPECT_EQ(read_debug(5), 0xffff07ffu);
  ASSERT_TRUE(write_debug(7, x86::kDr7GeneralDetect));
  expect_fault(Vector::Debug, 0, [&] { return mov_from_debug(core(), register_instruction(0, x86::kEax)); });
  EXPECT_NE(state().dr6 & x86::kDr6GeneralDetect, 0u);
  state().dr7 = 0x400;
  state().cr4 = x86::kCr4De;
  expect_fault(Vector::InvalidOpcode, 0,
               [&] { return mov_from_debug(core(), register_instruction(4, x86::kEax)); });
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0,
               [&] { return mov_from_debug(core(), register_instruction(0, x86::kEax)); });
}

TEST_F(ControlRegisters, SysenterAndSysexit) {
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0, [&] { return sysenter(core(), instruction()); });
  state().sysenter_cs = kCode0;
  state().sysenter_eip = 0xc0001000;
  state().sysenter_esp = 0xc0002000;
  state().eflags |= x86::kIf;
  ASSERT_TRUE(sysenter(core(), instruction()));
  EXPECT_EQ(state().cpl, 0);
  EXPECT_EQ(state().eip, 0xc0001000u);
  EXPECT_EQ(state().gpr[x86::kEsp], 0xc0002000u);
  EXPECT_EQ(segment(x86::kCs).selector, kCode0);
  EXPECT_EQ(segment(x86::kSs).selector, kData0);
  EXPECT_EQ(state().eflags & x86::kIf, 0u);
  state().gpr[x86::kEdx] = 0x8048000;
  state().gpr[x86::kEcx] = 0xbffff000;
  ASSERT_TRUE(sysexit(core(), instruction()));
  EXPECT_EQ(state().cpl, 3);
  EXPECT_EQ(segment(x86::kCs).selector, kCode3);
  EXPECT_EQ(segment(x86::kSs).selector, kData3);
  EXPECT_EQ(state().gpr[x86::kEsp], 0xbffff000u);
  expect_fault(Vector::GeneralProtection, 0, [&] { return sysexit(core(), instruction()); });
}

TEST_F(ControlRegisters, Reset) {
  enter_protected(3);
  state().cr0 = 0x80010031;
  state().pat = 0;
  reset_state(core(), ResetKind::Init);
  EXPECT_EQ(state().cr0, x86::kCr0Et);
  EXPECT_EQ(state().pat, 0u);  // INIT leaves it
  EXPECT_EQ(state().eip, 0xfff0u);
  EXPECT_EQ(segment(x86::kCs).base, 0xffff0000u);
  EXPECT_EQ(state().gpr[x86::kEdx], model_.cpuid(1, 0).eax);
  reset_state(core(), ResetKind::PowerOn);
  EXPECT_EQ(state().cr0, 0x60000010u);
  EXPECT_EQ(state().pat, 0x0007040600070406u);
  EXPECT_EQ(state().activity, Activity::Running);
  EXPECT_NE(print_state(state()).find("EIP=0000fff0"), std::string::npos);
  EXPECT_NE(print_state_with_fpu(state()).find("XMM07="), std::string::npos);
}

}  // namespace
}  // namespace vitrine::cpu

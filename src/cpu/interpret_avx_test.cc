// AVX in the modes and corners that the comparison with the host (tests/differential) does not reach.
#include "cpu/test_machine.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {
namespace {

class Avx : public testing::Test {
 protected:
  void SetUp() override {
    if (!CpuModel::create("max,+avx2")) GTEST_SKIP() << "the host has no AVX2";
  }
  static void enable(TestMachine& m) {
    m.state().cr4 |= x86::kCr4Osfxsr | x86::kCr4Osxsave;
    m.state().xcr0 = x86::kXstateX87 | x86::kXstateSse | x86::kXstateAvx;
  }
};

TEST_F(Avx, RunsIn16BitProtectedMode) {
  TestMachine m(TestMode::Protected16);
  enable(m);
  m.put<uint32_t>(0x9000, 7);
  m.run_code({0xc5, 0xfe, 0x6f, 0x06, 0x00, 0x90,    // vmovdqu ymm0, [9000h]
              0xc5, 0xfd, 0xfe, 0xc0,                // vpaddd ymm0, ymm0, ymm0
              0xc5, 0xfe, 0x7f, 0x06, 0x40, 0x90});  // vmovdqu [9040h], ymm0
  EXPECT_EQ(m.at<uint32_t>(0x9040), 14u);
}

TEST_F(Avx, IsUndefinedInRealMode) {
  TestMachine m(TestMode::Real);
  enable(m);
  m.put<uint16_t>(6 * 4, 0x500);
  m.put<uint16_t>(6 * 4 + 2, 0);
  m.put<uint8_t>(0x500, 0xf4);
  m.run_code({0xc5, 0xfd, 0xfe, 0xc0});
  EXPECT_EQ(m.state().eip, 0x501u);
  // andn eax, ebx, ecx
  m.run_code({0xc4, 0xe2, 0x60, 0xf2, 0xc1});
  EXPECT_EQ(m.state().eip, 0x501u);
}

TEST_F(Avx, LesAndLdsKeepTheirOpcodes) {
  TestMachine m;
  enable(m);
  m.put<uint32_t>(0x9000, 0x11223344);
  m.put<uint16_t>(0x9004, TestMachine::kData32);
  m.run_code({0xc4, 0x05, 0x00, 0x90, 0, 0});  // les eax, [9000h]
  EXPECT_EQ(m.reg(x86::kEax), 0x11223344u);
  m.reg(x86::kEax) = 0;
  m.run_code({0xc5, 0x05, 0x00, 0x90, 0, 0});  // lds eax, [9000h]
  EXPECT_EQ(m.reg(x86::kEax), 0x11223344u);
}

TEST_F(Avx, ModelsWithoutItDoNotKnowIt) {
  TestMachine m(TestMode::Protected32, "core2duo,+xsave");
  m.trap_exceptions();
  m.state().cr4 |= x86::kCr4Osxsave;
  m.state().xcr0 = 7;
  m.run_code({0xc5, 0xfd, 0xfe, 0xc0});
  EXPECT_EQ(m.exception(), 6);
}

TEST_F(Avx, MaskedMovesTouchOnlyWhatIsSelected) {
  TestMachine m;
  enable(m);
  m.trap_exceptions();
  m.enable_paging();
  m.set_page(0xa000, 0);
  FloatingPointState& fpu = m.state().fpu;
  fpu.xmm[1] = {};
  fpu.xmm[1][3] = 0x80;  // the first element
  fpu.ymm_high[1] = {};
  m.put<uint32_t>(0x9ffc, 0x1234);
  m.run_code({0xc4, 0xe2, 0x75, 0x2c, 0x05, 0xfc, 0x9f, 0, 0});  // vmaskmovps ymm0, ymm1, [9ffch]
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(fpu.xmm[0][0], 0x34);
  m.run_code({0xc4, 0xe2, 0x75, 0x2e, 0x05, 0xfc, 0x9f, 0, 0});  // vmaskmovps [9ffch], ymm1, ymm0
  EXPECT_EQ(m.exception(), -1);
  fpu.xmm[1][7] = 0x80;
  m.run_code({0xc4, 0xe2, 0x75, 0x2e, 0x05, 0xfc, 0x9f, 0, 0});
  EXPECT_EQ(m.exception(), 14);
}

TEST_F(Avx, AGatherGoesOnWhereAFaultStoppedIt) {
  TestMachine m;
  enable(m);
  m.trap_exceptions();
  m.enable_paging();
  m.set_page(0xa000, 0);
  FloatingPointState& fpu = m.state().fpu;
  const std::array<uint32_t, 4> indices = {0, 4, 0x1000, 8};
  std::memcpy(fpu.xmm[2].data(), indices.data(), 16);
  fpu.xmm[1].fill(0xff);
  for (uint32_t n = 0; n < 3; ++n) m.put<uint32_t>(0x9000 + 4 * n, 10 + n);
  const auto gather = [&] { m.run_code({0xc4, 0xe2, 0x71, 0x90, 0x04, 0x15, 0x00, 0x90, 0, 0}); };
  gather();  // vpgatherdd xmm0, [xmm2 + 9000h], xmm1
  EXPECT_EQ(m.exception(), 14);
  EXPECT_EQ(m.state().cr2, 0xa000u);
  EXPECT_EQ(fpu.xmm[0][4], 11);
  EXPECT_EQ(fpu.xmm[1][7], 0);
  EXPECT_EQ(fpu.xmm[1][11], 0xff);
  m.put<uint32_t>(0xa000, 99);
  m.set_page(0xa000, 0xa007);
  m.put<uint32_t>(0x9004, 0);  // has been loaded, and is not again
  gather();
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(fpu.xmm[0][4], 11);
  EXPECT_EQ(fpu.xmm[0][8], 99);
  EXPECT_EQ(fpu.xmm[0][12], 12);
  EXPECT_EQ(fpu.xmm[1], (std::array<uint8_t, 16>{}));
}

}  // namespace
}  // namespace vitrine::cpu

// The XSAVE area: which component goes where, what is initialised, what is refused.
#include "cpu/extended_state.h"

#include "cpu/test_machine.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kArea = 0x9000;
constexpr uint32_t kHeader = kArea + x86::kXsaveHeader;

class ExtendedState : public testing::Test {
 protected:
  ExtendedState() {
    m.state().cr4 |= x86::kCr4Osfxsr | x86::kCr4Osxsave;
    m.state().xcr0 = 3;
    fpu().control = 0x37f;
    fpu().tag = 0xffff;
  }
  void use_avx() { m.state().xcr0 = 7; }

  void run(std::initializer_list<uint8_t> code, uint32_t mask) {
    m.reg(x86::kEax) = mask;
    m.reg(x86::kEdx) = 0;
    m.run_code(code);
  }
  void save(uint32_t mask) { run({0x0f, 0xae, 0x25, 0x00, 0x90, 0, 0}, mask); }
  void save_in_use(uint32_t mask) { run({0x0f, 0xae, 0x35, 0x00, 0x90, 0, 0}, mask); }
  void restore(uint32_t mask) { run({0x0f, 0xae, 0x2d, 0x00, 0x90, 0, 0}, mask); }

  FloatingPointState& fpu() { return m.state().fpu; }

  TestMachine m;
};

TEST_F(ExtendedState, ComponentsInUseAreMarked) {
  save(7);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 0u);
  EXPECT_EQ(m.at<uint16_t>(kArea), 0x37f);
  fpu().xmm[3][5] = 1;
  fpu().control = 0x27f;
  save(7);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 3u);
  EXPECT_EQ(m.at<uint8_t>(kArea + 160 + 48 + 5), 1);
  fpu().xmm = {};
  fpu().mxcsr = 0x1fa0;
  save(7);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 3u);
  EXPECT_EQ(m.at<uint32_t>(kArea + 24), 0x1fa0u);
}

TEST_F(ExtendedState, OnlyWhatIsAskedForIsTouched) {
  for (uint32_t at = 0; at < 832; ++at) m.put<uint8_t>(kArea + at, 0xaa);
  m.put<uint64_t>(kHeader, 0xf6);
  fpu().xmm[0][0] = 0x11;
  save(2);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 0xf6u);
  EXPECT_EQ(m.at<uint64_t>(kHeader + 8), 0xaaaaaaaaaaaaaaaau);
  EXPECT_EQ(m.at<uint16_t>(kArea), 0xaaaa);
  EXPECT_EQ(m.at<uint32_t>(kArea + 24), 0x1f80u);
  EXPECT_EQ(m.at<uint8_t>(kArea + 160), 0x11);
  EXPECT_EQ(m.at<uint8_t>(kArea + 288), 0xaa);  // XMM8 is not there in 32-bit mode
  EXPECT_EQ(m.at<uint8_t>(kArea + 576), 0xaa);  // not enabled
}

TEST_F(ExtendedState, XsaveoptLeavesOutWhatIsInitial) {
  m.put<uint8_t>(kArea + 160, 0xaa);
  m.put<uint16_t>(kArea, 0xaaaa);
  fpu().control = 0x27f;
  save_in_use(7);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 1u);
  EXPECT_EQ(m.at<uint16_t>(kArea), 0x27f);
  EXPECT_EQ(m.at<uint8_t>(kArea + 160), 0xaa);
}

TEST_F(ExtendedState, UpperHalvesOfYmm) {
  if (!CpuModel::create("max,+avx")) GTEST_SKIP() << "the host has no AVX";
  use_avx();
  fpu().ymm_high[7][15] = 0x5a;
  save(4);
  EXPECT_EQ(m.at<uint64_t>(kHeader), 4u);
  EXPECT_EQ(m.at<uint8_t>(kArea + 576 + 127), 0x5a);
  fpu().ymm_high[7][15] = 0;
  fpu().xmm[1][1] = 9;
  restore(4);
  EXPECT_EQ(fpu().ymm_high[7][15], 0x5a);
  EXPECT_EQ(fpu().xmm[1][1], 9);
  m.put<uint64_t>(kHeader, 0);
  restore(4);
  EXPECT_EQ(fpu().ymm_high[7][15], 0);
}

TEST_F(ExtendedState, AbsentComponentsAreInitialised) {
  fpu().control = 0x27f;
  fpu().tag = 0;
  fpu().registers[2][3] = 7;
  fpu().xmm[2][3] = 7;
  m.put<uint32_t>(kArea + 24, 0x1f81);
  restore(3);
  EXPECT_EQ(fpu().control, 0x37f);
  EXPECT_EQ(fpu().tag, 0xffff);
  EXPECT_EQ(fpu().registers[2][3], 0);
  EXPECT_EQ(fpu().xmm[2][3], 0);
  EXPECT_EQ(fpu().mxcsr, 0x1f81u);  // loaded, whatever the header says
}

TEST_F(ExtendedState, WhatIsSavedComesBack) {
  fpu().control = 0x27b;
  fpu().status = 0x3800;
  fpu().tag = 0x3fff;
  fpu().registers[7] = {1, 2, 3, 4, 5, 6, 7, 0x88, 0x34, 0x12};
  fpu().instruction_pointer = 0x12345;
  fpu().xmm[7][15] = 0x5a;
  save(3);
  const FloatingPointState before = fpu();
  m.run_code({0xdb, 0xe3, 0x0f, 0x57, 0xff});  // fninit; xorps
  restore(3);
  EXPECT_EQ(fpu().registers[7], before.registers[7]);
  EXPECT_EQ(fpu().control, before.control);
  EXPECT_EQ(fpu().tag, before.tag);
  EXPECT_EQ(fpu().instruction_pointer, before.instruction_pointer);
  EXPECT_EQ(fpu().xmm, before.xmm);
}

TEST_F(ExtendedState, BadHeadersAreRefused) {
  m.trap_exceptions();
  const auto refused = [&](uint32_t at, uint64_t value) {
    m.put<uint64_t>(at, value);
    restore(3);
    const bool fault = m.exception() == 13;
    m.put<uint64_t>(at, 0);
    return fault;
  };
  m.put<uint32_t>(kArea + 24, 0x1f80);
  EXPECT_TRUE(refused(kHeader, 8));
  EXPECT_TRUE(refused(kHeader, 4));  // not in XCR0
  EXPECT_TRUE(refused(kHeader + 8, uint64_t{1} << 63));
  EXPECT_TRUE(refused(kHeader + 8, 1));
  EXPECT_TRUE(refused(kHeader + 16, 1));
  EXPECT_FALSE(refused(kHeader + 24, 1));
  EXPECT_TRUE(refused(kArea + 24, 0x11f80));
}

TEST_F(ExtendedState, WhoMayUseIt) {
  m.trap_exceptions();
  run({0x0f, 0xae, 0x25, 0x20, 0x90, 0, 0}, 3);
  EXPECT_EQ(m.exception(), 13);  // 64-byte alignment
  m.state().cr0 |= x86::kCr0Ts;
  run({0x0f, 0xae, 0x25, 0x20, 0x90, 0, 0}, 3);
  EXPECT_EQ(m.exception(), 7);
  m.state().cr4 &= ~x86::kCr4Osxsave;
  run({0x0f, 0xae, 0x25, 0x20, 0x90, 0, 0}, 3);
  EXPECT_EQ(m.exception(), 6);
}

TEST_F(ExtendedState, Xcr0TakesWhatMakesSense) {
  m.trap_exceptions();
  const auto set = [&](uint32_t value, uint32_t index = 0) {
    m.reg(x86::kEcx) = index;
    run({0x0f, 0x01, 0xd1}, value);
    return m.exception();
  };
  EXPECT_EQ(set(1), -1);
  EXPECT_EQ(m.state().xcr0, 1u);
  EXPECT_EQ(set(2), 13);
  EXPECT_EQ(set(5), 13);
  EXPECT_EQ(set(0x13), 13);
  EXPECT_EQ(set(3, 1), 13);
  EXPECT_EQ(set(3), -1);
  EXPECT_EQ(m.state().xcr0, 3u);
}

}  // namespace
}  // namespace vitrine::cpu

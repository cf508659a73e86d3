// The formats of saved x87 and SSE state, field by field: in 32-bit and 16-bit code, protected and real mode.
#include "cpu/floating_point_image.h"

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kImage = 0x9000;  ///< Within the reach of real mode.

void fill(FloatingPointState& fpu) {
  fpu.control = 0x27b;
  fpu.status = 0x3800;  // ST(0) is R7
  fpu.tag = 0x3fff;
  fpu.registers[7] = {1, 2, 3, 4, 5, 6, 7, 0x88, 0x34, 0x12};
  fpu.opcode = 0x5a5;
  fpu.instruction_pointer = 0x00012345;
  fpu.instruction_segment = 0x08;
  fpu.data_pointer = 0x00056789;
  fpu.data_segment = 0x10;
}

std::vector<uint32_t> words(TestMachine& m, unsigned count, unsigned size) {
  std::vector<uint32_t> values;
  for (unsigned n = 0; n < count; ++n)
    values.push_back(size == 4 ? m.at<uint32_t>(kImage + 4 * n) : m.at<uint16_t>(kImage + 2 * n));
  return values;
}

TEST(FloatingPointImage, Environment32Protected) {
  TestMachine m;
  fill(m.state().fpu);
  m.run_code({0xd9, 0x35, 0x00, 0x90, 0x00, 0x00});
  EXPECT_EQ(words(m, 7, 4), (std::vector<uint32_t>{0xffff027b, 0xffff3800, 0xffff3fff, 0x00012345, 0x05a50008,
                                                   0x00056789, 0xffff0010}));
  EXPECT_EQ(m.state().fpu.control, 0x27f);  // all masked afterwards
}

TEST(FloatingPointImage, Environment16Protected) {
  TestMachine m;
  fill(m.state().fpu);
  m.put<uint16_t>(kImage + 14, 0xaaaa);
  m.run_code({0x66, 0xd9, 0x35, 0x00, 0x90, 0x00, 0x00});
  EXPECT_EQ(words(m, 8, 2),
            (std::vector<uint32_t>{0x27b, 0x3800, 0x3fff, 0x2345, 0x08, 0x6789, 0x10, 0xaaaa}));
}

TEST(FloatingPointImage, EnvironmentsOfRealMode) {
  TestMachine m(TestMode::Real);
  fill(m.state().fpu);  // linear addresses: 80h + 12345h, 100h + 56789h
  m.run_code({0xd9, 0x36, 0x00, 0x90});
  EXPECT_EQ(words(m, 7, 2), (std::vector<uint32_t>{0x27b, 0x3800, 0x3fff, 0x23c5, 0x15a5, 0x6889, 0x5000}));
  fill(m.state().fpu);
  m.run_code({0x66, 0xd9, 0x36, 0x00, 0x90});
  EXPECT_EQ(words(m, 7, 4), (std::vector<uint32_t>{0xffff027b, 0xffff3800, 0xffff3fff, 0xffff23c5, 0x000015a5,
                                                   0xffff6889, 0x00005000}));
}

TEST(FloatingPointImage, LoadingAnEnvironmentGivesItBack) {
  for (const TestMode mode : {TestMode::Protected32, TestMode::Real}) {
    TestMachine m(mode);
    fill(m.state().fpu);
    const FloatingPointState before = m.state().fpu;
    if (mode == TestMode::Real)
      m.run_code({0xd9, 0x36, 0x00, 0x90, 0xdb, 0xe3, 0xd9, 0x26, 0x00, 0x90});
    else
      m.run_code({0xd9, 0x35, 0x00, 0x90, 0, 0, 0xdb, 0xe3, 0xd9, 0x25, 0x00, 0x90, 0, 0});
    EXPECT_EQ(m.state().fpu.control, before.control);
    EXPECT_EQ(m.state().fpu.status, before.status);
    EXPECT_EQ(m.state().fpu.tag, before.tag);
  }
}

TEST(FloatingPointImage, LoadedErrorIsPending) {
  TestMachine m;
  m.trap_exceptions();
  m.state().cr0 |= x86::kCr0Ne;
  m.put<uint32_t>(kImage, 0x37e);     // invalid operation unmasked…
  m.put<uint32_t>(kImage + 4, 0x01);  // …and flagged, without the summary bit
  m.put<uint32_t>(kImage + 8, 0xffff);
  m.run_code({0xd9, 0x25, 0x00, 0x90, 0, 0, 0x9b});
  EXPECT_EQ(m.exception(), 16);
}

TEST(FloatingPointImage, SaveHoldsRegistersInStackOrderAndInitialises) {
  TestMachine m;
  fill(m.state().fpu);
  m.state().fpu.registers[0][0] = 0x77;  // ST(1)
  m.run_code({0xdd, 0x35, 0x00, 0x90, 0, 0});
  EXPECT_EQ(m.at<uint64_t>(kImage + 28), 0x8807060504030201u);
  EXPECT_EQ(m.at<uint16_t>(kImage + 36), 0x1234);
  EXPECT_EQ(m.at<uint8_t>(kImage + 38), 0x77);
  EXPECT_EQ(m.state().fpu.control, 0x37f);
  EXPECT_EQ(m.state().fpu.tag, 0xffff);
  EXPECT_EQ(m.state().fpu.instruction_pointer, 0u);
  m.run_code({0xdd, 0x25, 0x00, 0x90, 0, 0});  // frstor
  EXPECT_EQ(m.state().fpu.registers[7][9], 0x12);
  EXPECT_EQ(m.state().fpu.tag, 0x3fff);
  EXPECT_EQ(m.state().fpu.opcode, 0x5a5);
}

TEST(FloatingPointImage, FxsaveHasAbridgedTagsAndSse) {
  TestMachine m;
  m.state().cr4 |= x86::kCr4Osfxsr;
  fill(m.state().fpu);
  m.state().fpu.xmm[7][15] = 0x5a;
  m.state().fpu.mxcsr = 0x1fa0;
  m.run_code({0x0f, 0xae, 0x05, 0x00, 0x90, 0, 0});
  EXPECT_EQ(m.at<uint16_t>(kImage), 0x27b);
  EXPECT_EQ(m.at<uint8_t>(kImage + 4), 0x80);
  EXPECT_EQ(m.at<uint16_t>(kImage + 6), 0x5a5);
  EXPECT_EQ(m.at<uint32_t>(kImage + 8), 0x12345u);
  EXPECT_EQ(m.at<uint16_t>(kImage + 12), 0x08);
  EXPECT_EQ(m.at<uint32_t>(kImage + 16), 0x56789u);
  EXPECT_EQ(m.at<uint32_t>(kImage + 24), 0x1fa0u);
  EXPECT_EQ(m.at<uint32_t>(kImage + 28), 0xffffu);
  EXPECT_EQ(m.at<uint64_t>(kImage + 32), 0x8807060504030201u);
  EXPECT_EQ(m.at<uint8_t>(kImage + 160 + 127), 0x5a);
  const FloatingPointState before = m.state().fpu;
  m.run_code({0xdb, 0xe3, 0x0f, 0x57, 0xff, 0x0f, 0xae, 0x0d, 0x00, 0x90, 0, 0});  // fninit; xorps; fxrstor
  EXPECT_EQ(m.state().fpu.tag, before.tag);
  EXPECT_EQ(m.state().fpu.xmm, before.xmm);
  EXPECT_EQ(m.state().fpu.registers[7], before.registers[7]);
}

TEST(FloatingPointImage, FxsaveWithoutOsfxsrLeavesSseOut) {
  TestMachine m;
  m.put<uint8_t>(kImage + 160, 0x99);
  m.state().fpu.xmm[0][0] = 0x11;
  m.run_code({0x0f, 0xae, 0x05, 0x00, 0x90, 0, 0});
  EXPECT_EQ(m.at<uint8_t>(kImage + 160), 0x99);
}

TEST(FloatingPointImage, FxsaveWantsAlignment) {
  TestMachine m;
  m.trap_exceptions();
  m.run_code({0x0f, 0xae, 0x05, 0x08, 0x90, 0, 0});
  EXPECT_EQ(m.exception(), 13);
}

TEST(FloatingPointImage, ReservedBitsOfMxcsrAreRefused) {
  TestMachine m;
  m.trap_exceptions();
  m.state().cr4 |= x86::kCr4Osfxsr;
  m.put<uint32_t>(kImage + 24, 0x00011f80);
  m.run_code({0x0f, 0xae, 0x0d, 0x00, 0x90, 0, 0});
  EXPECT_EQ(m.exception(), 13);
}

}  // namespace
}  // namespace vitrine::cpu

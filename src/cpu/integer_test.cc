// Integer instructions whose meaning is more than the host's own arithmetic: memory operands, strings, the
// stack, loops, faults.
#include "cpu/host_traits.h"
#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

constexpr int kDivideError = 0, kBoundRange = 5, kGeneralProtection = 13;
constexpr uint32_t kData = TestMachine::kData;

class IntegerTest : public testing::Test {
 protected:
  IntegerTest() {
    m.trap_exceptions();
    m.reg(kEdx) = 0;
  }
  TestMachine m;
};

TEST_F(IntegerTest, DivisionErrors) {
  m.reg(kEax) = 5;
  m.run_code({0xf7, 0xf3});  // DIV EBX with EBX = 0
  EXPECT_EQ(m.exception(), kDivideError);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode);
  EXPECT_EQ(m.reg(kEax), 5u);
  m.reg(kEbx) = 1;
  m.reg(kEdx) = 1;
  m.run_code({0xf7, 0xf3});  // quotient beyond 32 bits
  EXPECT_EQ(m.exception(), kDivideError);
  m.reg(kEax) = 0;
  m.reg(kEdx) = 0x80000000;
  m.reg(kEbx) = 0xffffffff;
  m.run_code({0xf7, 0xfb});  // IDIV: the most negative dividend by -1
  EXPECT_EQ(m.exception(), kDivideError);
  m.reg(kEax) = 0x8000;
  m.run_code({0xf6, 0xfb});  // IDIV BL
  EXPECT_EQ(m.exception(), kDivideError);
}

TEST_F(IntegerTest, Divisions) {
  m.reg(kEax) = 100;
  m.reg(kEbx) = static_cast<uint32_t>(-7);
  m.run_code({0x99, 0xf7, 0xfb});  // CDQ; IDIV EBX
  EXPECT_EQ(m.reg(kEax), static_cast<uint32_t>(-14));
  EXPECT_EQ(m.reg(kEdx), 2u);
  m.reg(kEax) = 0x0107;
  m.reg(kEbx) = 0x10;
  m.run_code({0xf6, 0xf3});  // DIV BL
  EXPECT_EQ(m.reg(kEax) & 0xffff, 0x0710u);
}

TEST_F(IntegerTest, DecimalAdjustment) {
  m.reg(kEax) = 0x79;
  m.run_code({0x04, 0x35, 0x27});  // ADD AL, 35h; DAA
  EXPECT_EQ(m.reg(kEax) & 0xff, 0x14u);
  EXPECT_NE(m.state().eflags & x86::kCf, 0u);
  m.reg(kEax) = 0x35;
  m.run_code({0x2c, 0x47, 0x2f});  // SUB AL, 47h; DAS
  EXPECT_EQ(m.reg(kEax) & 0xff, 0x88u);
  EXPECT_NE(m.state().eflags & x86::kCf, 0u);
  m.reg(kEax) = 0x0039;
  m.run_code({0x04, 0x35, 0x37});  // AAA
  EXPECT_EQ(m.reg(kEax), 0x0104u);
  m.reg(kEax) = 63;
  m.run_code({0xd4, 0x0a});  // AAM
  EXPECT_EQ(m.reg(kEax), 0x0603u);
  m.run_code({0xd5, 0x0a});  // AAD
  EXPECT_EQ(m.reg(kEax), 63u);
  m.run_code({0xd4, 0x00});
  EXPECT_EQ(m.exception(), kDivideError);
}

TEST_F(IntegerTest, BitStringsReachBeyondTheOperand) {
  m.reg(kEbx) = kData;
  m.reg(kEax) = 100;
  m.reg(kEcx) = static_cast<uint32_t>(-1);
  m.run_code({0x0f, 0xab, 0x03, 0x0f, 0xab, 0x0b});  // BTS [EBX], EAX; BTS [EBX], ECX
  EXPECT_EQ(m.at<uint32_t>(kData + 12), 1u << 4);
  EXPECT_EQ(m.at<uint32_t>(kData - 4), 1u << 31);
}

TEST_F(IntegerTest, ExchangesWithMemory) {
  m.put<uint32_t>(kData, 5);
  m.reg(kEbx) = kData;
  m.reg(kEax) = 5;
  m.reg(kEcx) = 9;
  m.run_code({0xf0, 0x0f, 0xb1, 0x0b});  // CMPXCHG: equal
  EXPECT_EQ(m.at<uint32_t>(kData), 9u);
  m.run_code({0xf0, 0x0f, 0xb1, 0x0b});  // not equal any more
  EXPECT_EQ(m.reg(kEax), 9u);
  m.run_code({0xf0, 0x0f, 0xc1, 0x0b});  // XADD
  EXPECT_EQ(m.at<uint32_t>(kData), 18u);
  EXPECT_EQ(m.reg(kEcx), 9u);
  m.put<uint64_t>(kData, 0x1122334455667788);
  m.reg(kEsi) = kData;
  m.reg(kEdx) = 0x11223344;
  m.reg(kEax) = 0x55667788;
  m.reg(kEcx) = 1;
  m.reg(kEbx) = 2;
  m.run_code({0x0f, 0xc7, 0x0e});  // CMPXCHG8B [ESI]
  EXPECT_EQ(m.at<uint64_t>(kData), 0x100000002u);
  EXPECT_NE(m.state().eflags & x86::kZf, 0u);
}

TEST_F(IntegerTest, RepeatedMoves) {
  for (uint32_t n = 0; n < 0x3000; ++n) m.put<uint8_t>(0x200000 + n, static_cast<uint8_t>(n * 7));
  m.reg(kEsi) = 0x200001;
  m.reg(kEdi) = 0x210ffe;
  m.reg(kEcx) = 0x2800;
  m.run_code({0xf3, 0xa4});
  for (uint32_t n = 0; n < 0x2800; ++n)
    ASSERT_EQ(m.at<uint8_t>(0x210ffe + n), static_cast<uint8_t>((n + 1) * 7)) << n;
  EXPECT_EQ(m.reg(kEcx), 0u);
  EXPECT_EQ(m.reg(kEsi), 0x200001u + 0x2800);
}

TEST_F(IntegerTest, AnOverlappingMoveFills) {
  m.put<uint16_t>(kData, 0xabcd);
  m.reg(kEsi) = kData;
  m.reg(kEdi) = kData + 2;
  m.reg(kEcx) = 100;
  m.run_code({0xf3, 0x66, 0xa5});  // REP MOVSW
  EXPECT_EQ(m.at<uint16_t>(kData + 200), 0xabcd);
}

TEST_F(IntegerTest, MovesDownward) {
  m.put<uint32_t>(kData, 0x44332211);
  m.reg(kEsi) = kData + 3;
  m.reg(kEdi) = kData + 13;
  m.reg(kEcx) = 4;
  m.run_code({0xfd, 0xf3, 0xa4});
  EXPECT_EQ(m.at<uint32_t>(kData + 10), 0x44332211u);
  EXPECT_EQ(m.reg(kEdi), kData + 9);
}

TEST_F(IntegerTest, RepeatedStoreOverCodeIsSeen) {
  m.reg(kEdi) = TestMachine::kCode + 2;
  m.reg(kEax) = 0x43;
  m.reg(kEcx) = 2;
  m.run_code({0xf3, 0xaa, 0x40, 0x40});  // REP STOSB over the two INC EAX
  EXPECT_EQ(m.reg(kEbx), 2u);
  EXPECT_EQ(m.reg(kEax), 0x43u);
}

TEST_F(IntegerTest, CompareAndScan) {
  m.write(kData, {'a', 'b', 'c', 0});
  m.reg(kEdi) = kData;
  m.reg(kEax) = 0;
  m.reg(kEcx) = 0xffffffff;
  m.run_code({0xf2, 0xae});  // REPNE SCASB
  EXPECT_EQ(m.reg(kEdi), kData + 4);
  EXPECT_EQ(m.reg(kEcx), 0xfffffffbu);
  EXPECT_NE(m.state().eflags & x86::kZf, 0u);
  m.write(kData + 0x100, {'a', 'b', 'd', 0});
  m.reg(kEsi) = kData;
  m.reg(kEdi) = kData + 0x100;
  m.reg(kEcx) = 4;
  m.run_code({0xf3, 0xa6});  // REPE CMPSB
  EXPECT_EQ(m.reg(kEcx), 1u);
  EXPECT_NE(m.state().eflags & x86::kCf, 0u);
}

TEST_F(IntegerTest, ZeroCountDoesNothing) {
  m.reg(kEcx) = 0;
  m.reg(kEdi) = 0xf0000000;
  m.state().eflags |= x86::kZf;
  m.run_code({0xf3, 0xaa, 0xf3, 0xa6});
  EXPECT_EQ(m.exception(), -1);
  EXPECT_NE(m.state().eflags & x86::kZf, 0u);
}

TEST_F(IntegerTest, LongRepeatsLetInterruptsIn) {
  m.reg(kEdi) = 0x200000;
  m.reg(kEcx) = 0x10000;
  m.load_code({0xf3, 0xaa});
  ASSERT_EQ(m.run(100).reason, ExitReason::BudgetSpent);
  EXPECT_EQ(m.state().eip, TestMachine::kCode);
  EXPECT_EQ(m.reg(kEcx), 0x10000u - 100);
  m.cpu->kick();
  ASSERT_EQ(m.cpu->run(100'000).reason, ExitReason::Kicked);
  EXPECT_EQ(m.reg(kEcx), 0x10000u - 100);
  m.run();
  EXPECT_EQ(m.reg(kEcx), 0u);
}

// The flags from before it, or on some hosts the last iteration's (HostTraits).
TEST_F(IntegerTest, ASuspendedCompareHasTheFlagsThatTheHostsHas) {
  constexpr uint32_t kBorrow = x86::kCf | x86::kAf | x86::kSf;
  constexpr uint32_t kCompared[] = {kBorrow | x86::kPf, kBorrow, kBorrow};
  m.write(kData, {1, 2, 3, 0});
  m.reg(kEdi) = kData;
  m.reg(kEax) = 0;
  m.reg(kEcx) = 4;
  m.state().eflags |= x86::kArithmeticFlags;
  m.load_code({0xf2, 0xae});  // REPNE SCASB
  for (unsigned iteration = 1; iteration < 4; ++iteration) {
    ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);
    EXPECT_EQ(m.reg(kEcx), 4 - iteration);
    EXPECT_EQ(m.state().eflags & x86::kArithmeticFlags,
              host_traits().repetition_keeps_flags ? kCompared[iteration - 1] : x86::kArithmeticFlags);
  }
  ASSERT_EQ(m.run(1).reason, ExitReason::BudgetSpent);
  EXPECT_EQ(m.state().eflags & x86::kArithmeticFlags, x86::kZf | x86::kPf);
}

TEST_F(IntegerTest, StringsHonourSegmentOverridesForTheSourceOnly) {
  m.state().segments[x86::kGs].base = kData;
  m.put<uint8_t>(kData + 5, 0x66);
  m.reg(kEsi) = 5;
  m.reg(kEdi) = kData + 0x50;
  m.run_code({0x65, 0xa4});
  EXPECT_EQ(m.at<uint8_t>(kData + 0x50), 0x66);
}

TEST_F(IntegerTest, PushAllPopAll) {
  for (const auto r : {kEax, kEcx, kEdx, kEbx, kEbp, kEsi, kEdi}) m.reg(r) = 0x100u + r;
  const uint32_t esp = m.reg(kEsp);
  m.run_code({0x60, 0x31, 0xc0, 0x31, 0xff, 0x61});  // PUSHA; XOR EAX, EAX; XOR EDI, EDI; POPA
  EXPECT_EQ(m.reg(kEax), 0x100u);
  EXPECT_EQ(m.reg(kEdi), 0x107u);
  EXPECT_EQ(m.reg(kEsp), esp);
  EXPECT_EQ(m.at<uint32_t>(esp - 20), esp);
}

TEST_F(IntegerTest, PushOfEspIsItsOldValue) {
  const uint32_t esp = m.reg(kEsp);
  m.run_code({0x54, 0x5b});  // PUSH ESP; POP EBX
  EXPECT_EQ(m.reg(kEbx), esp);
}

TEST_F(IntegerTest, EnterNestsFrames) {
  const uint32_t esp = m.reg(kEsp);
  m.reg(kEbp) = kData;
  m.put<uint32_t>(kData - 4, 0x1111);
  m.run_code({0xc8, 0x10, 0x00, 0x02});  // ENTER 16, 2
  EXPECT_EQ(m.at<uint32_t>(esp - 4), kData);
  EXPECT_EQ(m.at<uint32_t>(esp - 8), 0x1111u);
  EXPECT_EQ(m.at<uint32_t>(esp - 12), esp - 4);
  EXPECT_EQ(m.reg(kEbp), esp - 4);
  EXPECT_EQ(m.reg(kEsp), esp - 12 - 16);
  m.run_code({0xc9});
  EXPECT_EQ(m.reg(kEsp), esp);
  EXPECT_EQ(m.reg(kEbp), kData);
}

TEST_F(IntegerTest, Bound) {
  m.put<uint32_t>(kData, static_cast<uint32_t>(-5));
  m.put<uint32_t>(kData + 4, 5);
  m.reg(kEax) = static_cast<uint32_t>(-5);
  m.run_code({0x62, 0x05, 0, 0, 2, 0});
  EXPECT_EQ(m.exception(), -1);
  m.reg(kEax) = 6;
  m.run_code({0x62, 0x05, 0, 0, 2, 0});
  EXPECT_EQ(m.exception(), kBoundRange);
}

TEST_F(IntegerTest, LoopsCountByAddressSize) {
  m.reg(kEcx) = 0x10003;
  m.run_code({0x40, 0x67, 0xe2, 0xfc});  // INC EAX; LOOP by CX
  EXPECT_EQ(m.reg(kEax), 3u);
  EXPECT_EQ(m.reg(kEcx), 0x10000u);
  m.run_code({0x67, 0xe3, 0x01, 0x43});  // JCXZ over INC EBX
  EXPECT_EQ(m.reg(kEbx), 0u);
}

TEST_F(IntegerTest, CallsAndReturns) {
  const uint32_t esp = m.reg(kEsp);
  m.run_code({0xe8, 0x01, 0, 0, 0, 0xf4, 0x40, 0xc2, 0x08, 0x00});  // CALL f; HLT; f: INC EAX; RET 8
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEsp), esp + 8);
  m.reg(kEbx) = TestMachine::kCode + 3;
  m.run_code({0xff, 0xd3, 0xf4, 0x40, 0xc3});  // CALL EBX
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST_F(IntegerTest, JumpsBeyondTheLimitFaultAtTheJump) {
  m.state().segments[x86::kCs].limit = 0xffff;
  m.reg(kEax) = 0x10000;
  m.run_code({0xff, 0xe0});
  EXPECT_EQ(m.exception(), kGeneralProtection);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode);
  m.state().segments[x86::kCs].limit = 0xffff;
  const uint32_t esp = m.reg(kEsp);
  m.run_code({0xe8, 0, 0, 1, 0});
  EXPECT_EQ(m.exception(), kGeneralProtection);
  EXPECT_EQ(m.reg(kEsp), esp - 16);
}

TEST_F(IntegerTest, SixteenBitBranchesCutEip) {
  m.write(0x10, {0x43, 0xf4});
  m.run_code({0x66, 0xe9, 0x0c, 0x80});  // JMP by 16 bits: to 8004h + 800Ch, cut
  EXPECT_EQ(m.reg(kEbx), 1u);
  EXPECT_EQ(m.state().eip, 0x12u);
}

TEST_F(IntegerTest, Translate) {
  m.put<uint8_t>(kData + 0x80, 0x99);
  m.reg(kEbx) = kData;
  m.reg(kEax) = 0x80;
  m.run_code({0xd7});
  EXPECT_EQ(m.reg(kEax), 0x99u);
}

TEST_F(IntegerTest, LaterExtensions) {
  m.put<uint32_t>(kData, 0x11223344);
  m.reg(kEbx) = kData;
  m.run_code({0x0f, 0x38, 0xf0, 0x03});  // MOVBE EAX, [EBX]
  EXPECT_EQ(m.reg(kEax), 0x44332211u);
  m.reg(kEax) = 0x00f0;
  m.reg(kEcx) = 0x0ff0;
  m.run_code({0xc4, 0xe2, 0x78, 0xf2, 0xd9});  // ANDN EBX, EAX, ECX
  EXPECT_EQ(m.reg(kEbx), 0x0f00u);
  m.run_code({0xc4, 0xe2, 0x60, 0xf3, 0xc9});  // BLSR EBX, ECX
  EXPECT_EQ(m.reg(kEbx), 0x0fe0u);
  m.reg(kEcx) = 4;
  m.run_code({0xc4, 0xe2, 0x71, 0xf7, 0xd8});  // SHLX EBX, EAX, ECX
  EXPECT_EQ(m.reg(kEbx), 0x0f00u);
  m.reg(kEdx) = 0x10000;
  m.reg(kEcx) = 0x20000;
  m.run_code({0xc4, 0xe2, 0x63, 0xf6, 0xc1});  // MULX EAX, EBX, ECX
  EXPECT_EQ(m.reg(kEax), 2u);
  EXPECT_EQ(m.reg(kEbx), 0u);
  m.reg(kEax) = 0xffffffff;
  m.reg(kEcx) = '1';
  m.run_code({0xf2, 0x0f, 0x38, 0xf0, 0xc1});  // CRC32 EAX, CL
  EXPECT_EQ(m.reg(kEax), ~0x90f599e3u);        // the published CRC-32C of "1"
}

TEST(RealModeTest, SegmentsStackAndWrapping) {
  TestMachine m(TestMode::Real);
  // MOV AX, 2000h; MOV DS, AX; MOV AX, [10h]; PUSH AX; POP BX
  m.put<uint16_t>(0x20010, 0x1234);
  m.run_code({0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xa1, 0x10, 0x00, 0x50, 0x5b});
  EXPECT_EQ(m.reg(kEbx) & 0xffff, 0x1234u);
}

TEST(RealModeTest, InterruptsThroughTheVectorTable) {
  TestMachine m(TestMode::Real);
  m.put<uint32_t>(0x40 * 4, 0x20000000);  // 2000:0000
  m.write(0x20000, {0x43, 0xcf});         // INC BX; IRET
  m.reg(kEbx) = 0;
  m.run_code({0xcd, 0x40, 0x43});
  EXPECT_EQ(m.reg(kEbx), 2u);
}

TEST(RealModeTest, BigRealMode) {
  TestMachine m(TestMode::Real);
  m.put<uint32_t>(0x200000, 0xcafe);
  m.reg(kEsi) = 0x200000;
  m.state().segments[x86::kDs].limit = 0xffffffff;
  m.run_code({0x67, 0x66, 0x8b, 0x06});  // MOV EAX, [ESI]
  EXPECT_EQ(m.reg(kEax), 0xcafeu);
}

TEST(RealModeTest, OffsetsBeyond64KFault) {
  TestMachine m(TestMode::Real);
  m.put<uint32_t>(13 * 4, 0x20000000);
  m.write(0x20000, {0xf4});
  m.run_code({0xa1, 0xff, 0xff});  // a word at FFFFh
  EXPECT_EQ(m.state().segments[x86::kCs].base, 0x20000u);
}

}  // namespace
}  // namespace vitrine::cpu

// What decodes to what, and what does not: undefined encodings, LOCK, lengths, features.
#include "cpu/decoder.h"

#include <array>
#include <cstring>
#include <random>

#include "cpu/decode_templates.h"
#include "cpu/instruction_table.h"
#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

constexpr int kInvalidOpcode = 6, kGeneralProtection = 13;

class DecoderTest : public testing::Test {
 protected:
  // The exception that the instruction raises, or -1.
  int exception_of(std::initializer_list<uint8_t> bytes) {
    m.trap_exceptions();
    m.reg(kEsp) = TestMachine::kStack - 0x100;
    for (const auto r : {kEax, kEcx, kEdx, kEbx, kEbp, kEsi, kEdi}) m.reg(r) = TestMachine::kData;
    m.run_code(bytes);
    return m.exception();
  }
  TestMachine m;
};

TEST_F(DecoderTest, UndefinedOpcodes) {
  EXPECT_EQ(exception_of({0x0f, 0x0b}), kInvalidOpcode);        // UD2
  EXPECT_EQ(exception_of({0x0f, 0xb9, 0xc0}), kInvalidOpcode);  // UD1
  EXPECT_EQ(exception_of({0x0f, 0xff, 0xc0}), kInvalidOpcode);  // UD0
  EXPECT_EQ(exception_of({0x0f, 0x04}), kInvalidOpcode);
  EXPECT_EQ(exception_of({0xfe, 0xd0}), kInvalidOpcode);              // FE /2
  EXPECT_EQ(exception_of({0xff, 0xf8}), kInvalidOpcode);              // FF /7
  EXPECT_EQ(exception_of({0x8d, 0xc0}), kInvalidOpcode);              // LEA with a register
  EXPECT_EQ(exception_of({0x0f, 0xc7, 0xc8}), kInvalidOpcode);        // CMPXCHG8B with a register
  EXPECT_EQ(exception_of({0xc6, 0xc8, 0x00}), kInvalidOpcode);        // C6 /1
  EXPECT_EQ(exception_of({0x0f, 0x0f, 0xc0, 0x9e}), kInvalidOpcode);  // 3DNow!
}

TEST_F(DecoderTest, UndefinedFaultsPointAtTheInstruction) {
  EXPECT_EQ(exception_of({0x90, 0x66, 0x0f, 0x0b}), kInvalidOpcode);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 1);
}

TEST_F(DecoderTest, LockIsLegalOnlyWithMemoryDestinationsOfSomeInstructions) {
  EXPECT_EQ(exception_of({0xf0, 0x01, 0x03}), -1);                    // ADD [EBX], EAX
  EXPECT_EQ(exception_of({0xf0, 0x0f, 0xb1, 0x0b}), -1);              // CMPXCHG [EBX], ECX
  EXPECT_EQ(exception_of({0xf0, 0x0f, 0xc7, 0x0b}), -1);              // CMPXCHG8B [EBX]
  EXPECT_EQ(exception_of({0xf0, 0x87, 0x03}), -1);                    // XCHG
  EXPECT_EQ(exception_of({0xf0, 0x01, 0xc3}), kInvalidOpcode);        // register destination
  EXPECT_EQ(exception_of({0xf0, 0x03, 0x03}), kInvalidOpcode);        // memory is the source
  EXPECT_EQ(exception_of({0xf0, 0x39, 0x03}), kInvalidOpcode);        // CMP
  EXPECT_EQ(exception_of({0xf0, 0x89, 0x03}), kInvalidOpcode);        // MOV
  EXPECT_EQ(exception_of({0xf0, 0x0f, 0xa3, 0x03}), kInvalidOpcode);  // BT
  EXPECT_EQ(exception_of({0xf0, 0x90}), kInvalidOpcode);
}

TEST_F(DecoderTest, FifteenBytesAreTheLimit) {
  EXPECT_EQ(exception_of(
                {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x40}),
            -1);
  EXPECT_EQ(exception_of({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                          0x66, 0x40}),
            kGeneralProtection);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode);
}

TEST_F(DecoderTest, UndocumentedEncodings) {
  m.reg(kEax) = 0;
  EXPECT_EQ(exception_of({0xf9, 0xd6}), -1);  // STC; SALC
  EXPECT_EQ(m.reg(kEax) & 0xff, 0xffu);
  EXPECT_EQ(exception_of({0xb8, 3, 0, 0, 0, 0xc1, 0xf0, 4}), -1);  // SHL by /6
  EXPECT_EQ(m.reg(kEax), 0x30u);
  EXPECT_EQ(exception_of({0xb0, 3, 0x82, 0xc0, 4}), -1);  // 82h is 80h
  EXPECT_EQ(m.reg(kEax) & 0xff, 7u);
  EXPECT_EQ(exception_of({0xb8, 0xf0, 0, 0, 0, 0xf6, 0xc8, 0x10}), -1);  // TEST by F6 /1
  EXPECT_EQ(m.state().eflags & x86::kZf, 0u);
  EXPECT_EQ(exception_of({0xf1}), 1);  // INT1
}

TEST_F(DecoderTest, NoOperationsOfManyKinds) {
  for (uint8_t opcode = 0x18; opcode <= 0x1f; ++opcode) {
    for (const uint8_t modrm : {0x03, 0xc0, 0xc8, 0xd9, 0xfa, 0x3b}) {
      for (const uint8_t prefix : {0x90, 0x66, 0xf3, 0xf2}) {
        EXPECT_EQ(exception_of({prefix, 0x0f, opcode, modrm}), -1)
            << int{prefix} << " " << int{opcode} << " " << int{modrm};
      }
    }
  }
  EXPECT_EQ(exception_of({0x0f, 0x0d, 0x03}), -1);
  EXPECT_EQ(exception_of({0xf3, 0x90}), -1);
}

TEST_F(DecoderTest, WithoutItsFeatureAnInstructionIsTheOlderOneOrUndefined) {
  TestMachine old(TestMode::Protected32, "pentium3");
  old.trap_exceptions();
  old.reg(kEbx) = 0x10;
  old.run_code({0xf3, 0x0f, 0xbc, 0xc3, 0xf3, 0x0f, 0xbd, 0xcb});  // BSF EAX, EBX; BSR ECX, EBX
  EXPECT_EQ(old.reg(kEax), 4u);
  EXPECT_EQ(old.reg(kEcx), 4u);
  old.run_code({0xf3, 0x0f, 0xb8, 0xc3});  // POPCNT
  EXPECT_EQ(old.exception(), kInvalidOpcode);
  EXPECT_EQ(exception_of({0xf3, 0x0f, 0xb8, 0xc3}), -1);
}

TEST_F(DecoderTest, EveryOperationOfTheIntegerListHasARow) {
  static constexpr Operation kIntegers[] = {
#define VITRINE_OPERATION(name) Operation::name,
#include "cpu/operation_list_integer.inc"
#undef VITRINE_OPERATION
  };
  for (const Operation operation : kIntegers) EXPECT_FALSE(rows_of(operation).empty()) << name(operation);
}

TEST_F(DecoderTest, ConditionsBeyondTheSegmentLimitFault) {
  m.state().segments[x86::kCs].limit = TestMachine::kCode + 3;
  EXPECT_EQ(exception_of({0x90, 0x90, 0xb0}),
            kGeneralProtection);  // the immediate is the HLT behind: at the limit's end
}

TEST_F(DecoderTest, ArbitraryBytesNeverDoHarm) {
  uint32_t seed = 12345;
  for (int round = 0; round < 20'000; ++round) {
    std::array<uint8_t, 16> bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
    TestMachine& machine = m;
    machine.enter(round % 3 == 0   ? TestMode::Real
                  : round % 3 == 1 ? TestMode::Protected16
                                   : TestMode::Protected32);
    machine.write(TestMachine::kCode, bytes);
    machine.state().activity = Activity::Running;
    static_cast<void>(machine.run(8));
  }
}

// Each random instruction with random numbers in it, decoded by a decoder that knows its shape by now and by
// one that has never seen it.
TEST_F(DecoderTest, AKnownShapeDecodesAsAnUnknownOne) {
  CpuModel model = CpuModel::create("max").value();
  Core core({m.map, m.ports, m.bus, model});
  Decoder learned(model);
  std::mt19937 random(1);
  unsigned known = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::array<uint8_t, 15> bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    constexpr uint8_t kStarts[] = {0x66, 0x67, 0x0f, 0x0f, 0xf3, 0x65};
    if (random() % 2 == 0) bytes[0] = kStarts[random() % std::size(kStarts)];
    if (random() % 4 == 0) bytes[1] = 0x0f;
    const bool code32 = random() % 4 != 0;
    const uint64_t shape = instruction_shape(bytes.data(), 15, code32);
    const unsigned fixed = shape == 0 ? 15 : shape_length(shape);
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (unsigned n = fixed; n < 15; ++n) bytes[n] = static_cast<uint8_t>(random());
      Instruction one{}, other{};
      one.host_code = other.host_code = nullptr;
      const Decoded a = learned.decode(core, bytes.data(), 15, code32, one);
      const Decoded b = learned.decode_anew(core, bytes.data(), 15, code32, other);
      known += shape != 0;
      ASSERT_EQ(a.status, b.status);
      ASSERT_EQ(a.flow, b.flow);
      one.eip_offset = other.eip_offset = 0;
      ASSERT_EQ(std::memcmp(&one, &other, sizeof one), 0)
          << std::hex << unsigned{bytes[0]} << ' ' << unsigned{bytes[1]} << ' ' << unsigned{bytes[2]} << ' '
          << unsigned{bytes[3]} << ' ' << name(one.operation) << '/' << name(other.operation) << ' '
          << one.displacement << '/' << other.displacement << ' ' << one.immediate << '/' << other.immediate;
    }
  }
  EXPECT_GT(known, 60'000u);
}

TEST_F(DecoderTest, AKnownShapeMayStillLackBytes) {
  CpuModel model = CpuModel::create("max").value();
  Core core({m.map, m.ports, m.bus, model});
  Decoder decoder(model);
  const std::array<uint8_t, 15> bytes = {0x81, 0x84, 0x24, 1, 2, 3, 4, 5, 6, 7, 8};  // ADD [ESP + …], …
  Instruction i{};
  ASSERT_EQ(decoder.decode(core, bytes.data(), 15, true, i).status, DecodeStatus::Done);
  ASSERT_EQ(i.length, 11);
  for (unsigned available = 0; available < 11; ++available)
    EXPECT_EQ(decoder.decode(core, bytes.data(), available, true, i).status, DecodeStatus::NeedsMore);
}

}  // namespace
}  // namespace vitrine::cpu

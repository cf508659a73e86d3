// Code that changes: by itself, by devices, by other processors, by new translations.
#include "cpu/code_cache.h"

#include "cpu/fetch.h"
#include "cpu/mode.h"
#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

TEST(CodeCacheTest, AStoreChangesTheVeryNextInstruction) {
  TestMachine m;
  // MOV BYTE [next], 43h; next: INC EAX becomes INC EBX
  m.run_code({0xc6, 0x05, 0x07, 0x80, 0, 0, 0x43, 0x40, 0x40});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

TEST(CodeCacheTest, AStoreChangesCodeThatHasRun) {
  TestMachine m;
  // loop: INC EAX; MOV BYTE [loop], 43h (INC EBX); LOOP loop
  m.reg(kEcx) = 3;
  m.run_code({0x40, 0xc6, 0x05, 0x00, 0x80, 0, 0, 0x43, 0xe2, 0xf6});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 2u);
}

TEST(CodeCacheTest, CallIntoCodeThatItsPushOverwrites) {
  TestMachine m;
  // The return address lands on the CALL's own page behind it; the target is unharmed, the processor must
  // survive.
  m.reg(kEsp) = TestMachine::kCode + 0x10;
  m.run_code({0xe8, 0x01, 0, 0, 0, 0x90, 0x40});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.at<uint32_t>(TestMachine::kCode + 0xc), TestMachine::kCode + 5);
}

TEST(CodeCacheTest, DmaChangesCode) {
  TestMachine m;
  m.run_code({0x40});
  m.write(TestMachine::kCode, {0x43});
  m.run_code({0x43});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

TEST(CodeCacheTest, AnotherProcessorChangesCode) {
  TestMachine m;
  CpuModel model = CpuModel::create("max").value();
  Vcpu second({m.map, m.ports, m.bus, model, 1});
  m.load_code({0x40, 0x40, 0xeb, 0xfc});
  m.run(100);
  second.state() = m.state();
  second.state().eip = 0x9000;
  second.state_changed();
  m.write(0x9000, {0xc6, 0x05, 0x00, 0x80, 0, 0, 0xf4, 0xf4});  // MOV BYTE [code], HLT
  EXPECT_EQ(second.run(10).reason, ExitReason::Halted);
  EXPECT_EQ(m.run(10).reason, ExitReason::Halted);
}

TEST(CodeCacheTest, BothProcessorsHearOfEveryWrite) {
  TestMachine m;
  CpuModel model = CpuModel::create("max").value();
  Vcpu second({m.map, m.ports, m.bus, model, 1});
  m.reg(kEdx) = 0;
  m.load_code({0x40});
  m.run();
  second.state() = m.state();
  for (const uint8_t opcode : {0x43, 0x42, 0x41}) {
    for (Vcpu* cpu : {m.cpu.get(), &second}) {
      m.write(TestMachine::kCode, {opcode});
      cpu->state().eip = TestMachine::kCode;
      cpu->state().activity = Activity::Running;
      cpu->state_changed();
      EXPECT_EQ(cpu->run(10).reason, ExitReason::Halted);
    }
  }
  EXPECT_EQ(m.reg(kEbx) + m.reg(kEdx) + m.reg(kEcx), 3u);
  EXPECT_EQ(second.state().gpr[kEbx] + second.state().gpr[kEdx] + second.state().gpr[kEcx], 3u);
}

TEST(CodeCacheTest, DataBesideCodeDoesNotDropIt) {
  TestMachine m;
  // loop: INC DWORD [code + 100h]; LOOP loop
  m.reg(kEcx) = 1000;
  m.run_code({0xff, 0x05, 0x00, 0x81, 0, 0, 0xe2, 0xf8});
  EXPECT_EQ(m.at<uint32_t>(TestMachine::kCode + 0x100), 1000u);
}

TEST(CodeCacheTest, AnInstructionAcrossPagesDependsOnBoth) {
  TestMachine m;
  // MOV EAX, imm32 with the immediate in the second page; MOV [immediate], ECX; jump back once.
  const uint32_t start = 0x8ffe;
  m.write(start, {0x90, 0xb8, 1, 0, 0, 0, 0x89, 0x0d, 0x00, 0x90, 0, 0, 0x4a, 0x75, 0xf2, 0xf4});
  m.reg(kEcx) = 7;
  m.reg(kEdx) = 2;
  m.state().eip = start;
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.reg(kEax), 7u);
}

TEST(CodeCacheTest, AnInstructionAcrossPagesFollowsTheSecondPagesTranslation) {
  TestMachine m;
  m.enable_paging();
  const uint32_t start = 0x8fff;
  m.write(start, {0xb8, 1, 0, 0, 0, 0xf4});
  m.write(0xa000, {2, 0, 0, 0, 0xf4});
  m.state().eip = start;
  m.run();
  EXPECT_EQ(m.reg(kEax), 1u);
  m.set_page(0x9000, 0xa007);
  m.state().eip = start;
  m.state().activity = Activity::Running;
  m.run();
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST(CodeCacheTest, SamePageAtTwoAddresses) {
  TestMachine m;
  m.enable_paging();
  // At A000h the same page as at 8000h; code there jumps within the page and across to the next, which
  // differs.
  m.set_page(0xa000, 0x8007);
  m.set_page(0xb000, 0xc007);
  m.write(0x8000, {0x40, 0xeb, 0x00, 0xe9, 0xf8, 0x0f, 0, 0});  // INC EAX; JMP +0; JMP 9000h or B000h
  m.write(0x9000, {0xb3, 1, 0xf4});
  m.write(0xc000, {0xb3, 2, 0xf4});
  for (int round = 0; round < 3; ++round) {
    for (const auto& [eip, expected] : {std::pair{0x8000u, 1u}, std::pair{0xa000u, 2u}}) {
      m.state().eip = eip;
      m.state().activity = Activity::Running;
      ASSERT_EQ(m.cpu->run(100).reason, ExitReason::Halted);
      EXPECT_EQ(m.reg(kEbx), expected);
    }
  }
}

TEST(CodeCacheTest, RomAndItsShadowAreDifferentCode) {
  TestMachine m;
  auto rom = memory::RamBlock::create("rom", kPageSize).value();
  rom->data()[0] = 0x43;
  rom->data()[1] = 0xf4;
  m.write(0x9000, {0x40, 0xf4});
  const auto run = [&m] {
    m.state().eip = 0x9000;
    m.state().activity = Activity::Running;
    ASSERT_EQ(m.cpu->run(10).reason, ExitReason::Halted);
  };
  run();
  const auto id = m.map.add(memory::Placement::rom(PhysicalAddress(0x9000), kPageSize, *rom, 0, 1));
  run();
  m.map.remove(id);
  run();
  EXPECT_EQ(m.reg(kEax), 2u);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

struct CodeDevice : memory::MemoryDevice {
  uint64_t read_memory(uint64_t offset, unsigned) override { return offset == 0 ? 0x40 : 0xf4; }
  void write_memory(uint64_t, unsigned, uint64_t) override {}
};

TEST(CodeCacheTest, CodeInADevicesMemoryRuns) {
  TestMachine m;
  CodeDevice device;
  m.map.add(memory::Placement::mmio(PhysicalAddress(0xd0000000), kPageSize, device));
  m.state().eip = 0xd0000000;
  EXPECT_EQ(m.run(10).reason, ExitReason::Halted);
  EXPECT_EQ(m.reg(kEax), 1u);
}

TEST(CodeCacheTest, MoreCodeThanTheCacheHolds) {
  TestMachine m;
  // A megabyte of INC EAX, twice: the cache must start anew on the way.
  m.write(0x200000, std::vector<uint8_t>(0x180000, 0x40));
  m.write(0x380000, {0xf4});
  for (int round = 0; round < 2; ++round) {
    m.state().eip = 0x200000;
    m.state().activity = Activity::Running;
    ASSERT_EQ(m.run(1 << 22).reason, ExitReason::Halted);
  }
  EXPECT_EQ(m.reg(kEax), 2u * 0x180000);
}

TEST(CodeCacheTest, CodeThatIsRewrittenThousandsOfTimes) {
  TestMachine m;
  // loop: INC DWORD [number]; JMP next; next: ADD EAX, number; LOOP loop. Dropped blocks are collected on the
  // way.
  m.reg(kEcx) = 5000;
  m.run_code({0xff, 0x05, 0x09, 0x80, 0, 0, 0xeb, 0x00, 0x05, 0, 0, 0, 0, 0xe2, 0xf1});
  EXPECT_EQ(m.reg(kEax), 5000u * 5001 / 2);
}

TEST(CodeCacheTest, AStoreOfAnotherPrivilegeChangesCode) {
  TestMachine m;
  m.enable_paging();
  m.load_code({0x40});
  m.run();
  m.enter_user();
  m.write(0x9000, {0xc6, 0x05, 0x00, 0x80, 0, 0, 0x43, 0xe9, 0xf4, 0xef, 0xff, 0xff});
  m.state().eip = 0x9000;
  m.state().activity = Activity::Running;
  m.run(3);
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

TEST(CodeCacheTest, AnInstructionAcrossTwoMappingsOfOnePageDependsOnBothEnds) {
  TestMachine m;
  m.enable_paging();
  m.set_page(0xa000, 0x8007);
  m.set_page(0xb000, 0x8007);
  m.write(0x8fff, {0xb8});              // MOV EAX, …
  m.write(0x8000, {1, 0, 0, 0, 0xf4});  // … 1; HLT
  for (const uint8_t value : {1, 2, 3}) {
    m.write(0x8000, {value});
    m.state().eip = 0xafff;
    m.state().activity = Activity::Running;
    m.run();
    EXPECT_EQ(m.reg(kEax), value);
  }
}

// The cache itself, under a processor that executes nothing.
class CodeCacheWrites : public testing::Test {
 protected:
  CodeCacheWrites() {
    core.state = m.state();
    update_mode(core);
    m.write(kFirst, {0x40, 0xc3});         // INC EAX; RET
    m.write(kSecond, {0x40, 0x40, 0xc3});  // INC EAX; INC EAX; RET
  }
  Block* block_at(uint32_t eip) {
    core.state.eip = eip;
    return fetcher.block(core, BlockSize::Full);
  }
  WriteEffect drop(uint32_t address, unsigned size) {
    return core.code->drop(*m.ram, address >> kPageShift, address & kPageMask, size);
  }
  static constexpr uint32_t kFirst = 0x5000, kSecond = 0x5002;
  TestMachine m;
  CpuModel model = CpuModel::create("max").value();
  Core core{CoreEnvironment{m.map, m.ports, m.bus, model}};
  Fetcher fetcher{model};
};

TEST_F(CodeCacheWrites, OnlyBlocksOfTheVeryBytesGo) {
  const Block* const first = block_at(kFirst);
  const Block* const second = block_at(kSecond);
  EXPECT_EQ(drop(kSecond + 3, 4), WriteEffect::Beside);
  EXPECT_EQ(drop(0x4ffc, 4), WriteEffect::Elsewhere);
  EXPECT_EQ(drop(kFirst + 1, 1), WriteEffect::Dropped);
  EXPECT_FALSE(first->live());
  EXPECT_TRUE(second->live());
  EXPECT_EQ(drop(kFirst, 2), WriteEffect::Beside);
  EXPECT_EQ(block_at(kSecond), second);
  EXPECT_EQ(drop(kFirst, kPageSize), WriteEffect::Dropped);
  EXPECT_FALSE(second->live());
}

TEST_F(CodeCacheWrites, BytesOfTwoBlocksStayTheOtherOnes) {
  const Block* const whole = block_at(kSecond);
  const Block* const tail = block_at(kSecond + 1);
  EXPECT_EQ(drop(kSecond, 1), WriteEffect::Dropped);
  EXPECT_FALSE(whole->live());
  EXPECT_TRUE(tail->live());
  EXPECT_EQ(drop(kSecond + 2, 1), WriteEffect::Dropped);
  EXPECT_FALSE(tail->live());
}

TEST_F(CodeCacheWrites, APageWithoutCodeIsWatchedForSomeTimeOnly) {
  static_cast<void>(block_at(kFirst));
  constexpr uint64_t kPage = kFirst >> kPageShift;
  EXPECT_NE(m.ram->watches(kPage), 0);
  EXPECT_EQ(drop(kFirst, 1), WriteEffect::Dropped);
  unsigned writes = 0;
  while (drop(kFirst, 1) != WriteEffect::Elsewhere && writes < 1000) ++writes;
  EXPECT_GT(writes, 8u);
  EXPECT_LT(writes, 1000u);
  m.write(kFirst, {0});  // Both processors have heard of it and want no more.
  EXPECT_EQ(m.ram->watches(kPage), 0);
  static_cast<void>(block_at(kFirst));
  EXPECT_NE(m.ram->watches(kPage), 0);
}

}  // namespace
}  // namespace vitrine::cpu

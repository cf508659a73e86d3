// Reaching memory: pages, rights, accessed and dirty bits, crossings, segments, alignment.
#include "cpu/access.h"

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

constexpr int kStackFault = 12, kGeneralProtection = 13, kPageFault = 14, kAlignmentCheck = 17;
constexpr uint32_t kAccessed = 0x20, kDirty = 0x40;

class PagedTest : public testing::Test {
 protected:
  PagedTest() {
    m.enable_paging();
    m.trap_exceptions();
  }
  TestMachine m;
};

TEST_F(PagedTest, ReadsSetAccessedWritesSetDirty) {
  m.run_code({0xa1, 0, 0, 2, 0, 0xa3, 0, 0x10, 2, 0});  // MOV EAX, [20000h]; MOV [21000h], EAX
  EXPECT_EQ(m.page(0x20000) & (kAccessed | kDirty), kAccessed);
  EXPECT_EQ(m.page(0x21000) & (kAccessed | kDirty), kAccessed | kDirty);
}

TEST_F(PagedTest, AWriteAfterAReadSetsDirty) {
  m.run_code({0xa1, 0, 0, 2, 0, 0xa3, 0, 0, 2, 0});
  EXPECT_EQ(m.page(0x20000) & (kAccessed | kDirty), kAccessed | kDirty);
}

TEST_F(PagedTest, MissingPageFaultsWithAddressAndCode) {
  m.set_page(0x20000, 0);
  m.run_code({0xa3, 0x34, 0x02, 2, 0});  // MOV [20234h], EAX
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.state().cr2, 0x20234u);
  EXPECT_EQ(m.stacked(0), 2u);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode);
}

TEST_F(PagedTest, AnEntryMadePresentNeedsNoInvalidation) {
  m.set_page(0x20000, 0);
  m.write(0x40000, {0xc7, 0x05, 0x80, 0x10, 0x10, 0, 7, 0, 2, 0, 0x83, 0xc4, 4,
                    0xcf});  // set the entry; ADD ESP, 4; IRET
  m.set_gate(14, 0x40000, 0x8e00);
  m.put<uint32_t>(0x20000, 0x55);
  m.run_code({0xa1, 0, 0, 2, 0});
  EXPECT_EQ(m.reg(kEax), 0x55u);
}

TEST_F(PagedTest, ACrossingStoreChangesNothingWhenItsSecondPageFaults) {
  m.set_page(0x21000, 0);
  m.put<uint32_t>(0x20ffc, 0x11223344);
  m.reg(kEax) = 0xffffffff;
  m.run_code({0xa3, 0xfe, 0x0f, 2, 0});  // MOV [20FFEh], EAX
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.state().cr2, 0x21000u);
  EXPECT_EQ(m.at<uint32_t>(0x20ffc), 0x11223344u);
}

TEST_F(PagedTest, CrossingAccessesGoToBothPages) {
  m.set_page(0x21000, 0x30007 + 0x10000);
  m.reg(kEax) = 0x44332211;
  m.run_code({0xa3, 0xfd, 0x0f, 2, 0, 0x8b, 0x1d, 0xfd, 0x0f, 2, 0});
  EXPECT_EQ(m.at<uint8_t>(0x20fff), 0x33);
  EXPECT_EQ(m.at<uint8_t>(0x40000), 0x44);
  EXPECT_EQ(m.reg(kEbx), 0x44332211u);
}

TEST_F(PagedTest, ReadModifyWriteOfAReadOnlyPageFaultsAsAWrite) {
  m.state().cr0 |= x86::kCr0Wp;
  m.set_page(0x20000, 0x20005);
  m.run_code({0xff, 0x05, 0, 0, 2, 0});  // INC DWORD [20000h]
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.stacked(0), 3u);
}

TEST_F(PagedTest, SupervisorWritesReadOnlyPagesWithoutWp) {
  m.set_page(0x20000, 0x20005);
  m.run_code({0xff, 0x05, 0, 0, 2, 0});
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.at<uint32_t>(0x20000), 1u);
}

TEST_F(PagedTest, InvlpgForgetsOnePage) {
  m.put<uint32_t>(0x20000, 1);
  m.put<uint32_t>(0x50000, 2);
  // MOV EAX, [20000h]; change its entry; INVLPG; MOV EBX, [20000h]
  m.run_code({0xa1, 0,    0,    2,    0, 0xc7, 0x05, 0x80, 0x10, 0x10, 0, 7, 0, 5,
              0,    0x0f, 0x01, 0x3d, 0, 0,    2,    0,    0x8b, 0x1d, 0, 0, 2, 0});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 2u);
}

TEST_F(PagedTest, GlobalPagesSurviveACr3Load) {
  m.state().cr4 |= x86::kCr4Pge;
  m.set_page(0x20000, 0x20107);
  m.put<uint32_t>(0x20000, 1);
  m.put<uint32_t>(0x50000, 2);
  // MOV EAX, [20000h]; change its entry; MOV EDX, CR3; MOV CR3, EDX; MOV EBX, [20000h]
  m.run_code({0xa1, 0,    0,    2,    0,    0xc7, 0x05, 0x80, 0x10, 0x10, 0, 7, 0, 5,
              0,    0x0f, 0x20, 0xda, 0x0f, 0x22, 0xda, 0x8b, 0x1d, 0,    0, 2, 0});
  EXPECT_EQ(m.reg(kEax), 1u);
  EXPECT_EQ(m.reg(kEbx), 1u);
}

TEST_F(PagedTest, FetchFaultsOnlyForBytesThatExecute) {
  m.set_page(0x9000, 0);
  m.write(0x8ffe, {0x40, 0xf4});  // the page's last bytes; behind them nothing is present
  m.state().eip = 0x8ffe;
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.exception(), -1);
  m.write(0x8ffe, {0x40, 0xb8});
  m.state().eip = 0x8ffe;
  m.state().activity = Activity::Running;
  m.run();
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.state().cr2, 0x9000u);
  EXPECT_EQ(m.stacked(1), 0x8fffu);
  EXPECT_EQ(m.reg(kEax), 2u);
}

TEST_F(PagedTest, PopToAFaultingPlaceLeavesEsp) {
  m.set_page(0x20000, 0);
  m.reg(kEsp) = 0xff00;
  m.run_code({0x8f, 0x05, 0, 0, 2, 0});  // POP DWORD [20000h]
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.reg(kEsp), 0xff00u - 16);
}

TEST_F(PagedTest, RepeatedMoveStopsAtTheFaultingElement) {
  m.set_page(0x21000, 0);
  m.reg(kEcx) = 16;
  m.reg(kEsi) = 0x40000;
  m.reg(kEdi) = 0x20ff0;
  m.run_code({0xf3, 0xa5});  // REP MOVSD
  EXPECT_EQ(m.exception(), kPageFault);
  EXPECT_EQ(m.reg(kEcx), 12u);
  EXPECT_EQ(m.reg(kEsi), 0x40010u);
  EXPECT_EQ(m.reg(kEdi), 0x21000u);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode);
}

TEST(AccessTest, LimitsOfDataSegments) {
  TestMachine m;
  m.trap_exceptions();
  m.state().segments[x86::kDs].limit = 0x20001;
  m.run_code({0xa1, 0xff, 0xff, 1, 0});  // MOV EAX, [1FFFFh]: four bytes reach 20002h
  EXPECT_EQ(m.exception(), kGeneralProtection);
  EXPECT_EQ(m.stacked(0), 0u);
}

TEST(AccessTest, LimitsOfTheStackSegment) {
  TestMachine m;
  m.trap_exceptions();
  m.reg(kEbp) = 0x20000;
  m.state().segments[x86::kSs].limit = 0x1ffff;
  m.run_code({0x8b, 0x45, 0});  // MOV EAX, [EBP]
  EXPECT_EQ(m.exception(), kStackFault);
}

TEST(AccessTest, ExpandDownSegmentsAllowWhatLiesAboveTheLimit) {
  TestMachine m;
  m.trap_exceptions();
  SegmentRegister& ds = m.state().segments[x86::kDs];
  ds.attributes = 0x00c09700;
  ds.limit = 0x1ffff;
  m.put<uint32_t>(0x20000, 5);
  m.run_code({0xa1, 0, 0, 2, 0, 0xa1, 0xff, 0xff, 1, 0});
  EXPECT_EQ(m.reg(kEax), 5u);
  EXPECT_EQ(m.exception(), kGeneralProtection);
  EXPECT_EQ(m.stacked(1), TestMachine::kCode + 5);
}

TEST(AccessTest, WritesThroughCodeAndReadOnlySegmentsFault) {
  TestMachine m;
  m.trap_exceptions();
  m.run_code({0x2e, 0xa3, 0, 0, 2, 0});  // MOV CS:[20000h], EAX
  EXPECT_EQ(m.exception(), kGeneralProtection);
}

TEST(AccessTest, NullSegmentsFault) {
  TestMachine m;
  m.trap_exceptions();
  m.state().segments[x86::kFs] = {};
  m.run_code({0x64, 0xa1, 0, 0, 2, 0});
  EXPECT_EQ(m.exception(), kGeneralProtection);
}

TEST(AccessTest, SegmentBasesAreAdded) {
  TestMachine m;
  m.state().segments[x86::kGs].base = 0x20000;
  m.put<uint32_t>(0x20010, 9);
  m.run_code({0x65, 0xa1, 0x10, 0, 0, 0});
  EXPECT_EQ(m.reg(kEax), 9u);
}

TEST(AccessTest, SixteenBitAddressesWrap) {
  TestMachine m;
  m.reg(kEbx) = 0xffff;
  m.reg(kEsi) = 0x0012;
  m.put<uint8_t>(0x0011, 0x77);
  m.run_code({0x67, 0x8a, 0x00});  // MOV AL, [BX+SI]
  EXPECT_EQ(m.reg(kEax), 0x77u);
}

TEST(AccessTest, StackWidthComesFromSs) {
  TestMachine m;
  m.state().segments[x86::kSs].attributes &= ~(1u << 22);
  m.reg(kEsp) = 0x12340000;
  m.run_code({0x6a, 0x55});  // PUSH 55h
  EXPECT_EQ(m.reg(kEsp), 0x1234fffcu);
  EXPECT_EQ(m.at<uint32_t>(0xfffc), 0x55u);
}

TEST(AccessTest, AlignmentIsCheckedForUsersOnly) {
  TestMachine m;
  m.state().cr0 |= x86::kCr0Am;
  m.state().eflags |= x86::kAc;
  m.trap_exceptions();
  m.run_code({0xa1, 1, 0, 2, 0});
  EXPECT_EQ(m.exception(), -1);

  TestMachine user;
  user.state().cr0 |= x86::kCr0Am;
  user.state().eflags |= x86::kAc;
  user.trap_exceptions();
  // A task-state segment for the way in.
  user.put<uint32_t>(0x3004, TestMachine::kStack);
  user.put<uint32_t>(0x3008, TestMachine::kData32);
  user.state().tr = {0x38, 0x8b00, 0x3000, 0x67};
  user.enter_user();
  user.run_code({0xa1, 4, 0, 2, 0, 0xa0, 1, 0, 2, 0, 0xa1, 1, 0, 2, 0});
  EXPECT_EQ(user.exception(), kAlignmentCheck);
  EXPECT_EQ(user.stacked(1), TestMachine::kCode + 10);
}

struct Recorder : memory::MemoryDevice {
  std::vector<std::pair<uint64_t, unsigned>> reads, writes;
  uint64_t read_memory(uint64_t offset, unsigned size) override {
    reads.emplace_back(offset, size);
    return 0;
  }
  void write_memory(uint64_t offset, unsigned size, uint64_t) override { writes.emplace_back(offset, size); }
};

TEST(AccessTest, DevicesSeeOneAccessOfTheOperandsSize) {
  TestMachine m;
  Recorder device;
  m.map.add(memory::Placement::mmio(PhysicalAddress(0xd0000000), kPageSize, device));
  m.run_code(
      {0xa1, 4, 0, 0, 0xd0, 0xff, 0x05, 8, 0, 0, 0xd0});  // MOV EAX, [D0000004h]; INC DWORD [D0000008h]
  using Accesses = std::vector<std::pair<uint64_t, unsigned>>;
  EXPECT_EQ(device.reads, (Accesses{{4, 4}, {8, 4}}));
  EXPECT_EQ(device.writes, (Accesses{{8, 4}}));
}

TEST(AccessTest, WritesToRomAreLost) {
  TestMachine m;
  auto rom = memory::RamBlock::create("rom", kPageSize).value();
  m.map.add(memory::Placement::rom(PhysicalAddress(0xd0000000), kPageSize, *rom, 0));
  m.reg(kEax) = 5;
  m.run_code({0xa3, 0, 0, 0, 0xd0, 0x8b, 0x1d, 0, 0, 0, 0xd0});
  EXPECT_EQ(m.reg(kEbx), 0u);
}

}  // namespace
}  // namespace vitrine::cpu

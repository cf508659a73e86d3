// Lockstep runs of a small program on a machine with one device, undisturbed, and with each kind of
// difference made behind its back.
#include "lockstep/lockstep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "cpu/no_bus.h"
#include "x86/control_registers.h"

namespace vitrine::lockstep {
namespace {

using testing::HasSubstr;

constexpr uint32_t kRamSize = 0x100000, kCode = 0x1000, kData = 0x8000;

// Answers reads with a new number each time, and writes to memory when it is written to.
class Device : public memory::PortDevice {
 public:
  explicit Device(memory::PhysicalMap& memory) : memory_(memory) {}
  uint32_t read_port(uint16_t /*port*/, unsigned /*size*/) override { return ++number_; }
  void write_port(uint16_t /*port*/, unsigned /*size*/, uint32_t value) override {
    memory_.write(PhysicalAddress(kData + 0x2000), 1, value);
  }

 private:
  memory::PhysicalMap& memory_;
  uint32_t number_ = 0;
};

class Bus : public cpu::NoBus {
 public:
  uint64_t time_stamp(unsigned /*vcpu*/) override { return ++time_; }

 private:
  uint64_t time_ = 0;
};

class LockstepTest : public testing::Test {
 protected:
  LockstepTest() : device_(memory_) {
    ram_ = *memory::RamBlock::create("ram", kRamSize);
    memory_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
    ports_.map(0x50, 1, device_);
    model_ = *cpu::CpuModel::create("max");
    auto made = Lockstep::create(
        {memory_, ports_, bus_, *model_, [this](const std::string& report) { report_ += report; }});
    EXPECT_TRUE(made.has_value());
    lockstep_ = std::move(*made);
    leader_ = std::make_unique<cpu::Vcpu>(lockstep_->leader_environment());
    lockstep_->lead(*leader_);
    // again: inc dword [8000h]; in al, 50h; out 50h, al; add bl, [0a000h]; rdtsc
    //        mov edi, 9000h; mov ecx, 100; rep stosb; inc ebx; jmp again
    static constexpr uint8_t kProgram[] = {0xff, 0x05, 0x00, 0x80, 0x00, 0x00, 0xe4, 0x50, 0xe6, 0x50, 0x02,
                                           0x1d, 0x00, 0xa0, 0x00, 0x00, 0x0f, 0x31, 0xbf, 0x00, 0x90, 0x00,
                                           0x00, 0xb9, 0x64, 0x00, 0x00, 0x00, 0xf3, 0xaa, 0x43, 0xeb, 0xdf};
    std::memcpy(ram_->data() + kCode, kProgram, sizeof kProgram);
    cpu::CpuState& state = leader_->state();
    state.cr0 = x86::kCr0Pe | x86::kCr0Et;
    for (cpu::SegmentRegister& segment : state.segments) segment = {0x18, 0x00c09300, 0, 0xffffffff};
    state.segments[x86::kCs] = {0x10, 0x00c09b00, 0, 0xffffffff};
    state.eip = kCode;
    leader_->state_changed();
  }
  ~LockstepTest() override { leader_.reset(); }

  cpu::Exit run(uint64_t budget) {
    const uint64_t end = leader_->executed() + budget;
    cpu::Exit exit;
    do {
      exit = lockstep_->run(end - leader_->executed());
    } while (!lockstep_->different() && leader_->executed() < end);
    return exit;
  }
  [[nodiscard]] memory::RamBlock& twin() { return *lockstep_->follower().twin(*ram_); }

  memory::PhysicalMap memory_;
  memory::PortMap ports_;
  Device device_;
  Bus bus_;
  std::unique_ptr<memory::RamBlock> ram_;
  std::optional<cpu::CpuModel> model_;
  std::string report_;
  std::unique_ptr<Lockstep> lockstep_;
  std::unique_ptr<cpu::Vcpu> leader_;
};

TEST_F(LockstepTest, EnginesAgree) {
  EXPECT_EQ(run(10'000).reason, cpu::ExitReason::BudgetSpent);
  EXPECT_EQ(leader_->executed(), 10'000u);
  EXPECT_TRUE(lockstep_->compare_all());
  EXPECT_EQ(report_, "");
  EXPECT_GT(lockstep_->counters().native, 1000u);
  EXPECT_GT(lockstep_->counters().pages, 100u);
  EXPECT_NE(ram_->data()[kData], 0);
  EXPECT_EQ(std::memcmp(ram_->data(), twin().data(), kRamSize), 0);
}

TEST_F(LockstepTest, ARegisterIsNoticed) {
  static_cast<void>(run(1000));
  lockstep_->follower().vcpu().state().gpr[x86::kEbp] ^= 4;
  static_cast<void>(run(1000));
  EXPECT_TRUE(lockstep_->different());
  EXPECT_THAT(report_, HasSubstr("ebp"));
  EXPECT_FALSE(lockstep_->compare_all());
}

TEST_F(LockstepTest, AByteOfAWrittenPageIsNoticed) {
  static_cast<void>(run(1000));
  twin().data()[kData + 0x800] ^= 1;
  static_cast<void>(run(200));
  EXPECT_TRUE(lockstep_->different());
  EXPECT_THAT(report_, HasSubstr("00008800"));
}

TEST_F(LockstepTest, AByteElsewhereIsNoticedWhenAllIsCompared) {
  static_cast<void>(run(1000));
  twin().data()[0x80000] ^= 1;
  static_cast<void>(run(1000));
  EXPECT_FALSE(lockstep_->different());
  EXPECT_FALSE(lockstep_->compare_all());
  EXPECT_THAT(report_, HasSubstr("00080000"));
}

TEST_F(LockstepTest, OtherCodeIsNoticed) {
  static_cast<void>(run(1000));
  const uint8_t dec_ebx = 0x4b;
  lockstep_->follower().memory().write(PhysicalAddress(kCode + 30), std::span(&dec_ebx, 1));
  static_cast<void>(run(1000));
  EXPECT_TRUE(lockstep_->different());
}

// Pages one to one by a table at 21000h; the page at 40000h is not used, so its flags stay clear.
TEST_F(LockstepTest, AFlagThatTheManualFixesIsNoticed) {
  constexpr uint32_t kDirectory = 0x20000, kTable = 0x21000;
  const auto put = [&](uint32_t at, uint32_t value) { memory_.write(PhysicalAddress(at), 4, value); };
  put(kDirectory, kTable | 3);
  for (uint32_t page = 0; page < 256; ++page) put(kTable + page * 4, page << 12 | 3);
  leader_->state().cr3 = kDirectory;
  leader_->state().cr0 |= x86::kCr0Pg;
  leader_->state_changed();
  static_cast<void>(run(5000));
  EXPECT_EQ(report_, "");
  EXPECT_EQ(ram_->data()[kTable + 8 * 4] & 0x60, 0x60);
  EXPECT_EQ(lockstep_->counters().tables, 0u);
  twin().data()[kTable + 0x40 * 4] |= 0x20;
  EXPECT_FALSE(lockstep_->compare_all());
  EXPECT_THAT(report_, HasSubstr("the manual fixes these flags"));
}

TEST_F(LockstepTest, WhatADebuggerChangesIsTakenOver) {
  static_cast<void>(run(1000));
  leader_->state().gpr[x86::kEbp] = 77;
  leader_->state_changed();
  static_cast<void>(run(1000));
  EXPECT_EQ(report_, "");
  EXPECT_EQ(lockstep_->follower().vcpu().state().gpr[x86::kEbp], 77u);
}

TEST(AccessLogTest, AnotherAccessIsADifference) {
  AccessLog log;
  log.record({.kind = AccessKind::PortRead, .address = 0x60, .size = 1, .answer = 5});
  EXPECT_THAT(log.difference(), HasSubstr("only the interpreter"));
  EXPECT_EQ(log.replay({.kind = AccessKind::PortRead, .address = 0x60, .size = 1}).answer, 5u);
  EXPECT_EQ(log.difference(), "");
  static_cast<void>(log.replay({.kind = AccessKind::PortWrite, .address = 0x60, .size = 1}));
  EXPECT_THAT(log.difference(), HasSubstr("only the translator"));
  log.clear();
  log.record({.kind = AccessKind::PortWrite, .address = 0x60, .size = 1, .written = 5});
  static_cast<void>(log.replay({.kind = AccessKind::PortWrite, .address = 0x60, .size = 1, .written = 6}));
  EXPECT_THAT(log.difference(), HasSubstr("write of 6"));
}

}  // namespace
}  // namespace vitrine::lockstep

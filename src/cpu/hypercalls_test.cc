// Each call, each error, and when an interrupt waits for the shared flag. What hostile arguments do is
// tests/fuzz/hypercalls_fuzz.cc.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cpu/test_machine.h"
#include "vitrine/hypercalls.h"

namespace vitrine::cpu {
namespace {

using x86::kEax;
using x86::kEbx;
using x86::kEcx;
using x86::kEdx;

constexpr uint32_t kShared = 0x50000;
constexpr uint32_t kArray = 0x60000;
constexpr uint32_t kFlag = kShared + VITRINE_SHARED_ENABLED;
constexpr uint32_t kPending = kShared + VITRINE_SHARED_PENDING;
constexpr uint32_t kVersion = kShared + VITRINE_SHARED_VERSION;
constexpr uint32_t kTime = kShared + VITRINE_SHARED_TIME;

uint32_t error(int number) {
  return static_cast<uint32_t>(number);
}

class Hypercalls : public testing::Test {
 protected:
  explicit Hypercalls(std::string_view model = "max") : m(TestMode::Protected32, model) {
    m.trap_exceptions();
  }

  uint32_t call(uint32_t number, uint32_t ebx = 0, uint32_t ecx = 0, uint32_t edx = 0) {
    m.reg(kEax) = number;
    m.reg(kEbx) = ebx;
    m.reg(kEcx) = ecx;
    m.reg(kEdx) = edx;
    m.run_code({0x0f, 0x01, 0xc1});
    EXPECT_EQ(m.exception(), -1);
    return m.reg(kEax);
  }
  void share() { EXPECT_EQ(call(VITRINE_CALL_SHARE, kShared), 0u); }
  void put_update(unsigned n, VitrinePageUpdate update) {
    m.put(kArray + n * VITRINE_UPDATE_SIZE, update.entry);
    m.put(kArray + n * VITRINE_UPDATE_SIZE + 4, update.page);
    m.put(kArray + n * VITRINE_UPDATE_SIZE + 8, update.value);
  }
  static uint32_t entry_of(uint32_t linear) {
    return TestMachine::kPageDirectory + 0x1000 + (linear >> kPageShift) * 4;
  }
  void request(uint8_t vector) {
    m.bus.interrupts.push_back(vector);
    m.cpu->set_interrupt_request(true);
  }

  struct Device : memory::MemoryDevice {
    uint64_t read_memory(uint64_t /*offset*/, unsigned /*size*/) override { return 0; }
    void write_memory(uint64_t /*offset*/, unsigned /*size*/, uint64_t /*value*/) override {}
  } device;
  TestMachine m;
};

TEST_F(Hypercalls, AreDiscovered) {
  m.reg(kEax) = VITRINE_CPUID_SIGNATURE;
  m.run_code({0x0f, 0xa2});
  EXPECT_EQ(m.reg(kEax), uint32_t{VITRINE_CPUID_CALLS});
  std::string signature(12, 0);
  for (const auto& [at, reg] : {std::pair{0, kEbx}, {4, kEcx}, {8, kEdx}})
    std::memcpy(signature.data() + at, &m.reg(reg), 4);
  EXPECT_EQ(signature, std::string("VitrineVM\0\0\0", 12));
  m.reg(kEax) = VITRINE_CPUID_CALLS;
  m.run_code({0x0f, 0xa2});
  EXPECT_EQ(m.reg(kEax), uint32_t{VITRINE_CALLS_VERSION});
  EXPECT_EQ(m.reg(kEbx), 0xffu);
}

TEST_F(Hypercalls, NothingAndTheUnknown) {
  m.reg(x86::kEsi) = 7;
  m.state().eflags = 0x8d7;
  EXPECT_EQ(call(VITRINE_CALL_NOTHING, 1, 2, 3), uint32_t{VITRINE_CALLS_VERSION});
  EXPECT_EQ(m.reg(kEbx), 1u);
  EXPECT_EQ(m.reg(kEcx), 2u);
  EXPECT_EQ(m.reg(kEdx), 3u);
  EXPECT_EQ(m.reg(x86::kEsi), 7u);
  EXPECT_EQ(m.state().eflags, 0x8d7u);
  for (const uint32_t number : {uint32_t{VITRINE_CALL_COUNT}, 0x80000000u, 0xffffffffu})
    EXPECT_EQ(call(number), error(VITRINE_ERROR_CALL));
}

TEST_F(Hypercalls, ExistForKernelsInProtectedModeOnly) {
  for (const uint8_t level : {1, 2, 3}) {
    TestMachine user;
    user.enter_user();
    user.state().cpl = level;
    user.run_code({0x0f, 0x01, 0xc1});
    EXPECT_EQ(user.state().activity, Activity::Shutdown);  // no TSS for the #UD
    EXPECT_EQ(user.reg(kEax), 0u);
  }
  TestMachine real(TestMode::Real);
  real.put<uint32_t>(6 * 4, 0x30006);
  real.put<uint8_t>(0x30006, 0xf4);
  real.put<uint16_t>(6 * 4, 0x100);
  real.put<uint16_t>(6 * 4 + 2, 0x3000);
  real.put<uint8_t>(0x30100, 0xf4);
  real.run_code({0x0f, 0x01, 0xc1});
  EXPECT_EQ(real.state().segments[x86::kCs].selector, 0x3000);
  TestMachine sixteen(TestMode::Protected16);
  sixteen.run_code({0x0f, 0x01, 0xc1});
  EXPECT_EQ(sixteen.reg(kEax), uint32_t{VITRINE_CALLS_VERSION});
}

class WithoutHypercalls : public Hypercalls, public testing::WithParamInterface<const char*> {
 protected:
  WithoutHypercalls() : Hypercalls(GetParam()) {}
};

TEST_P(WithoutHypercalls, TheInstructionIsInvalidAndTheLeafIsNotThere) {
  m.run_code({0x0f, 0x01, 0xc1});
  EXPECT_EQ(m.exception(), 6);
  m.reg(kEax) = VITRINE_CPUID_CALLS;
  m.run_code({0x0f, 0xa2});
  EXPECT_NE(m.reg(kEbx), 0xffu);
}
INSTANTIATE_TEST_SUITE_P(Models, WithoutHypercalls,
                         testing::Values("max,-hypercalls", "max,-hypervisor", "pentium3"));

TEST_F(Hypercalls, PageTablesAreWrittenAndForgotten) {
  m.enable_paging();
  put_update(0, {entry_of(0x200000), 0x200000 | VITRINE_UPDATE_FORGET, 0x70007});
  put_update(1, {entry_of(0x201000), 0x201000, 0x71007});
  m.put<uint32_t>(0x70000, 0x1111);
  m.put<uint32_t>(0x71000, 0x2222);
  m.reg(kEax) = VITRINE_CALL_PAGE_TABLES;
  m.reg(kEbx) = kArray;
  m.reg(kEcx) = 2;
  m.reg(kEdx) = VITRINE_FORGET_NOTHING;
  m.run_code({0x8b, 0x35, 0,    0,    0x20, 0,    // mov esi, [200000h]: both in the look-aside buffer
              0x8b, 0x35, 0,    0x10, 0x20, 0,    // mov esi, [201000h]
              0x0f, 0x01, 0xc1,                   // vmcall
              0x8b, 0x35, 0,    0,    0x20, 0,    // mov esi, [200000h]
              0x8b, 0x3d, 0,    0x10, 0x20, 0});  // mov edi, [201000h]: not forgotten
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(kEax), 0u);
  EXPECT_EQ(m.reg(kEcx), 2u);
  EXPECT_EQ(m.reg(x86::kEsi), 0x1111u);
  EXPECT_EQ(m.reg(x86::kEdi), 0u);
  EXPECT_EQ(m.page(0x201000), 0x71007u);
}

TEST_F(Hypercalls, PageTablesForgetAllAtTheEnd) {
  for (const uint32_t what : {VITRINE_FORGET_NON_GLOBAL, VITRINE_FORGET_ALL}) {
    TestMachine own;
    own.trap_exceptions();
    own.enable_paging();
    own.state().cr4 |= x86::kCr4Pge;
    own.set_page(0x200000, 0x200107);  // global
    own.put<uint32_t>(0x70000, 0x1111);
    own.put<uint32_t>(kArray, entry_of(0x200000));
    own.put<uint32_t>(kArray + 4, 0x200000);
    own.put<uint64_t>(kArray + 8, 0x70107);
    own.reg(kEax) = VITRINE_CALL_PAGE_TABLES;
    own.reg(kEbx) = kArray;
    own.reg(kEcx) = 1;
    own.reg(kEdx) = what;
    own.run_code({0x8b, 0x35, 0, 0, 0x20, 0, 0x0f, 0x01, 0xc1, 0x8b, 0x35, 0, 0, 0x20, 0});
    EXPECT_EQ(own.exception(), -1);
    EXPECT_EQ(own.reg(x86::kEsi), what == VITRINE_FORGET_ALL ? 0x1111u : 0u);
  }
}

TEST_F(Hypercalls, PageTablesRefuseWhatMakesNoSense) {
  put_update(0, {0x70000, 0, 0x1234});
  put_update(1, {0x70008, VITRINE_UPDATE_WIDE, 0x1122334455667788});
  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, 2), 0u);
  EXPECT_EQ(m.at<uint64_t>(0x70008), 0x1122334455667788u);
  EXPECT_EQ(m.at<uint32_t>(0x70000), 0x1234u);

  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, VITRINE_MOST_UPDATES + 1), error(VITRINE_ERROR_ARGUMENT));
  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, 1, 3), error(VITRINE_ERROR_ARGUMENT));
  EXPECT_EQ(m.reg(kEcx), 0u);
  const VitrinePageUpdate bad[] = {{0x70002, 0, 1},                    // not aligned
                                   {0x7000c, VITRINE_UPDATE_WIDE, 1},  // not aligned
                                   {0x70004, 4, 1},                    // a flag that there is not
                                   {0x70004, 0, uint64_t{1} << 32}};   // does not fit
  for (const VitrinePageUpdate& update : bad) {
    put_update(1, update);
    EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, 3), error(VITRINE_ERROR_ARGUMENT));
    EXPECT_EQ(m.reg(kEcx), 1u);
    EXPECT_EQ(m.at<uint32_t>(0x70004), 0u);
  }
}

TEST_F(Hypercalls, PageTablesThatAreNotThereAreAnError) {
  m.enable_paging();
  m.state().cr0 |= x86::kCr0Wp;
  m.set_page(0x80000, 0);
  m.set_page(0x81000, 0x81001);  // read-only
  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, 0x80000, 1), error(VITRINE_ERROR_ADDRESS));
  put_update(0, {0x81000, 0, 5});
  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, 1), error(VITRINE_ERROR_ADDRESS));
  EXPECT_EQ(m.at<uint32_t>(0x81000), 0u);
  put_update(0, {0xfffffffc, 0, 5});
  EXPECT_EQ(call(VITRINE_CALL_PAGE_TABLES, kArray, 1), error(VITRINE_ERROR_ADDRESS));
  EXPECT_EQ(m.state().cr2, 0u);
}

TEST_F(Hypercalls, Switch) {
  m.enable_paging();
  m.put<uint32_t>(0x200000, (TestMachine::kPageDirectory + 0x1000) | 7);  // another directory
  EXPECT_EQ(call(VITRINE_CALL_SWITCH, 0x200000), 0u);
  EXPECT_EQ(m.state().cr3, 0x200000u);
  // Reserved bits in a PDPTE, where MOV to CR3 has #GP.
  m.state().cr4 |= x86::kCr4Pae;
  m.state().pdptes[0] = 0x202001;
  m.put<uint64_t>(0x202000, 0x83);
  m.put<uint64_t>(0x201000, 0x1e1);
  EXPECT_EQ(call(VITRINE_CALL_SWITCH, 0x201000), error(VITRINE_ERROR_ARGUMENT));
  EXPECT_EQ(m.state().cr3, 0x200000u);
}

TEST_F(Hypercalls, ShareAPage) {
  m.bus.ticks = 77;
  m.put<uint32_t>(kPending, 5);
  share();
  EXPECT_EQ(m.at<uint32_t>(kFlag), 1u);
  EXPECT_EQ(m.at<uint32_t>(kPending), 0u);
  EXPECT_EQ(m.at<uint64_t>(kTime), 77u);
  // Not aligned; nothing there; half of the last page.
  for (const uint32_t bad : {kShared + 4, TestMachine::kRamSize + 0u, 0xfffff000u})
    EXPECT_EQ(call(VITRINE_CALL_SHARE, bad), error(VITRINE_ERROR_ADDRESS));
  EXPECT_EQ(m.state().shared_page, kShared);
  EXPECT_EQ(call(VITRINE_CALL_SHARE, VITRINE_SHARE_NOTHING), 0u);
  EXPECT_EQ(m.state().shared_page, kNoSharedPage);
  share();
  m.cpu->reset();
  EXPECT_EQ(m.state().shared_page, kNoSharedPage);
}

TEST_F(Hypercalls, SharedRomIsNoPage) {
  auto rom = memory::RamBlock::create("rom", kPageSize).value();
  m.map.add(memory::Placement::rom(PhysicalAddress(0x800000), kPageSize, *rom, 0));
  EXPECT_EQ(call(VITRINE_CALL_SHARE, 0x800000), error(VITRINE_ERROR_ADDRESS));
  // Read from here and written to there, as firmware shadows itself.
  m.map.add({.start = PhysicalAddress(0x801000),
             .size = kPageSize,
             .read_block = rom.get(),
             .write_block = m.ram.get()});
  EXPECT_EQ(call(VITRINE_CALL_SHARE, 0x801000), error(VITRINE_ERROR_ADDRESS));
}

TEST_F(Hypercalls, ClockIsTheTimeOfAllClocks) {
  m.bus.ticks = 0x1'2345'6789;
  m.state().tsc_offset = 1000;  // of RDTSC alone
  EXPECT_EQ(call(VITRINE_CALL_CLOCK), 0u);
  EXPECT_EQ(m.reg(kEcx), 0x23456789u);
  EXPECT_EQ(m.reg(kEdx), 1u);
  share();
  const uint32_t version = m.at<uint32_t>(kVersion);
  m.bus.ticks += 5;
  EXPECT_EQ(call(VITRINE_CALL_CLOCK), 0u);
  EXPECT_EQ(m.at<uint64_t>(kTime), 0x1'2345'678eu);
  EXPECT_NE(m.at<uint32_t>(kVersion), version);
}

TEST_F(Hypercalls, ConsoleIsBounded) {
  EXPECT_EQ(call(VITRINE_CALL_CONSOLE, kArray, 3), error(VITRINE_ERROR_NO_CONSOLE));
  m.bus.has_console = true;
  m.enable_paging();
  std::string text;
  for (uint32_t n = 0; n < VITRINE_MOST_TEXT; ++n) text += static_cast<char>('a' + n % 26);
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  m.write(kArray + 100, std::span(bytes, text.size()));  // over two pages
  EXPECT_EQ(call(VITRINE_CALL_CONSOLE, kArray + 100, VITRINE_MOST_TEXT), 0u);
  EXPECT_EQ(m.reg(kEcx), uint32_t{VITRINE_MOST_TEXT});
  EXPECT_EQ(m.bus.console, text);
  EXPECT_EQ(call(VITRINE_CALL_CONSOLE, kArray, 0), 0u);
  EXPECT_EQ(call(VITRINE_CALL_CONSOLE, kArray, VITRINE_MOST_TEXT + 1), error(VITRINE_ERROR_ARGUMENT));
  m.set_page(kArray + kPageSize, 0);
  EXPECT_EQ(call(VITRINE_CALL_CONSOLE, kArray + kPageSize - 4, 8), error(VITRINE_ERROR_ADDRESS));
  EXPECT_EQ(m.reg(kEcx), 0u);
  EXPECT_EQ(m.bus.console, text);
}

// --- Interrupts and the shared flag. The handlers are HLTs.

TEST_F(Hypercalls, AnInterruptWaitsForTheCallAndNotForTheFlag) {
  share();
  m.bus.ticks = 42;
  m.put<uint32_t>(kFlag, 0);
  m.state().eflags |= x86::kIf;
  request(0x40);
  m.reg(kEax) = VITRINE_CALL_INTERRUPTS;
  m.run_code({0x8b, 0x35, 4,    0,   5, 0,              // mov esi, [pending]
              0xc7, 0x05, 0,    0,   5, 0, 1, 0, 0, 0,  // mov dword [flag], 1: nothing happens
              0x47, 0x47,                               // inc edi; inc edi
              0x0f, 0x01, 0xc1, 0x47});                 // vmcall: now
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.reg(x86::kEsi), 1u);
  EXPECT_EQ(m.reg(x86::kEdi), 2u);
  EXPECT_EQ(m.reg(kEax), 0u);
  EXPECT_EQ(m.at<uint32_t>(kPending), 0u);
  EXPECT_EQ(m.at<uint64_t>(kTime), 42u);
  EXPECT_FALSE(m.state().interrupt_held);
}

TEST_F(Hypercalls, TheCallWithoutTheFlagHoldsTheInterruptAgain) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.state().eflags |= x86::kIf;
  request(0x40);
  m.reg(kEax) = VITRINE_CALL_INTERRUPTS;
  m.run_code({0x0f, 0x01, 0xc1, 0x47});
  EXPECT_EQ(m.exception(), -1);
  EXPECT_EQ(m.reg(x86::kEdi), 1u);
  EXPECT_EQ(m.at<uint32_t>(kPending), 1u);
  EXPECT_TRUE(m.state().interrupt_held);
}

TEST_F(Hypercalls, BothFlagsHaveToBeSet) {
  share();
  request(0x40);
  m.reg(kEax) = VITRINE_CALL_INTERRUPTS;
  m.run_code({0x0f, 0x01, 0xc1, 0x47,  // vmcall with IF off; inc edi
              0xfb, 0x47, 0x47});      // sti; inc edi; then it comes
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.reg(x86::kEdi), 2u);
}

// With IF off nobody looks at the shared flag: what it is when IF comes on counts.
TEST_F(Hypercalls, TheFlagIsLookedAtWhenTheRealOneComesOn) {
  for (const bool on : {false, true}) {
    TestMachine own;
    own.trap_exceptions();
    own.bus.interrupts.push_back(0x40);
    own.cpu->set_interrupt_request(true);
    own.reg(kEax) = VITRINE_CALL_SHARE;
    own.reg(kEbx) = kShared;
    own.run_code({0x0f, 0x01, 0xc1,  // vmcall
                  0xc7, 0x05, 0,    0, 5, 0,    0,
                  0,    0,    0,  // mov dword [flag], 0
                  0xc7, 0x05, 0,    0, 5, 0,    static_cast<uint8_t>(on),
                  0,    0,    0,                         // mov dword [flag], on
                  0x68, 2,    2,    0, 0, 0x9d, 0x47});  // push 202h; popf; inc edi
    EXPECT_EQ(own.exception(), on ? 0x40 : -1);
    EXPECT_EQ(own.reg(x86::kEdi), on ? 0u : 1u);
    EXPECT_EQ(own.at<uint32_t>(kPending), on ? 0u : 1u);
  }
}

TEST_F(Hypercalls, NonMaskableInterruptsAndExceptionsDoNotCare) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.state().eflags |= x86::kIf;
  m.run_code({0xcd, 0x21});
  EXPECT_EQ(m.exception(), 0x21);
  m.cpu->raise_nmi();
  m.run_code({0x47});
  EXPECT_EQ(m.exception(), 2);
}

TEST_F(Hypercalls, HaltSetsBothFlags) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.reg(kEax) = VITRINE_CALL_HALT;
  m.load_code({0x0f, 0x01, 0xc1, 0x47});
  EXPECT_EQ(m.run().reason, ExitReason::Halted);
  EXPECT_EQ(m.state().eip, TestMachine::kCode + 3);
  EXPECT_EQ(m.at<uint32_t>(kFlag), 1u);
  EXPECT_NE(m.state().eflags & x86::kIf, 0u);
  request(0x40);
  static_cast<void>(m.cpu->run(10));
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode + 3);
}

TEST_F(Hypercalls, HaltTakesWhatWaits) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.state().eflags |= x86::kIf;
  request(0x40);
  m.reg(kEax) = VITRINE_CALL_HALT;
  m.run_code({0x47, 0x0f, 0x01, 0xc1, 0x47});
  EXPECT_EQ(m.exception(), 0x40);
  EXPECT_EQ(m.reg(x86::kEdi), 1u);
}

TEST_F(Hypercalls, WithoutThePageTheFlagIsOn) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.map.add(memory::Placement::mmio(PhysicalAddress(kShared), kPageSize, device, 0, 5));
  m.state().eflags |= x86::kIf;
  request(0x40);
  m.run_code({0x47});
  EXPECT_EQ(m.exception(), 0x40);
}

TEST_F(Hypercalls, StateIsSavedWithThePage) {
  share();
  m.put<uint32_t>(kFlag, 0);
  m.state().eflags |= x86::kIf;
  request(0x40);
  m.run_code({0x47});
  StateArchive saved;
  m.cpu->serialize(saved);
  TestMachine other;
  StateArchive loading(saved.data());
  other.cpu->serialize(loading);
  ASSERT_TRUE(loading.status().has_value());
  EXPECT_EQ(other.state().shared_page, kShared);
  EXPECT_TRUE(other.state().interrupt_held);
}

}  // namespace
}  // namespace vitrine::cpu

#include "debug/gdb_registers.h"

#include <gtest/gtest.h>

#include <map>

#include "x86/control_registers.h"
#include "x86/descriptors.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::debug {
namespace {

constexpr uint32_t kGdt = 0x5000;

unsigned number_of(std::string_view name) {
  for (unsigned number = 0; number < kRegisterCount; ++number) {
    if (register_rows()[number].name == name) return number;
  }
  ADD_FAILURE() << "no register " << name;
  return 0;
}

std::vector<uint8_t> bytes_of(uint64_t value, size_t size = 4) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return bytes;
}

class GdbRegisters : public testing::Test {
 protected:
  std::expected<void, GdbError> write(std::string_view name, const std::vector<uint8_t>& bytes) {
    return write_register(state, number_of(name), bytes,
                          [this](VirtualAddress at) -> std::optional<uint64_t> {
                            const auto found = memory.find(at.value);
                            if (found == memory.end()) return std::nullopt;
                            return found->second;
                          });
  }
  std::vector<uint8_t> read(std::string_view name) { return read_register(state, number_of(name)); }

  void enter_protected_mode() {
    state.cr0 = x86::kCr0Pe;
    state.gdtr = {.base = kGdt, .limit = 0x2f};
    memory[kGdt + 0x08] = x86::make_segment(0, 0xffffffff, x86::kCodeSegment | x86::kFlat32).raw();
    memory[kGdt + 0x10] = x86::make_segment(0x12340000, 0xffff, x86::kDataSegment).raw();
    memory[kGdt + 0x18] = x86::make_segment(0, 0xffffffff, x86::kCodeSegment | x86::kFlat32 | 3u << 13).raw();
    memory[kGdt + 0x20] = x86::make_segment(0, 0xffffffff, x86::kDataSegment | x86::kFlat32 | 3u << 13).raw();
    // 28h is within the limit, and not there.
  }

  cpu::CpuState state;
  std::map<uint32_t, uint64_t> memory;
};

TEST_F(GdbRegisters, TheNumbersThatGdbHasFixed) {
  const std::map<std::string_view, unsigned> fixed = {
      {"eax", 0},    {"ecx", 1},    {"edx", 2},   {"ebx", 3},    {"esp", 4},    {"ebp", 5},
      {"esi", 6},    {"edi", 7},    {"eip", 8},   {"eflags", 9}, {"cs", 10},    {"ss", 11},
      {"ds", 12},    {"es", 13},    {"fs", 14},   {"gs", 15},    {"st0", 16},   {"st7", 23},
      {"fctrl", 24}, {"fstat", 25}, {"ftag", 26}, {"fiseg", 27}, {"fioff", 28}, {"foseg", 29},
      {"fooff", 30}, {"fop", 31},   {"xmm0", 32}, {"xmm7", 39},  {"mxcsr", 40},
  };
  for (const auto& [name, number] : fixed) EXPECT_EQ(number_of(name), number) << name;
}

TEST_F(GdbRegisters, EveryRegisterHasItsSizeAndCanBeWrittenBack) {
  for (unsigned number = 0; number < kRegisterCount; ++number) {
    const auto bytes = read_register(state, number);
    EXPECT_EQ(bytes.size(), register_rows()[number].size);
    const cpu::CpuState before = state;
    EXPECT_TRUE(write_register(state, number, bytes, {})) << register_rows()[number].name;
    EXPECT_EQ(read_register(before, number), read_register(state, number));
    EXPECT_FALSE(write_register(state, number, std::vector<uint8_t>(3), {}));
  }
}

TEST_F(GdbRegisters, GeneralRegistersAreLittleEndian) {
  ASSERT_TRUE(write("esi", {1, 2, 3, 4}));
  EXPECT_EQ(state.gpr[x86::kEsi], 0x04030201u);
  state.gpr[x86::kEdi] = 0xaabbccdd;
  EXPECT_EQ(read("edi"), (std::vector<uint8_t>{0xdd, 0xcc, 0xbb, 0xaa}));
}

TEST_F(GdbRegisters, EflagsKeepVmAndTheFixedBits) {
  ASSERT_TRUE(write("eflags", bytes_of(0xffffffff)));
  EXPECT_EQ(state.eflags, x86::kFlagsDefined & ~x86::kVm);
  state.eflags |= x86::kVm;
  ASSERT_TRUE(write("eflags", bytes_of(0)));
  EXPECT_EQ(state.eflags, x86::kVm | x86::kFlagsFixed);
}

TEST_F(GdbRegisters, AJumpWakesAHaltedProcessor) {
  state.eip = 0x1000;
  state.activity = cpu::Activity::Halted;
  ASSERT_TRUE(write("eip", bytes_of(0x1000)));
  EXPECT_EQ(state.activity, cpu::Activity::Halted);
  ASSERT_TRUE(write("eip", bytes_of(0x2000)));
  EXPECT_EQ(state.activity, cpu::Activity::Running);
  EXPECT_EQ(state.eip, 0x2000u);
}

TEST_F(GdbRegisters, AJumpDoesNotStartAProcessorThatWasNeverStarted) {
  state.activity = cpu::Activity::WaitForStartup;
  ASSERT_TRUE(write("eip", bytes_of(0x2000)));
  EXPECT_EQ(state.activity, cpu::Activity::WaitForStartup);
}

TEST_F(GdbRegisters, SegmentInRealMode) {
  state.segments[x86::kDs].limit = 0xffff;
  ASSERT_TRUE(write("ds", bytes_of(0xb800)));
  EXPECT_EQ(state.segments[x86::kDs].selector, 0xb800);
  EXPECT_EQ(state.segments[x86::kDs].base, 0xb8000u);
  EXPECT_EQ(state.segments[x86::kDs].limit, 0xffffu);
}

TEST_F(GdbRegisters, SegmentInProtectedMode) {
  enter_protected_mode();
  ASSERT_TRUE(write("fs", bytes_of(0x10)));
  EXPECT_EQ(state.segments[x86::kFs].base, 0x12340000u);
  EXPECT_EQ(state.segments[x86::kFs].limit, 0xffffu);
  EXPECT_TRUE(x86::is_writable(state.segments[x86::kFs].attributes));
  EXPECT_EQ(read("fs_base"), bytes_of(0x12340000));
  ASSERT_TRUE(write("fs", bytes_of(3)));
  EXPECT_EQ(state.segments[x86::kFs], cpu::SegmentRegister{.selector = 3});
}

TEST_F(GdbRegisters, SegmentsThatTheGuestCouldNotLoadEither) {
  enter_protected_mode();
  EXPECT_FALSE(write("cs", bytes_of(1)));     // null
  EXPECT_FALSE(write("ss", bytes_of(1)));     // null
  EXPECT_FALSE(write("cs", bytes_of(0x10)));  // data
  EXPECT_FALSE(write("ss", bytes_of(0x08)));  // code
  EXPECT_FALSE(write("cs", bytes_of(0x1b)));  // another privilege level
  EXPECT_FALSE(write("ss", bytes_of(0x23)));  // another privilege level
  EXPECT_FALSE(write("ds", bytes_of(0x28)));  // not in memory
  EXPECT_FALSE(write("ds", bytes_of(0x30)));  // behind the limit
  EXPECT_FALSE(write("ds", bytes_of(0x14)));  // no LDT
  EXPECT_EQ(state.segments, cpu::CpuState().segments);
  EXPECT_TRUE(write("cs", bytes_of(0x08)));
  state.cpl = 3;
  EXPECT_FALSE(write("ds", bytes_of(0x10)));  // more privileged
  EXPECT_TRUE(write("ds", bytes_of(0x23)));
}

TEST_F(GdbRegisters, X87RegistersCountFromTheTop) {
  state.fpu.status = 6u << 11;
  state.fpu.registers[6].fill(0x66);
  state.fpu.registers[0].fill(0x11);
  EXPECT_EQ(read("st0"), std::vector<uint8_t>(10, 0x66));
  EXPECT_EQ(read("st2"), std::vector<uint8_t>(10, 0x11));
  ASSERT_TRUE(write("st1", std::vector<uint8_t>(10, 0x77)));
  EXPECT_EQ(state.fpu.registers[7][9], 0x77);
  EXPECT_EQ(state.fpu.registers[7][10], 0);
}

TEST_F(GdbRegisters, X87ErrorSummaryFollowsTheExceptionsAndTheirMasks) {
  ASSERT_TRUE(write("fstat", bytes_of(0x8081)));
  EXPECT_EQ(state.fpu.status, 0x0001);  // masked
  ASSERT_TRUE(write("fctrl", bytes_of(0xffffff7e)));
  EXPECT_EQ(state.fpu.control, 0x1f7e);
  EXPECT_EQ(state.fpu.status, 0x8081);
}

TEST_F(GdbRegisters, ReservedBitsOfMxcsrStayClear) {
  ASSERT_TRUE(write("mxcsr", bytes_of(0xffffffff)));
  EXPECT_EQ(state.fpu.mxcsr, 0xffffu);
}

TEST_F(GdbRegisters, SystemRegistersAreShownAndNotChanged) {
  state.cr0 = 0x80000011;
  state.efer = x86::kEferNxe;
  EXPECT_EQ(read("cr0"), bytes_of(0x80000011));
  EXPECT_EQ(read("efer"), bytes_of(x86::kEferNxe, 8));
  EXPECT_TRUE(write("cr0", bytes_of(0x80000011)));
  const auto changed = write("cr0", bytes_of(0x11));
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error(), GdbError::NotPermitted);
  EXPECT_EQ(state.cr0, 0x80000011u);
}

}  // namespace
}  // namespace vitrine::debug

// Random code on a random machine: real, 16-bit and 32-bit protected mode, with and without paging,
// descriptors, gates and page tables full of surprises. The same machine runs three times: in one piece, one
// instruction at a time, and in pieces with its state saved and restored in between. All three must end the
// same.
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "base/check.h"
#include "cpu/test_machine.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

using cpu::TestMachine;
using cpu::TestMode;

constexpr unsigned kBudget = 400;

// Answers at every port, with what depends on the port only.
struct Ports : memory::PortDevice {
  uint32_t read_port(uint16_t port, unsigned /*size*/) override { return port * 0x01010101u; }
  void write_port(uint16_t port, unsigned /*size*/, uint32_t value) override {
    sum = sum * 31 + port + value;
  }
  uint32_t sum = 0;
};

// Registers of a device, for operands, stacks, tables and code that lie where no memory is.
struct Registers : memory::MemoryDevice {
  uint64_t read_memory(uint64_t offset, unsigned /*size*/) override { return offset * 0x0101010101010101; }
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override {
    sum = sum * 31 + offset + size + value;
  }
  uint64_t sum = 0;
};

constexpr uint32_t kRegisters = 0x3f0000;
constexpr uint32_t kHandlers = 0x31000;

struct Machine {
  explicit Machine(TestMode mode) : test(mode, "max,-rdrand,-rdseed") {
    test.ports.map(0, 65536, ports, memory::PortWidth::Dword);
    test.map.add(memory::Placement::mmio(PhysicalAddress(kRegisters), kPageSize, registers, 0, 1));
  }
  TestMachine test;
  Ports ports;
  Registers registers;
};

uint32_t address(FuzzInput& input) {
  static constexpr uint32_t kPlaces[] = {TestMachine::kCode,  TestMachine::kData,
                                         TestMachine::kStack, TestMachine::kGdt,
                                         TestMachine::kIdt,   TestMachine::kPageDirectory,
                                         kRegisters,          TestMachine::kRamSize - 16,
                                         0x00400000,          0,
                                         0xfffffff0,          0x7fff8};
  return input.any_of(kPlaces) + (input.flag() ? input.byte() : 0u) - (input.flag() ? 8u : 0u);
}

// Exception handlers that go on somewhere in the code, with a stack as at the start, so that one fault is not
// the end.
void make_handlers(TestMachine& test) {
  for (uint32_t vector = 0; vector < 32; ++vector) {
    const uint32_t at = kHandlers + vector * 16;
    const uint32_t target = TestMachine::kCode + vector * 37 % 512;
    test.put<uint8_t>(at, 0xbc);  // mov esp, …
    test.put<uint32_t>(at + 1, TestMachine::kStack - 0x200);
    test.put<uint8_t>(at + 5, 0xe9);  // jmp target
    test.put<uint32_t>(at + 6, target - (at + 10));
    test.set_gate(vector, at, 0xee00);
  }
}

// Descriptors of every type for the selectors behind those of TestMachine; gates lead into the code.
void make_tables(FuzzInput& input, TestMachine& test) {
  for (uint32_t selector = 0x38; selector < 0x100; selector += 8) {
    const uint8_t access = static_cast<uint8_t>(input.byte() | (input.below(8) != 0 ? 0x80 : 0));
    const bool gate = (access & 0x10) == 0 && (access & 4) != 0;
    const uint32_t where = address(input);
    const uint32_t target = gate ? input.below(0x100) << 16 : 0;
    const uint32_t low = gate ? target | (where & 0xffff) : where << 16 | 0xffff;
    const uint32_t high =
        gate ? (where & 0xffff0000) | access << 8 | input.below(4)
             : (where & 0xff000000) | (input.byte() & 0xdfu) << 16 | access << 8 | (where >> 16 & 0xff);
    test.put<uint32_t>(TestMachine::kGdt + selector, low);
    test.put<uint32_t>(TestMachine::kGdt + selector + 4, high);
  }
  test.state().gdtr.limit = input.flag() ? 0xff : 0x3f;
  test.trap_exceptions();
  if (input.below(4) != 0) make_handlers(test);
  for (unsigned vector = 0; vector < 32; ++vector) {
    if (input.below(4) != 0) continue;
    test.put<uint32_t>(TestMachine::kIdt + vector * 8, input.below(0x100) << 16 | (address(input) & 0xffff));
    test.put<uint32_t>(TestMachine::kIdt + vector * 8 + 4, input.word() | (input.flag() ? 0x8000u : 0));
  }
  // A task state segment, busy; its contents are what lies there.
  test.put<uint64_t>(TestMachine::kGdt + 0x38, 0x00008b005000'0000 | 0x1ff);
  test.state().tr = {0x38, 0x8b00, 0x5000, input.flag() ? 0x1ffu : 0x2bu};
  for (uint32_t at = 0x5000; at < 0x5068; at += 4)
    test.put<uint32_t>(at, input.flag() ? address(input) : 0x10u);
}

void make_state(FuzzInput& input, TestMachine& test) {
  cpu::CpuState& state = test.state();
  for (unsigned i = 0; i < x86::kGprCount; ++i) {
    state.gpr[i] = input.flag() ? address(input) : input.value();
  }
  if (input.below(4) != 0) state.gpr[x86::kEsp] = TestMachine::kStack - 0x100;
  state.eflags = (input.word() & 0x7fd5u & ~0x100u) | 2;
  if (input.below(8) == 0) state.eflags |= 0x100;    // TF
  if (input.below(8) == 0) state.eflags |= 0x40000;  // AC
  state.cr4 =
      input.dword() & (x86::kCr4Vme | x86::kCr4Pvi | x86::kCr4Tsd | x86::kCr4De | x86::kCr4Pse |
                       x86::kCr4Mce | x86::kCr4Pge | x86::kCr4Pce | x86::kCr4Osfxsr | x86::kCr4Osxmmexcpt);
  state.cr0 |= input.byte() & (x86::kCr0Mp | x86::kCr0Em | x86::kCr0Ts | x86::kCr0Ne);
  if (input.flag()) state.cr0 &= ~(x86::kCr0Em | x86::kCr0Ts);
  if (input.flag()) state.cr0 |= x86::kCr0Wp | x86::kCr0Am;
  if (input.below(8) == 0) {
    for (uint32_t& breakpoint : state.dr) breakpoint = address(input);
    state.dr7 = 0x400 | (input.dword() & 0xffff23ff);
  }
  const bool protected_mode = (state.cr0 & x86::kCr0Pe) != 0;
  if (!protected_mode) return;
  make_tables(input, test);
  if (input.flag()) test.enter_user();
  if (input.below(8) == 0) {  // virtual-8086
    state.eflags |= 1u << 17;
    state.cpl = 3;
    for (auto& segment : state.segments) segment = {0x800, 0xf300, 0x8000, 0xffff};
    state.eip = 0;
  }
  if (input.flag()) {
    test.enable_paging();
    for (unsigned i = input.below(16); i > 0; --i) test.set_page(address(input) & 0x3ff000, input.dword());
  }
}

// Everything that the input decides. Called with the same bytes it makes the same machine.
void prepare(FuzzInput input, Machine& machine) {
  TestMachine& test = machine.test;
  make_state(input, test);
  const uint32_t data = input.below(64);
  test.write(TestMachine::kData, input.bytes(data));
  test.write(TestMachine::kCode, input.bytes(1024));
  test.cpu->state_changed();
}

bool finished(cpu::ExitReason reason) {
  return reason == cpu::ExitReason::Halted || reason == cpu::ExitReason::Shutdown;
}

uint64_t run_in_pieces(Machine& machine, uint64_t budget, uint64_t piece) {
  for (uint64_t left = budget; left > 0;) {
    const uint64_t before = machine.test.cpu->executed();
    const cpu::Exit exit = machine.test.cpu->run(std::min(piece, left));
    left -= std::min(left, machine.test.cpu->executed() - before);
    if (finished(exit.reason)) break;
  }
  return machine.test.cpu->executed();
}

std::vector<uint8_t> saved(cpu::Vcpu& vcpu) {
  StateArchive archive;
  vcpu.serialize(archive);
  return archive.data();
}

void restore(cpu::Vcpu& vcpu, std::span<const uint8_t> state) {
  StateArchive archive(state);
  vcpu.serialize(archive);
  CHECK(archive.status().has_value(), "{}", archive.status().error().message());
}

// The pages that have storage. To look at the others would give them some.
std::vector<bool> touched(const memory::RamBlock& ram) {
  std::vector<bool> pages(ram.size() >> kPageShift);
  off_t at = 0;
  while ((at = ::lseek(ram.descriptor(), at, SEEK_DATA)) >= 0) {
    const off_t end = ::lseek(ram.descriptor(), at, SEEK_HOLE);
    for (; at < end; at += kPageSize) pages[static_cast<size_t>(at) >> kPageShift] = true;
  }
  return pages;
}

void compare(Machine& a, Machine& b, const char* how) {
  const cpu::CpuState& x = a.test.state();
  const cpu::CpuState& y = b.test.state();
  CHECK(x.eip == y.eip, "{}: EIP {:x} {:x}, ran {} {}", how, x.eip, y.eip, a.test.cpu->executed(),
        b.test.cpu->executed());
  CHECK(x.eflags == y.eflags, "{}: EFLAGS {:x} {:x}, EIP {:x}", how, x.eflags, y.eflags, x.eip);
  for (unsigned i = 0; i < x86::kGprCount; ++i)
    CHECK(x.gpr[i] == y.gpr[i], "{}: register {}: {:x} {:x}", how, i, x.gpr[i], y.gpr[i]);
  CHECK(x.cr2 == y.cr2 && x.dr6 == y.dr6, "{}: CR2 {:x} {:x} DR6 {:x} {:x}", how, x.cr2, y.cr2, x.dr6, y.dr6);
  CHECK(saved(*a.test.cpu) == saved(*b.test.cpu), "{}: states differ at EIP {:x}", how, x.eip);
  CHECK(a.ports.sum == b.ports.sum && a.registers.sum == b.registers.sum, "{}: devices saw different things",
        how);
  const std::vector<bool> left = touched(*a.test.ram), right = touched(*b.test.ram);
  for (uint32_t page = 0; page < left.size(); ++page) {
    if (!left[page] && !right[page]) continue;
    const uint32_t at = page * kPageSize;
    CHECK(std::memcmp(a.test.ram->data() + at, b.test.ram->data() + at, kPageSize) == 0,
          "{}: memory differs at {:x}", how, at);
  }
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (uint64_t i = 0; i < 64; ++i) all.push_back(noise(i, 1200));
  // Straight code behind the part that makes the machine, so that mutation has something sensible to break.
  const Input code = {0x89, 0xd8, 0x01, 0xc8, 0x50, 0x5b, 0x8b, 0x07, 0x89, 0x06, 0xf3, 0xa4, 0xf3, 0xab,
                      0xe2, 0xfe, 0x0f, 0xb6, 0xc0, 0x0f, 0xa2, 0xd9, 0xe8, 0xde, 0xc1, 0xdb, 0x3e, 0x0f,
                      0x58, 0xc1, 0x66, 0x0f, 0xfe, 0x07, 0xcd, 0x03, 0xcf, 0xcb, 0x9a, 0x00, 0x00, 0x48,
                      0x00, 0xea, 0x00, 0x80, 0x18, 0x00, 0x0f, 0x01, 0x16, 0x0f, 0x22, 0xc0, 0x0f, 0x20,
                      0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0x0f, 0x30, 0x0f, 0x32, 0xe4, 0x60, 0xe6, 0x70, 0x6c,
                      0x6e, 0xf4, 0x9c, 0x9d, 0xfb, 0xfa, 0xc8, 0x10, 0x00, 0x03, 0xc9, 0x0f, 0x00, 0xd8,
                      0x0f, 0xc7, 0x0f, 0xf0, 0x0f, 0xb1, 0x0f, 0xc6, 0x07, 0x90, 0xeb, 0xfe};
  for (uint64_t i = 0; i < 32; ++i) {
    Input input = noise(1000 + i, 400);
    input.insert(input.end(), code.begin() + static_cast<std::ptrdiff_t>(i), code.end());
    all.push_back(input);
  }
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  FuzzInput input(data, size);
  const auto mode = static_cast<TestMode>(input.below(3));
  const uint64_t piece = 1 + input.below(50);
  Machine whole(mode), stepped(mode), moved(mode);
  for (Machine* machine : {&whole, &stepped, &moved}) prepare(input, *machine);

  const uint64_t executed = run_in_pieces(whole, kBudget, kBudget);
  CHECK(run_in_pieces(stepped, kBudget, 1) == executed, "{} instructions one by one, {} at once",
        stepped.test.cpu->executed(), executed);
  compare(whole, stepped, "one by one");

  // A state that a processor has reached can be restored, and the processor goes on from it as if nothing had
  // been.
  const uint64_t before = std::min<uint64_t>(piece, kBudget);
  run_in_pieces(moved, before, before);
  const std::vector<uint8_t> state = saved(*moved.test.cpu);
  moved.test.cpu->reset();
  restore(*moved.test.cpu, state);
  CHECK(saved(*moved.test.cpu) == state, "a restored state is another");
  run_in_pieces(moved, kBudget - before, kBudget);
  compare(whole, moved, "saved and restored");
  return 0;
}

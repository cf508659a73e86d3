// Calls of a hostile kernel: any number, pointers to anything and to nothing, page tables that the calls
// themselves take away, the shared page over code, page tables and devices, and interrupts meanwhile. The
// same machine runs in one piece and one instruction at a time with its state saved and restored in between;
// both must end the same.
#include <cstring>

#include "base/check.h"
#include "cpu/test_machine.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"
#include "vitrine/hypercalls.h"

namespace vitrine::fuzz {
namespace {

using cpu::TestMachine;

constexpr uint32_t kRegisters = 0x3f0000;
constexpr uint32_t kArrays = 0x50000;
constexpr uint32_t kShared = 0x60000;
constexpr uint8_t kVector = 0x40;
constexpr unsigned kBudget = 400;

struct Registers : memory::MemoryDevice {
  uint64_t read_memory(uint64_t offset, unsigned /*size*/) override { return offset * 0x0101010101010101; }
  void write_memory(uint64_t offset, unsigned size, uint64_t value) override {
    sum = sum * 31 + offset + size + value;
  }
  uint64_t sum = 0;
};

uint32_t address(FuzzInput& input) {
  static constexpr uint32_t kPlaces[] = {kArrays,
                                         kShared,
                                         TestMachine::kCode,
                                         TestMachine::kPageDirectory,
                                         TestMachine::kPageDirectory + 0x1000,
                                         TestMachine::kPageDirectory + 0x1000 + (kShared >> kPageShift) * 4,
                                         TestMachine::kStack - 0x100,
                                         TestMachine::kRamSize - 16,
                                         kRegisters,
                                         0x00800000,
                                         0xfffffff0,
                                         VITRINE_SHARE_NOTHING};
  return input.any_of(kPlaces) + (input.flag() ? input.byte() : 0u) * (input.flag() ? 16 : 1);
}

uint32_t argument(FuzzInput& input) {
  return input.flag() ? address(input) : input.value();
}

class Code {
 public:
  explicit Code(TestMachine& test) : test_(test) {}
  void bytes(std::initializer_list<uint8_t> values) {
    test_.write(at_, values);
    at_ += static_cast<uint32_t>(values.size());
  }
  void dword(uint32_t value) {
    test_.put(at_, value);
    at_ += 4;
  }

 private:
  TestMachine& test_;
  uint32_t at_ = TestMachine::kCode;
};

void make_call(FuzzInput& input, Code& code) {
  const uint32_t number = input.below(8) != 0 ? input.below(VITRINE_CALL_COUNT) : input.value();
  const uint32_t count = input.below(4) != 0 ? input.below(8) : input.value();
  const uint32_t third = input.below(4) != 0 ? input.below(4) : input.value();
  const uint32_t values[] = {number, count, third, argument(input)};  // EAX, ECX, EDX, EBX
  for (uint8_t n = 0; n < 4; ++n) {
    code.bytes({static_cast<uint8_t>(0xb8 + n)});
    code.dword(values[n]);
  }
  code.bytes({0x0f, 0x01, 0xc1});
}

void make_code(FuzzInput& input, TestMachine& test) {
  Code code(test);
  for (unsigned n = 0; n < 16; ++n) {
    switch (input.below(8)) {
      case 0: code.bytes({0xfa}); break;
      case 1: code.bytes({0xfb}); break;
      case 2:  // push imm32; popf
        code.bytes({0x68});
        code.dword(input.flag() ? 0x202 : 2);
        code.bytes({0x9d});
        break;
      case 3:  // mov dword [flag], imm32
        code.bytes({0xc7, 0x05});
        code.dword(kShared + VITRINE_SHARED_ENABLED);
        code.dword(input.below(2));
        break;
      default: make_call(input, code);
    }
  }
  code.bytes({0xf4});
}

void make_arrays(FuzzInput& input, TestMachine& test) {
  for (uint32_t n = 0; n < 16; ++n) {
    test.put(kArrays + n * VITRINE_UPDATE_SIZE, argument(input) & (input.below(4) != 0 ? ~7u : ~0u));
    test.put(kArrays + n * VITRINE_UPDATE_SIZE + 4, argument(input));
    test.put(kArrays + n * VITRINE_UPDATE_SIZE + 8,
             uint64_t{argument(input)} | (input.below(8) == 0 ? 1ull << 40 : 0));
  }
}

struct Machine {
  explicit Machine(FuzzInput input) : test(cpu::TestMode::Protected32, "max,-rdrand,-rdseed") {
    test.map.add(memory::Placement::mmio(PhysicalAddress(kRegisters), kPageSize, registers, 0, 1));
    test.trap_exceptions();
    test.put<uint16_t>(TestMachine::kHandlers + kVector, 0xcf45);  // inc ebp; iret
    test.bus.has_console = input.flag();
    if (input.flag()) test.enable_paging();
    if (input.flag()) test.state().cr4 |= x86::kCr4Pge;
    if (input.flag()) test.state().cr0 |= x86::kCr0Wp;
    make_arrays(input, test);
    make_code(input, test);
    test.bus.interrupts.assign(input.below(4), kVector);
    test.cpu->state_changed();
    test.cpu->set_interrupt_request(!test.bus.interrupts.empty());
  }
  TestMachine test;
  Registers registers;
};

void save_and_restore(Machine& machine) {
  StateArchive saved;
  machine.test.cpu->serialize(saved);
  StateArchive loading(saved.data());
  machine.test.cpu->serialize(loading);
  CHECK(loading.status().has_value());
  machine.test.cpu->set_interrupt_request(!machine.test.bus.interrupts.empty());
}

void run_whole(Machine& machine) {
  for (unsigned done = 0; done < kBudget;) {
    const uint64_t before = machine.test.cpu->executed();
    const cpu::Exit exit = machine.test.cpu->run(kBudget - done);
    done += static_cast<unsigned>(machine.test.cpu->executed() - before);
    if (exit.reason != cpu::ExitReason::Kicked) return;
  }
}

void run_in_steps(Machine& machine) {
  for (unsigned done = 0; done < kBudget; ++done) {
    const cpu::Exit exit = machine.test.cpu->run(1);
    if (exit.reason == cpu::ExitReason::Halted || exit.reason == cpu::ExitReason::Shutdown) return;
    // What the processor has cached of translations goes by this, which the guest could see.
    if (!machine.test.state().interrupt_held && (machine.test.state().cr0 & x86::kCr0Pg) == 0)
      save_and_restore(machine);
  }
}

void compare(Machine& a, Machine& b) {
  const cpu::CpuState& x = a.test.state();
  const cpu::CpuState& y = b.test.state();
  CHECK(x.gpr == y.gpr && x.eip == y.eip && x.eflags == y.eflags, "{:x} {:x}", x.eip, y.eip);
  CHECK(x.cr0 == y.cr0 && x.cr2 == y.cr2 && x.cr3 == y.cr3 && x.activity == y.activity);
  CHECK(x.shared_page == y.shared_page && x.interrupt_held == y.interrupt_held);
  CHECK(a.registers.sum == b.registers.sum && a.test.bus.console == b.test.bus.console);
  CHECK(std::memcmp(a.test.ram->data(), b.test.ram->data(), TestMachine::kRamSize) == 0);
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> seeds;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    Input input(600);
    uint32_t state = seed * 2654435761u;
    for (uint8_t& byte : input) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    seeds.push_back(input);
  }
  return seeds;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine::fuzz;
  const FuzzInput input(data, size);
  Machine whole(input), stepped(input);
  run_whole(whole);
  run_in_steps(stepped);
  compare(whole, stepped);
  return 0;
}

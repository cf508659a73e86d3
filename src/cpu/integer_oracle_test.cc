// The host as the oracle: register forms of the integer instructions mean the same in 64-bit mode, so the
// host executes them natively and must agree with the interpreter on every register and every flag, the
// undefined ones included.
#include <fmt/format.h>
#include <sys/mman.h>

#include <random>

#include "base/mapping.h"
#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

struct Registers {
  std::array<uint64_t, 8> gpr{};
  uint64_t flags = 0;
};

class HostMachine {
 public:
  HostMachine()
      : code_(Mapping::create(kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS)
                  .value()) {}

  void execute(std::span<const uint8_t> instruction, Registers& r) {
    std::memcpy(code_.data(), instruction.data(), instruction.size());
    code_.data()[instruction.size()] = 0xc3;
    register Registers* state asm("r14") = &r;
    register uint8_t* code asm("r15") = code_.data();
    // SAFETY: the instruction touches general registers but RSP, and flags; all are saved around it.
    asm volatile(
        "subq $128, %%rsp\n\tpushq %%rbp\n\tpushq %%rbx\n\t"
        "movq (%[r]), %%rax\n\tmovq 8(%[r]), %%rcx\n\tmovq 16(%[r]), %%rdx\n\tmovq 24(%[r]), %%rbx\n\t"
        "movq 40(%[r]), %%rbp\n\tmovq 48(%[r]), %%rsi\n\tmovq 56(%[r]), %%rdi\n\t"
        "pushq 64(%[r])\n\tpopfq\n\tcall *%[code]\n\tpushfq\n\tpopq 64(%[r])\n\t"
        "movq %%rax, (%[r])\n\tmovq %%rcx, 8(%[r])\n\tmovq %%rdx, 16(%[r])\n\tmovq %%rbx, 24(%[r])\n\t"
        "movq %%rbp, 40(%[r])\n\tmovq %%rsi, 48(%[r])\n\tmovq %%rdi, 56(%[r])\n\t"
        "popq %%rbx\n\tpopq %%rbp\n\taddq $128, %%rsp"
        :
        : [r] "r"(state), [code] "r"(code)
        : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc");
  }

 private:
  Mapping code_;
};

class IntegerOracleTest : public testing::Test {
 protected:
  uint32_t random_value() {
    static constexpr uint32_t kCorners[] = {0,      1,      0x7f,       0x80,       0xff,      0x7fff,
                                            0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
    const uint32_t pick = random_();
    if (pick % 3 == 0) return kCorners[pick / 3 % std::size(kCorners)];
    return random_();
  }

  // Runs one instruction on both with the same random state.
  void compare(const std::vector<uint8_t>& bytes, uint32_t ignored = 0) {
    Registers r;
    for (unsigned i = 0; i < 8; ++i)
      machine_.state().gpr[i] = static_cast<uint32_t>(r.gpr[i] = random_value());
    machine_.state().gpr[x86::kEsp] = TestMachine::kStack;
    r.flags = (random_() & x86::kArithmeticFlags) | 2;
    machine_.state().eflags = static_cast<uint32_t>(r.flags);
    machine_.write(TestMachine::kCode, bytes);
    machine_.state().eip = TestMachine::kCode;
    machine_.cpu->state_changed();
    ASSERT_EQ(machine_.cpu->run(1).reason, ExitReason::BudgetSpent);
    host_.execute(bytes, r);
    std::string text;
    for (const uint8_t byte : bytes) text += fmt::format("{:02x} ", byte);
    ASSERT_EQ(machine_.state().eip, TestMachine::kCode + bytes.size()) << text;
    for (unsigned i = 0; i < 8; ++i) {
      if (i == x86::kEsp) continue;
      ASSERT_EQ(machine_.state().gpr[i], static_cast<uint32_t>(r.gpr[i])) << text << " register " << i;
    }
    const uint32_t compared = x86::kArithmeticFlags & ~ignored;
    ASSERT_EQ(machine_.state().eflags & compared, r.flags & compared) << text;
  }

  // All register combinations of an opcode with ModRM, in 8 bits or in 16 and 32 bits. `digit` fixes
  // ModRM.reg.
  struct Form {
    std::vector<uint8_t> opcode;
    bool byte = false;
    int digit = -1;
    unsigned immediate = 0;
    bool byte_source = false;  ///< ModRM.rm is a byte register though the destination is not.
    uint32_t ignored = 0;      ///< Flags that are undefined, and on the host differ between encodings.
  };
  void compare_all(const Form& form) {
    for (unsigned modrm = 0xc0; modrm < 0x100; ++modrm) {
      const unsigned reg = modrm >> 3 & 7, rm = modrm & 7;
      if (form.digit >= 0 && reg != static_cast<unsigned>(form.digit)) continue;
      // RSP is the host's own.
      if (!form.byte && ((form.digit < 0 && reg == 4) || (rm == 4 && !form.byte_source))) continue;
      for (const bool word : {false, true}) {
        if (word && form.byte) continue;
        for (int round = 0; round < 4; ++round) {
          std::vector<uint8_t> bytes;
          if (word) bytes.push_back(0x66);
          bytes.insert(bytes.end(), form.opcode.begin(), form.opcode.end());
          bytes.push_back(static_cast<uint8_t>(modrm));
          const unsigned immediate = form.immediate == 4 && word ? 2 : form.immediate;
          for (unsigned n = 0; n < immediate; ++n) bytes.push_back(static_cast<uint8_t>(random_()));
          ASSERT_NO_FATAL_FAILURE(compare(bytes, form.ignored));
        }
      }
    }
  }

  std::mt19937 random_{1};
  HostMachine host_;
  TestMachine machine_;
};

TEST_F(IntegerOracleTest, BinaryArithmeticAndLogic) {
  for (uint8_t operation = 0; operation < 8; ++operation) {
    const auto base = static_cast<uint8_t>(operation << 3);
    compare_all({{base}, true});
    compare_all({{static_cast<uint8_t>(base + 1)}});
    compare_all({{static_cast<uint8_t>(base + 2)}, true});
    compare_all({{static_cast<uint8_t>(base + 3)}});
    compare_all({{0x80}, true, operation, 1});
    compare_all({{0x81}, false, operation, 4});
    compare_all({{0x83}, false, operation, 1});
    for (int round = 0; round < 20; ++round) {
      const auto byte = [this] { return static_cast<uint8_t>(random_()); };
      compare({static_cast<uint8_t>(base + 4), byte()});
      compare({static_cast<uint8_t>(base + 5), byte(), byte(), byte(), byte()});
      compare({0x66, static_cast<uint8_t>(base + 5), byte(), byte()});
    }
  }
  compare_all({{0x84}, true});
  compare_all({{0x85}});
}

TEST_F(IntegerOracleTest, OneOperand) {
  compare_all({{0xf6}, true, 0, 1});
  compare_all({{0xf7}, false, 0, 4});
  for (const int digit : {2, 3, 4, 5}) {
    compare_all({{0xf6}, true, digit});
    compare_all({{0xf7}, false, digit});
  }
  for (const int digit : {0, 1}) {
    compare_all({{0xfe}, true, digit});
    compare_all({{0xff}, false, digit});
  }
}

TEST_F(IntegerOracleTest, ShiftsAndRotates) {
  for (int digit = 0; digit < 8; ++digit) {
    // OF is defined for a count of one only; the interpreter always shifts by CL.
    compare_all({{0xc0}, true, digit, 1, false, x86::kOf});
    compare_all({{0xc1}, false, digit, 1, false, x86::kOf});
    compare_all({{0xd0}, true, digit});
    compare_all({{0xd1}, false, digit});
    compare_all({{0xd2}, true, digit});
    compare_all({{0xd3}, false, digit});
  }
  compare_all({{0x0f, 0xa4}, false, -1, 1, false, x86::kOf});
  compare_all({{0x0f, 0xa5}});
  compare_all({{0x0f, 0xac}, false, -1, 1, false, x86::kOf});
  compare_all({{0x0f, 0xad}});
}

TEST_F(IntegerOracleTest, Moves) {
  for (const uint8_t opcode : {0x86, 0x88, 0x8a}) {
    compare_all({{opcode}, true});
    compare_all({{static_cast<uint8_t>(opcode + 1)}});
  }
  for (const uint8_t opcode : {0xb6, 0xbe}) {
    compare_all({{0x0f, opcode}, false, -1, 0, true});
    compare_all({{0x0f, static_cast<uint8_t>(opcode + 1)}});
  }
  for (const uint8_t opcode : {0xb0, 0xc0}) {
    compare_all({{0x0f, opcode}, true});
    compare_all({{0x0f, static_cast<uint8_t>(opcode + 1)}});
  }
  compare_all({{0xc6}, true, 0, 1});
  compare_all({{0xc7}, false, 0, 4});
  for (uint8_t r = 0; r < 8; ++r) {
    compare({static_cast<uint8_t>(0xb0 + r), 0x5a});
    if (r == 4) continue;
    compare({static_cast<uint8_t>(0xb8 + r), 0x5a, 0xa5, 1, 2});
    compare({0x66, static_cast<uint8_t>(0xb8 + r), 0x5a, 0xa5});
    compare({0x0f, static_cast<uint8_t>(0xc8 + r)});
    if (r != 0) compare({static_cast<uint8_t>(0x90 + r)});
    compare({0x66, static_cast<uint8_t>(0x90 + r)});
  }
  for (int round = 0; round < 10; ++round) {
    for (const uint8_t opcode : {0x98, 0x99}) {
      compare({opcode});
      compare({0x66, opcode});
    }
  }
}

TEST_F(IntegerOracleTest, Conditions) {
  for (uint8_t condition = 0; condition < 16; ++condition) {
    compare_all({{0x0f, static_cast<uint8_t>(0x40 + condition)}});
    compare_all({{0x0f, static_cast<uint8_t>(0x90 + condition)}, true, 0});
  }
}

TEST_F(IntegerOracleTest, BitsAndFlags) {
  for (const uint8_t opcode : {0xa3, 0xab, 0xb3, 0xbb, 0xbc, 0xbd, 0xaf}) compare_all({{0x0f, opcode}});
  for (const int digit : {4, 5, 6, 7}) compare_all({{0x0f, 0xba}, false, digit, 1});
  compare_all({{0x69}, false, -1, 4});
  compare_all({{0x6b}, false, -1, 1});
  for (int round = 0; round < 20; ++round) {
    for (const uint8_t opcode : {0xf5, 0xf8, 0xf9, 0x9e, 0x9f}) compare({opcode});
  }
}

}  // namespace
}  // namespace vitrine::cpu

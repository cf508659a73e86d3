#include "engines/hostile_program.h"

#include <algorithm>
#include <iterator>

#include "differential/supervisor.h"
#include "x86/control_registers.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using fuzz::FuzzInput;
using Bytes = std::vector<uint8_t>;

constexpr uint8_t kPrefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65,
                                 0x40, 0x41, 0x44, 0x48, 0x49, 0x4c, 0x4f, 0x42, 0x45, 0x4d};

// What enters the host's kernel, leaves a segment, changes one, or means something else in 64-bit mode.
// Bytes of the input follow each.
constexpr uint8_t kNasty[][4] = {{2, 0x0f, 0x05},
                                 {2, 0x0f, 0x34},
                                 {2, 0x0f, 0x35},
                                 {2, 0x0f, 0x07},
                                 {2, 0xcd, 0x80},
                                 {1, 0xcd},
                                 {1, 0xcc},
                                 {1, 0xce},
                                 {1, 0xf1},
                                 {1, 0xea},
                                 {1, 0x9a},
                                 {1, 0xcb},
                                 {1, 0xca},
                                 {1, 0xcf},
                                 {2, 0x0f, 0x01},
                                 {2, 0x0f, 0x00},
                                 {1, 0x8e},
                                 {1, 0x8c},
                                 {2, 0x0f, 0xb2},
                                 {2, 0x0f, 0xb4},
                                 {2, 0x0f, 0xb5},
                                 {1, 0xc4},
                                 {1, 0xc5},
                                 {1, 0x62},
                                 {1, 0x07},
                                 {1, 0x1f},
                                 {1, 0x17},
                                 {2, 0x0f, 0xa1},
                                 {2, 0x0f, 0xa9},
                                 {2, 0x0f, 0xae},
                                 {3, 0xf3, 0x0f, 0xae},
                                 {2, 0x0f, 0xc7},
                                 {3, 0xf3, 0x0f, 0xc7},
                                 {2, 0x0f, 0x20},
                                 {2, 0x0f, 0x22},
                                 {2, 0x0f, 0x21},
                                 {2, 0x0f, 0x23},
                                 {2, 0x0f, 0xa2},
                                 {1, 0xf4},
                                 {1, 0xe4},
                                 {1, 0xee},
                                 {1, 0x6c},
                                 {1, 0x6f},
                                 {1, 0x9d},
                                 {1, 0x9c},
                                 {1, 0xfa},
                                 {1, 0xfb},
                                 {1, 0xc8},
                                 {1, 0xc9},
                                 {1, 0x60},
                                 {1, 0x61},
                                 {1, 0xd7},
                                 {1, 0x63},
                                 {2, 0x0f, 0x02},
                                 {2, 0x0f, 0x03},
                                 {2, 0x0f, 0x0b},
                                 {2, 0x0f, 0xff},
                                 {2, 0x0f, 0x37},
                                 {3, 0x0f, 0x38, 0xf8},
                                 {2, 0xc7, 0xf8},
                                 {2, 0xc6, 0xf8},
                                 {3, 0xf3, 0x0f, 0x1e},
                                 {1, 0xd9},
                                 {1, 0xdd},
                                 {2, 0x0f, 0xf7},
                                 {3, 0x66, 0x0f, 0xf7},
                                 {1, 0xff},
                                 {1, 0x8f},
                                 {1, 0xa0},
                                 {1, 0xa2},
                                 {1, 0x05},
                                 {1, 0xe8},
                                 {2, 0x0f, 0x3f},
                                 {2, 0x0f, 0x0f},
                                 {2, 0x0f, 0x0e},
                                 {2, 0x0f, 0x7a}};

// Both ends of the window, pages of every kind, their ends; what lies behind is often another kind.
constexpr uint32_t kPlaces[] = {0,
                                1,
                                0xffffffff,
                                0xfffffffe,
                                0xfffffff8,
                                0xfffff000,
                                0x80000000,
                                0x7fffffff,
                                kCodeBase,
                                kCodeBase + 0x100,
                                kCodeBase + 0xffc,
                                kCodeBase + kCodeSize - 4,
                                kCodeAlias + 0x100,
                                kDataBase,
                                kDataBase + 0x800,
                                kDataBase + 0x1ffc,
                                kReadOnlyPage + 8,
                                kAbsentPage - 2,
                                kSupervisorPage + 8,
                                kEmptyPage,
                                kLastPage + 0xffe,
                                differential::kKernelBase + 0x3000};

uint32_t place(FuzzInput& input) {
  return input.below(8) == 0 ? input.dword() : input.any_of(kPlaces) + (input.flag() ? input.byte() : 0u);
}

void put(Bytes& code, std::initializer_list<uint8_t> bytes) {
  code.insert(code.end(), bytes);
}
void put_word(Bytes& code, uint32_t value) {
  for (unsigned n = 0; n < 4; ++n) code.push_back(static_cast<uint8_t>(value >> 8 * n));
}
void put_bytes(FuzzInput& input, Bytes& code, uint32_t most) {
  const auto bytes = input.bytes(input.below(most + 1));
  code.insert(code.end(), bytes.begin(), bytes.end());
}
void put_prefixes(FuzzInput& input, Bytes& code) {
  for (uint32_t n = input.below(5); n > 0; --n) code.push_back(input.any_of(kPrefixes));
}

uint8_t near(FuzzInput& input) {
  return static_cast<uint8_t>(input.below(33) - 16);
}

void put_piece(FuzzInput& input, Bytes& code, uint32_t base) {
  const uint8_t reg = static_cast<uint8_t>(input.below(8));
  switch (input.below(10)) {
    case 0: return put_bytes(input, code, 12);
    case 1: put_prefixes(input, code); return put_bytes(input, code, 6);
    case 2: {
      put_prefixes(input, code);
      const auto& nasty = input.any_of(kNasty);
      code.insert(code.end(), nasty + 1, nasty + 1 + nasty[0]);
      return put_bytes(input, code, 6);
    }
    case 3: {
      static constexpr uint8_t kVector[] = {0xc4, 0xc5, 0x62};
      put_prefixes(input, code);
      code.push_back(input.any_of(kVector));
      return put_bytes(input, code, 8);
    }
    case 4:  // into the middle of instructions, forward and back
      put(code, {0xeb, near(input)});
      return put_bytes(input, code, 4);
    case 5:
      code.push_back(input.flag() ? 0xe8 : 0xe9);
      return put_word(
          code, input.flag() ? static_cast<uint32_t>(static_cast<int8_t>(near(input))) : place(input) - base);
    case 6:  // code that is about to be executed, or has been; by its own address or the other
      put(code, {0xc6, 0x05});
      put_word(code, base + static_cast<uint32_t>(code.size()) + near(input) +
                         (input.flag() ? 0u : kCodeAlias - kCodeBase));
      code.push_back(input.byte());
      return;
    case 7: code.push_back(static_cast<uint8_t>(0xb8 | reg)); return put_word(code, place(input));
    case 8:
      if (input.flag()) return put(code, {0xff, static_cast<uint8_t>((input.flag() ? 0xe0 : 0xd0) | reg)});
      code.push_back(0x68);
      put_word(code, place(input));
      return code.push_back(0xc3);
    default: {
      static constexpr uint8_t kString[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
      put_prefixes(input, code);
      if (input.flag()) code.push_back(input.flag() ? 0xf3 : 0xf2);
      return code.push_back(input.any_of(kString));
    }
  }
}

void make_state(FuzzInput& input, Program& program) {
  program.privilege = input.flag() ? Privilege::User : Privilege::Supervisor;
  differential::MachineState& state = program.state;
  for (uint32_t& value : state.gpr) value = place(input);
  if (input.below(4) != 0) state.gpr[x86::kEsp] = kDataBase + 0x1000 + 4 * input.byte();
  if (input.below(2) != 0) state.gpr[x86::kEcx] = input.below(40);
  state.eflags = x86::kIf | 2 | (input.word() & x86::kArithmeticFlags) | (input.below(4) == 0 ? x86::kDf : 0);
  const uint8_t control[] = {0x7f, 0x03, 0x80, 0x1f};
  std::copy_n(control, 2, state.unit.begin());
  std::copy_n(control + 2, 2, state.unit.begin() + 24);
  if (input.below(8) == 0) program.cr0_set = input.flag() ? x86::kCr0Ts : x86::kCr0Em;
  if (input.flag()) program.system_call = {0xcf};  // INT 80h is no end: iret
  program.fs_base = place(input);
  program.fs_limit = input.flag() ? 0xffffffff : input.word();
  for (unsigned n = 0; n < 64; ++n) program.data.push_back(static_cast<uint8_t>(n * 37));
}

}  // namespace

Program hostile_program(FuzzInput& input) {
  Program program;
  make_state(input, program);
  Bytes code;
  switch (input.below(4)) {
    case 0: program.state.eip = kCodeBase + 0x100; break;
    case 1: program.state.eip = kCodeBase + 0x1000 - input.below(32); break;
    case 2: program.state.eip = kCodeAlias + 0x1000 - input.below(256); break;
    default: program.state.eip = 0u - 1 - input.below(48); break;
  }
  const uint32_t base = program.state.eip;
  constexpr size_t kMost = 512;
  while (!input.empty() && code.size() < kMost) put_piece(input, code, base);
  code.resize(std::min(code.size(), kMost), 0xcc);
  if (base > kCodeAlias + kCodeSize) {  // over the end of the address space, and on at its beginning
    const size_t before = std::min<size_t>(code.size(), 0u - base);
    program.top.assign(0u - base, 0xcc);
    std::copy_n(code.begin(), before, program.top.begin());
    program.bottom.assign(code.begin() + static_cast<std::ptrdiff_t>(before), code.end());
  } else {
    program.code.assign(base & 0x1fff, 0xcc);
    program.code.insert(program.code.end(), code.begin(), code.end());
  }
  return program;
}

bool comparable(const Program& program) {
  for (const Bytes* code : {&program.code, &program.top, &program.bottom}) {
    for (size_t n = 0; n + 1 < code->size(); ++n) {
      const uint8_t first = (*code)[n], second = (*code)[n + 1];
      // Two-byte opcodes of clocks, random numbers, control and model-specific registers, state images.
      static constexpr uint8_t kOdd[] = {0x01, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0xae, 0xc7, 0xf7};
      if (first == 0x0f && std::ranges::find(kOdd, second) != std::end(kOdd)) return false;
      // FNSTENV, FNSAVE and their opposites.
      if ((first == 0xd9 || first == 0xdd) && (second >> 3 & 7) >= 4) return false;
      if (first == 0x0f && second == 0xae) return false;
    }
  }
  return true;
}

}  // namespace vitrine::engines

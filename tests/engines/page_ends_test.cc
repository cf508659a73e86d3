// At the ends of pages and of the address space: instructions, operands, pushes and repeated string
// instructions that lie across, into pages of every kind. The engine must leave everything as it is without
// it.
#include <fmt/format.h>

#include <random>

#include "engines/engine_comparison.h"
#include "x86/flags.h"

namespace vitrine::engines {
namespace {

using differential::kHandlers;

struct Instruction {
  const char* name;
  std::vector<uint8_t> bytes;
};

/// Where one kind of page ends and another begins; the first is the end of the address space.
constexpr uint32_t kEnds[] = {
    0,           0x1000,          kDataBase,  kDataBase + 0x1000, kReadOnlyPage,
    kAbsentPage, kSupervisorPage, kEmptyPage, kLastPage,          kLastPage + 0x1000,
    0xfffff000};

/// Memory by ESI, or by EDI and ESI.
const Instruction kAccesses[] = {
    {"mov al, m", {0x8a, 0x06}},
    {"mov ax, m", {0x66, 0x8b, 0x06}},
    {"mov eax, m", {0x8b, 0x06}},
    {"mov m, eax", {0x89, 0x06}},
    {"mov m, ax", {0x66, 0x89, 0x06}},
    {"mov m, imm", {0xc7, 0x06, 1, 2, 3, 4}},
    {"add m, eax", {0x01, 0x06}},
    {"adc eax, m", {0x13, 0x06}},
    {"neg m", {0xf7, 0x1e}},
    {"shl m, cl", {0xd3, 0x26}},
    {"xchg m, eax", {0x87, 0x06}},
    {"lock xadd m, eax", {0xf0, 0x0f, 0xc1, 0x06}},
    {"lock cmpxchg m, ecx", {0xf0, 0x0f, 0xb1, 0x0e}},
    {"cmpxchg8b m", {0x0f, 0xc7, 0x0e}},
    {"movzx eax, m16", {0x0f, 0xb7, 0x06}},
    {"imul eax, m", {0x0f, 0xaf, 0x06}},
    {"mul m", {0xf7, 0x26}},
    {"bt m, eax", {0x0f, 0xa3, 0x06}},
    {"bts m, eax", {0x0f, 0xab, 0x06}},
    {"shld m, eax, 5", {0x0f, 0xa4, 0x06, 5}},
    {"setz m", {0x0f, 0x94, 0x06}},
    {"cmovz eax, m", {0x0f, 0x44, 0x06}},
    {"bound eax, m", {0x62, 0x06}},
    {"push m", {0xff, 0x36}},
    {"pop m", {0x8f, 0x06}},
    {"fld m32", {0xd9, 0x06}},
    {"fld m64", {0xdd, 0x06}},
    {"fld m80", {0xdb, 0x2e}},
    {"fild m64", {0xdf, 0x2e}},
    {"fist m16", {0xdf, 0x16}},
    {"fst m64", {0xdd, 0x16}},
    {"fstp m80", {0xdb, 0x3e}},
    {"fldcw m", {0xd9, 0x2e}},
    {"fnstcw m", {0xd9, 0x3e}},
    {"ldmxcsr m", {0x0f, 0xae, 0x16}},
    {"movq mm0, m", {0x0f, 0x6f, 0x06}},
    {"movd m, mm0", {0x0f, 0x7e, 0x06}},
    {"movss xmm0, m", {0xf3, 0x0f, 0x10, 0x06}},
    {"movsd m, xmm0", {0xf2, 0x0f, 0x11, 0x06}},
    {"movups xmm0, m", {0x0f, 0x10, 0x06}},
    {"movups m, xmm0", {0x0f, 0x11, 0x06}},
    {"movaps xmm0, m", {0x0f, 0x28, 0x06}},
    {"paddd xmm0, m", {0x66, 0x0f, 0xfe, 0x06}},
    {"lddqu xmm0, m", {0xf2, 0x0f, 0xf0, 0x06}},
    {"movsb", {0xa4}},
    {"movsd", {0xa5}},
    {"lodsw", {0x66, 0xad}},
    {"stosd by ESI", {0x87, 0xf7, 0xab, 0x87, 0xf7}},
    {"cmpsd", {0xa7}},
    {"scasd by ESI", {0x87, 0xf7, 0xaf, 0x87, 0xf7}},
    {"xlat by ESI", {0x89, 0xf3, 0x30, 0xc0, 0xd7}},
};

const Instruction kAccessesWithAvx[] = {
    {"vmovups ymm0, m", {0xc5, 0xfc, 0x10, 0x06}},
    {"vmovups m, ymm0", {0xc5, 0xfc, 0x11, 0x06}},
    {"vaddps ymm0, ymm1, m", {0xc5, 0xf4, 0x58, 0x06}},
};

/// What uses the stack; behind each stands INT3.
const Instruction kStackUses[] = {
    {"push eax", {0x50}},
    {"push ax", {0x66, 0x50}},
    {"push imm8", {0x6a, 0x81}},
    {"push imm32", {0x68, 1, 2, 3, 4}},
    {"push esp", {0x54}},
    {"push ds", {0x1e}},
    {"push m", {0xff, 0x37}},
    {"push by ESP", {0xff, 0x74, 0x24, 0x04}},
    {"pusha", {0x60}},
    {"pushaw", {0x66, 0x60}},
    {"pushf", {0x9c}},
    {"pushfw", {0x66, 0x9c}},
    {"enter 8, 0", {0xc8, 8, 0, 0}},
    {"enter 8, 3", {0xc8, 8, 0, 3}},
    {"enter 4000h, 0", {0xc8, 0, 0x40, 0}},
    {"call", {0xe8, 0, 0, 0, 0}},
    {"call ebx", {0xff, 0xd3}},
    {"call and ret", {0xe8, 1, 0, 0, 0, 0xcc, 0xc3}},
    {"int 80h", {0xcd, 0x80}},
    {"pop eax", {0x58}},
    {"pop ax", {0x66, 0x58}},
    {"pop esp", {0x5c}},
    {"pop m", {0x8f, 0x07}},
    {"pop by ESP", {0x8f, 0x04, 0x24}},
    {"popa", {0x61}},
    {"popf", {0x9d}},
    {"popfw", {0x66, 0x9d}},
    {"leave", {0x89, 0xe5, 0xc9}},
    {"add by ESP", {0x01, 0x44, 0x24, 0xfc}},
    {"xchg by ESP", {0x87, 0x04, 0x24}},
    {"ret", {0x68, 0x00, 0x01, 0x00, 0x20, 0xc3}},
    {"ret 8", {0x68, 0x00, 0x01, 0x00, 0x20, 0xc2, 8, 0}},
};

class PageEnds : public EngineComparison {
 protected:
  PageEnds() : data_(0x2000) {
    // Neither zeros, which would be an instruction behind a lost RET, nor numbers that are slow to compute
    // with.
    for (size_t n = 0; n < data_.size(); ++n) data_[n] = static_cast<uint8_t>(0x30 + n % 61);
  }

  Program prepared(const std::vector<uint8_t>& bytes) const {
    Program made = program(bytes);
    made.data = data_;
    made.state.gpr[x86::kEax] = 0x44332211;
    made.state.gpr[x86::kEcx] = 3;
    made.state.gpr[x86::kEbx] = kCodeBase + 0x100;
    made.state.gpr[x86::kEbp] = kDataBase + 0x700;
    return made;
  }

  // Each time in another place, for an engine that has learnt nothing of this one.
  Program in_another_place(const std::vector<uint8_t>& bytes) {
    place_ += 6;
    // Behind it INT3, and an end to what is translated at once.
    Program made = prepared(Code{}.fill(place_).add(bytes).add({0xcc, 0xeb, 0xfe}));
    made.state.eip = kCodeBase + place_;
    return made;
  }
  void begin_places() {
    renew();
    place_ = 0;
  }

  void access(const Instruction& instruction) {
    begin_places();
    for (const uint32_t end : kEnds) {
      for (int32_t before = -1; before <= 33; ++before) {
        Program wanted = in_another_place(instruction.bytes);
        wanted.state.gpr[x86::kEsi] = end - static_cast<uint32_t>(before);
        wanted.state.gpr[x86::kEax] = static_cast<uint32_t>(before) * 7;  // a bit offset, too
        compare(wanted, 0, fmt::format("{} at {:x} - {}", instruction.name, end, before));
        if (HasFailure()) return;
      }
    }
  }

  std::vector<uint8_t> data_;
  uint32_t place_ = 0;
};

TEST_P(PageEnds, Operands) {
  for (const Instruction& instruction : kAccesses) access(instruction);
  if (!native_->model().has(cpu::Feature::Avx)) return;
  for (const Instruction& instruction : kAccessesWithAvx) access(instruction);
}

// The parts of an address overflow, too.
TEST_P(PageEnds, AddressesWrap) {
  const Instruction forms[] = {
      {"[esi + 7fffffff]", Code{0x8b, 0x86}.word(0x7fffffff)},
      {"[esi + edi * 8 - 16]", {0x8b, 0x44, 0xfe, 0xf0}},
      {"[edi * 4 + fffffffe]", Code{0x03, 0x04, 0xbd}.word(0xfffffffe)},
      {"[esp + edi]", {0x8b, 0x04, 0x3c}},
      {"lea", {0x8d, 0x44, 0xfe, 0xf0}},
      {"mov eax, [fffffffd]", Code{0xa1}.word(0xfffffffd)},
      {"mov [fffffffe], eax", Code{0xa3}.word(0xfffffffe)},
      {"movups [fffffff5]", Code{0x0f, 0x11, 0x05}.word(0xfffffff5)},
      {"fs:[esi]", {0x64, 0x8b, 0x06}},
      {"fs:[edi - 4]", {0x64, 0x8b, 0x47, 0xfc}},
  };
  for (const Instruction& form : forms) {
    for (const uint32_t esi : {0xfffffffeu, 0x80000001u, 0x80000fffu, 0x7ffff001u, 0x20u, kDataBase}) {
      for (const uint32_t edi : {0x1fffffffu, 0x20000001u, 0x40000000u, 0xdfff0010u, 0xffffff00u, 2u}) {
        Program wanted = prepared(form.bytes);
        wanted.state.gpr[x86::kEsi] = esi;
        wanted.state.gpr[x86::kEdi] = edi;
        wanted.fs_base = 0xfffffff0;
        compare(wanted, 0, fmt::format("{}, esi {:x}, edi {:x}", form.name, esi, edi));
        if (HasFailure()) return;
      }
    }
  }
}

// Nothing lies behind the second page of code: there the fetch faults.
TEST_P(PageEnds, Instructions) {
  const Instruction instructions[] = {
      {"mov eax, imm", {0xb8, 1, 2, 3, 4}},
      {"add m, imm", Code{0x81, 0x05}.word(kDataBase + 8).word(0x01020304)},
      {"jmp", {0xe9, 0xe0, 0xff, 0xff, 0xff}},
      {"jz", {0x0f, 0x84, 0xe0, 0xff, 0xff, 0xff}},
      {"call", {0xe8, 0xe0, 0xff, 0xff, 0xff}},
      {"int 80h", {0xcd, 0x80}},
      {"push imm", {0x68, 1, 2, 3, 4}},
      {"rep movsb", {0xf3, 0xa4}},
      {"movups", {0x0f, 0x10, 0x46, 0x08}},
      {"enter", {0xc8, 8, 0, 0}},
      {"ret 8", {0x53, 0xc2, 8, 0}},
      {"sti, mov", {0xfb, 0x8b, 0x06}},
      {"longest", Code{0x66, 0x66, 0x66, 0x66, 0x66, 0x81, 0x84, 0xb5}.word(kDataBase).add({9, 9})},
      {"too long", Code{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x81, 0x84, 0xb5}.word(0).add({9, 9, 9})},
  };
  for (const Instruction& instruction : instructions) {
    for (const uint32_t end : {0x1000u, 0x2000u}) {
      for (uint32_t before = 1; before <= instruction.bytes.size() + 1; ++before) {
        for (const bool alone : {true, false}) {
          const uint32_t at = end - before;
          Code code;
          code.fill(0x100).add({0xcc}).fill(alone ? at : at - 6);
          if (!alone) code.add({0x40, 0x41, 0x90, 0x42, 0x31, 0xd2});  // a block that leads to it
          code.add(instruction.bytes);
          Program wanted = prepared(code);
          wanted.state.eip = kCodeBase + (alone ? at : at - 6);
          wanted.state.gpr[x86::kEsi] = 0;
          const std::string what = fmt::format("{}, {} bytes before {:x}", instruction.name, before, end);
          for (unsigned time = 0; time < 2; ++time) compare(wanted, 0, what);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_P(PageEnds, Pushes) {
  for (const Instruction& use : kStackUses) {
    begin_places();
    for (const uint32_t end : kEnds) {
      for (int32_t before = -36; before <= 33; ++before) {
        Program wanted = in_another_place(use.bytes);
        wanted.state.gpr[x86::kEsp] = end - static_cast<uint32_t>(before);
        compare(wanted, 0, fmt::format("{} at {:x} - {}", use.name, end, before));
        if (HasFailure()) return;
      }
    }
  }
}

// ---- Repeated string instructions.

const Instruction kRepeated[] = {
    {"movsb", {0xf3, 0xa4}},
    {"movsw", {0xf3, 0x66, 0xa5}},
    {"movsd", {0xf3, 0xa5}},
    {"repne movsb", {0xf2, 0xa4}},
    {"stosb", {0xf3, 0xaa}},
    {"stosw", {0x66, 0xf3, 0xab}},
    {"stosd", {0xf3, 0xab}},
    {"lodsb", {0xf3, 0xac}},
    {"lodsd", {0xf3, 0xad}},
    {"repe cmpsb", {0xf3, 0xa6}},
    {"repne cmpsd", {0xf2, 0xa7}},
    {"repe scasb", {0xf3, 0xae}},
    {"repne scasb", {0xf2, 0xae}},
    {"repne scasd", {0xf2, 0xaf}},
    {"fs: movsb", {0x64, 0xf3, 0xa4}},
    {"addr16 movsb", {0x67, 0xf3, 0xa4}},
    {"addr16 stosd", {0x67, 0xf3, 0xab}},
};

TEST_P(PageEnds, RepeatedAcross) {
  std::mt19937 random(1);
  const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  const auto near_an_end = [&] { return kEnds[below(std::size(kEnds))] + 24 - below(49); };
  for (unsigned round = 0; round < 150; ++round) {
    for (const Instruction& instruction : kRepeated) {
      Program wanted = prepared(instruction.bytes);
      if (below(2) == 0) wanted.state.eflags |= x86::kDf;
      wanted.state.gpr[x86::kEsi] = below(4) == 0 ? kDataBase + 0x800 + below(64) : near_an_end();
      wanted.state.gpr[x86::kEdi] = below(4) == 0 ? kDataBase + 0x900 + below(64) : near_an_end();
      wanted.state.gpr[x86::kEcx] = below(8) == 0 ? 0x10000 + below(9) : below(48);
      if (below(8) == 0) wanted.state.gpr[x86::kEax] = 0x30303030 + below(61);
      wanted.fs_base = below(2) == 0 ? 0 : 0x10;
      compare(wanted, 0,
              fmt::format("{}, esi {:x}, edi {:x}, ecx {:x}, eflags {:x}", instruction.name,
                          wanted.state.gpr[x86::kEsi], wanted.state.gpr[x86::kEdi],
                          wanted.state.gpr[x86::kEcx], wanted.state.eflags));
      if (HasFailure()) return;
    }
  }
}

// Over the end of the address space and on until a page is not there, upwards and downwards.
TEST_P(PageEnds, RepeatedOverTheEndOfTheAddressSpace) {
  const Code stosd{0xf3, 0xab};
  Program up = prepared(stosd);
  up.state.gpr[x86::kEdi] = 0xfffffff0;
  up.state.gpr[x86::kEcx] = 0x2000;
  Ending ending = compare(up);
  EXPECT_EQ(ending.state.eip, kHandlers + 14 + 1);
  EXPECT_EQ(ending.cr2, 0x1000u);
  EXPECT_EQ(ending.state.gpr[x86::kEdi], 0x1000u);
  EXPECT_EQ(ending.state.gpr[x86::kEcx], 0x2000u - 4 - 0x400);

  Program down = prepared(stosd);
  down.state.gpr[x86::kEdi] = 0x1c;
  down.state.gpr[x86::kEcx] = 0x2000;
  down.state.eflags |= x86::kDf;
  ending = compare(down);
  EXPECT_EQ(ending.state.eip, kHandlers + 14 + 1);
  EXPECT_EQ(ending.cr2, 0xffffeffcu);
  EXPECT_EQ(ending.state.gpr[x86::kEdi], 0xffffeffcu);
  EXPECT_EQ(ending.state.gpr[x86::kEcx], 0x2000u - 8 - 0x400);
}

// Kicked in the middle, faults at the end, goes on behind it with what is left.
TEST_P(PageEnds, RepeatedAndKicked) {
  for (const bool down : {false, true}) {
    for (const Instruction& instruction : kRepeated) {
      // again: mov esi, ebx; mov edi, ebp; mov ecx, 900h; rep …; dec edx; jnz again
      Code code;
      code.add({0x89, 0xde, 0x89, 0xef})
          .mov(x86::kEcx, 0x900)
          .add(instruction.bytes)
          .add({0x4a})
          .back(0x75, 0);
      Program wanted = prepared(code);
      wanted.state.gpr[x86::kEdx] = 40;
      wanted.state.gpr[x86::kEbx] = down ? kDataBase + 0x1ff0 : kDataBase + 0x10;
      wanted.state.gpr[x86::kEbp] = down ? kDataBase + 0xff0 : kDataBase + 0x1000;
      if (down) wanted.state.eflags |= x86::kDf;
      compare(wanted, 20'000, instruction.name);
      if (HasFailure()) return;
    }
  }
}

VITRINE_ALL_ENGINES(PageEnds);

}  // namespace
}  // namespace vitrine::engines

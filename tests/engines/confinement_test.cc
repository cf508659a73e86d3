// The verifier can fail: what must never be in translated code is put there, and found.
#include <gtest/gtest.h>

#include <cstring>

#include "engines/engine_machine.h"
#include "engines/verifier.h"

namespace vitrine::engines {
namespace {

struct Bad {
  const char* name;
  std::vector<uint8_t> bytes;
};

const Bad kBad[] = {
    {"syscall", {0x0f, 0x05}},
    {"int 80h", {0xcd, 0x80}},
    {"sysenter", {0x0f, 0x34}},
    {"64-bit address", {0x65, 0x8b, 0x03}},                                         // mov eax, gs:[rbx]
    {"no window", {0x67, 0x8b, 0x03}},                                              // mov eax, [ebx]
    {"plain memory", {0x8b, 0x03}},                                                 // mov eax, [rbx]
    {"address of the monitor's", {0x65, 0x67, 0x41, 0x8b, 0x06}},                   // mov eax, gs:[r14d]
    {"upper half", {0x48, 0x01, 0xd8}},                                             // add rax, rbx
    {"r13", {0x41, 0x89, 0xc5}},                                                    // mov r13d, eax
    {"rsp", {0x89, 0xc4}},                                                          // mov esp, eax
    {"pop of anything", {0x58}},                                                    // pop rax
    {"flags", {0x9d}},                                                              // popfq
    {"VEX", {0xc4, 0xe2, 0x30, 0xf3, 0xcb}},                                        // blsr r9d, ebx
    {"VEX and 64 bits", {0xc4, 0xe1, 0xf9, 0x7e, 0xc0}},                            // vmovq rax, xmm0
    {"ymm8", {0xc4, 0x61, 0x7c, 0x58, 0xc0}},                                       // vaddps ymm8, ymm0, ymm0
    {"EVEX", {0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0}},                                 // vaddps zmm0, zmm0, zmm0
    {"VEX without a window", {0xc5, 0xf8, 0x10, 0x03}},                             // vmovups xmm0, [rbx]
    {"gather from the monitor", {0x65, 0x67, 0xc4, 0xc2, 0x71, 0x92, 0x04, 0x16}},  // gs:[r14d + xmm2]
    {"vmaskmovdqu", {0xc5, 0xf9, 0xf7, 0xc1}},
    {"segment", {0x8e, 0xe8}},  // mov gs, eax
    {"FXSAVE", {0x65, 0x67, 0x0f, 0xae, 0x03}},
    {"context", {0x41, 0xc7, 0x46, 0x40, 0, 0, 0, 0}},  // mov dword [r14 + 40h], 0
    {"string without a window", {0xf3, 0xa4}},
    {"indirect jump", {0xff, 0xe0}},
    {"far jump", {0x65, 0x67, 0xff, 0x2b}},
    {"wrgsbase", {0xf3, 0x48, 0x0f, 0xae, 0xd8}},
    {"maskmovq", {0x0f, 0xf7, 0xc1}},
    {"jump into an instruction", {0xeb, 0x04}},
    {"xsave", {0x65, 0x67, 0x0f, 0xae, 0x23}},
    {"rdpid", {0xf3, 0x0f, 0xc7, 0xf8}},
    {"rights of no page", {0x43, 0x0f, 0xb6, 0x0c, 0x4a}},  // movzx ecx, byte [r10 + r9 * 2]
};

TEST(Confinement, VerifierFindsWhatMustNotBe) {
  for (const EngineUsed used : {EngineUsed::Translate, EngineUsed::Trap, EngineUsed::Counted}) {
    EngineMachine machine(used);
    Program program;
    program.state.eip = kCodeBase;
    program.state.eflags = 0x202;
    program.state.gpr[4] = kDataBase + 0x1000;
    // Room for what is put there: moves of five bytes.
    for (unsigned n = 0; n < 8; ++n) program.code.insert(program.code.end(), {0xb8, 0, 0, 0, 0});
    program.code.push_back(0xcc);
    ASSERT_EQ(machine.run(program, 1000).reason, cpu::ExitReason::Halted);
    const translate::TranslationCache& cache = machine.engine()->cache();
    ASSERT_EQ(verify_translations(*machine.engine()), "");
    uint32_t at = 0;
    while (cache.unit_at(at) == nullptr) at += 16;
    for (const Bad& bad : kBad) {
      uint8_t* const code = cache.memory().writable(at);
      std::array<uint8_t, 40> before{};
      std::memcpy(before.data(), code, before.size());
      // In the place of whole moves, so that all boundaries stay where they are.
      const size_t whole = (bad.bytes.size() + 4) / 5 * 5;
      std::memset(code, 0x90, whole);
      std::memcpy(code, bad.bytes.data(), bad.bytes.size());
      EXPECT_NE(verify_translations(*machine.engine()), "") << bad.name;
      std::memcpy(code, before.data(), before.size());
    }
    EXPECT_EQ(verify_translations(*machine.engine()), "");
  }
}

// Where a CALL's way to its stub begins right behind what a unit ends with, and the CALL has been linked past
// it.
TEST(Confinement, VerifierKnowsTheStubOfALinkedCall) {
  struct {
    const char* ends_with;
    std::vector<uint8_t> code;  // entered at its second byte: ret; call ret; jc 300h further; int3; ...
  } const programs[] = {
      {"iret", {0xc3, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0x0f, 0x82, 0, 3, 0, 0, 0xcc, 0xcf}},
      {"jmp eax", {0xc3, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0x0f, 0x82, 0, 3, 0, 0, 0xcc, 0xff, 0xe0}},
  };
  for (const auto& [ends_with, code] : programs) {
    for (const EngineUsed used : {EngineUsed::Translate, EngineUsed::Trap, EngineUsed::Counted}) {
      EngineMachine machine(used);
      Program program;
      program.state.eip = kCodeBase + 1;
      program.state.eflags = 0x202;
      program.state.gpr[4] = kDataBase + 0x1000;
      program.code = code;
      ASSERT_EQ(machine.run(program, 1000).reason, cpu::ExitReason::Halted);
      EXPECT_EQ(verify_translations(*machine.engine()), "") << ends_with;
    }
  }
}

}  // namespace
}  // namespace vitrine::engines

// Instructions that look whether the window shows a page before they access it (translate/access_check.cc):
// each form of address, with pages that are shown and that are not.
#include "engines/engine_comparison.h"

namespace vitrine::engines {
namespace {

constexpr uint32_t kTurns = 60, kRunsOfATurn = 40;

// push eax; mov eax, cr3; mov cr3, eax; pop eax; iret
const std::vector<uint8_t> kLoadCr3 = {0x50, 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0x58, 0xcf};

struct Row {
  const char* name;
  std::vector<uint8_t> prepare;  ///< In each turn.
  std::vector<uint8_t> code;     ///< The instruction, and what puts its registers back.
  bool looks = true;             ///< False: it is only compared.
};

// EBP counts turns, EDX runs.
const Row kRows[] = {
    {"mov [edi], eax", {}, {0x89, 0x07}},
    {"mov eax, [esi]", {}, {0x8b, 0x06}},
    {"mov byte [edi + 3], 7", {}, {0xc6, 0x47, 0x03, 0x07}},
    {"mov [edi + ebx * 4 + 10h], cx", {}, {0x66, 0x89, 0x4c, 0x9f, 0x10}},
    {"mov eax, [20010100h]", {}, {0xa1, 0x00, 0x01, 0x01, 0x20}},
    {"mov eax, [esi - 30000h], of what lies so much higher",
     {0xbe, 0x00, 0x01, 0x04, 0x20},
     {0x8b, 0x86, 0, 0, 0xfd, 0xff}},
    {"mov [edi], ch", {}, {0x88, 0x2f}},
    {"movzx ecx, byte [esi]", {}, {0x0f, 0xb6, 0x0e}},
    {"movsx eax, word [esi]", {}, {0x0f, 0xbf, 0x06}},
    {"adc [edi], eax", {}, {0x11, 0x07}},
    {"sbb ecx, [esi]", {}, {0x1b, 0x0e}},
    {"cmp [esi], ecx", {}, {0x39, 0x0e}},
    {"inc dword [edi]", {}, {0xff, 0x07}},
    {"rcl dword [edi], cl", {0xb1, 0x03}, {0xd3, 0x17}},
    {"shld [edi], eax, 3", {}, {0x0f, 0xa4, 0x07, 0x03}},
    {"setc [edi]", {}, {0x0f, 0x92, 0x07}},
    {"xchg [edi], ecx", {}, {0x87, 0x0f}},
    {"lock xadd [edi], ecx", {}, {0xf0, 0x0f, 0xc1, 0x0f}},
    {"push ecx; pop ebx", {}, {0x51, 0x5b}},
    {"push word 3; pop cx", {}, {0x66, 0x6a, 0x03, 0x66, 0x59}},
    {"mov [esp - 8], ecx", {}, {0x89, 0x4c, 0x24, 0xf8}},
    {"call; ret", {}, {0xe8, 0, 0, 0, 0, 0x58}},
    {"mov eax, fs:[esi]", {}, {0x64, 0x8b, 0x06}},
    {"mov fs:[edi + ebx], ecx", {}, {0x64, 0x89, 0x0c, 0x1f}},
    {"movsd", {}, {0xa5, 0x83, 0xee, 0x04, 0x83, 0xef, 0x04}},
    {"rep movsb", {}, {0xb9, 0x05, 0, 0, 0, 0xf3, 0xa4, 0x83, 0xee, 0x05, 0x83, 0xef, 0x05}},
    {"stosb", {}, {0xaa, 0x4f}},
    {"lodsw", {}, {0x66, 0xad, 0x83, 0xee, 0x02}},
    {"scasd", {}, {0xaf, 0x83, 0xef, 0x04}},
    {"cmpsb", {}, {0xa6, 0x4e, 0x4f}},
    {"bts [edi], eax, beyond the page", {0xb8, 0x07, 0xa0, 0, 0}, {0x0f, 0xab, 0x07}, false},
    {"mov [edi], eax, over the end of the page", {0xbf, 0xfe, 0x0f, 0x01, 0x20}, {0x89, 0x07}, false},
    {"movups xmm0, [esi]; movups [edi], xmm0", {}, {0x0f, 0x10, 0x06, 0x0f, 0x11, 0x07}},
    {"fld dword [esi]; fstp dword [edi]", {}, {0xd9, 0x06, 0xd9, 0x1f}},
};

class AccessChecks : public EngineComparison {
 protected:
  // The windows are emptied by each load of CR3, and one access without a page is enough.
  void start() {
    translate::EngineOptions options;
    options.shadow.policy = paging::ShadowPolicy::OnDemand;
    options.fills = paging::ShadowFills::Again;
    options.faults_to_be_slow = 1;
    native_ = std::make_unique<EngineMachine>(std::get<0>(GetParam()), options);
  }
  [[nodiscard]] static bool counted() { return std::get<0>(GetParam()) == EngineUsed::Counted; }
};

TEST_P(AccessChecks, AllForms) {
  for (const Row& row : kRows) {
    Code code;
    code.mov(x86::kEbp, kTurns);
    const size_t again = code.size();
    code.add({0xcd, 0x80}).mov(x86::kEdx, kRunsOfATurn).add(row.prepare).add({0xf9});
    const size_t once_more = code.size();
    // dec edx; jnz once_more; dec ebp; jnz again
    code.add(row.code).add({0x4a}).back(0x75, once_more).add({0x4d}).back(0x75, again);
    Program wanted = program(code);
    wanted.fs_base = 0x10;
    wanted.state.gpr[x86::kEax] = 0x12345678;
    wanted.state.gpr[x86::kEbx] = 0x40;
    wanted.state.gpr[x86::kEcx] = 0x89abcdef;
    for (unsigned n = 0; n < 0x2000; ++n) wanted.data.push_back(static_cast<uint8_t>(n * 7 + n / 256));
    wanted.system_call = kLoadCr3;
    start();
    const auto& counters = native_->engine()->counters();
    const Ending ending = compare(wanted, 0, row.name);
    EXPECT_EQ(ending.state.gpr[x86::kEbp], 0u) << row.name;
    EXPECT_EQ(verify_translations(*native_->engine()), "") << row.name;
    if (!row.looks || counted()) continue;
    const auto trap = [&](translate::Trap of) -> uint64_t { return counters.traps[static_cast<size_t>(of)]; };
    EXPECT_LE(trap(translate::Trap::HiddenFault), kTurns) << row.name;
    // Once the page is shown nothing leaves for its sake.
    const uint64_t declined = counters.leaves[static_cast<size_t>(translate::Leave::Decline)];
    EXPECT_LE(declined, kTurns * kRunsOfATurn / 2) << row.name;
  }
}

TEST_P(AccessChecks, HoldWhenTheyAreInterrupted) {
  Code code;
  code.mov(x86::kEbp, 2000).add({0xcd, 0x80});
  const size_t again = code.size();
  code.add({0x11, 0x07, 0x13, 0x0e, 0x51, 0x5b, 0x4d}).back(0x75, again);  // adc, adc, push, pop; dec, jnz
  Program wanted = program(code);
  wanted.system_call = kLoadCr3;
  start();
  constexpr uint64_t kOften = 50'000;
  for (unsigned n = 0; n < 20; ++n) compare(wanted, kOften);
}

VITRINE_ALL_ENGINES(AccessChecks);

}  // namespace
}  // namespace vitrine::engines

// Instructions that page-fault: one that always does is left to the interpreter, which saves the host's
// signal; one that seldom does stays native. The counters say so.
#include "engines/engine_comparison.h"
#include "x86/vectors.h"

namespace vitrine::engines {
namespace {

using differential::kIdt;
using differential::kKernelCode;

constexpr uint32_t kRounds = 20'000;
constexpr uint32_t kHandler = 0x800;

class PageFaultSites : public EngineComparison {
 protected:
  /// Host faults and ways out to the interpreter of one run. Each round stores once: to an absent page when
  /// the low bits of the round's number, as many as `mask` has, are zero.
  std::pair<uint64_t, uint64_t> cost_of(uint32_t mask, uint32_t rounds = kRounds) {
    Code code;
    // again: mov ebx, data; test ecx, mask; jnz store; mov ebx, absent; store: mov [ebx], eax; dec ecx; jnz
    // again
    code.mov(x86::kEbx, kDataBase).add({0xf7, 0xc1}).word(mask).add({0x75, 0x05}).mov(x86::kEbx, kAbsentPage);
    code.add({0x89, 0x03, 0x49}).back(0x75, 0).add({0xcc});
    // The handler goes on behind the store: add dword [esp + 4], 2; add esp, 4; iret
    code.fill(kHandler).add({0x83, 0x44, 0x24, 0x04, 0x02, 0x83, 0xc4, 0x04, 0xcf});
    Program wanted = program(code);
    wanted.state.gpr[x86::kEcx] = rounds;
    const uint32_t gate = kIdt + 8 * static_cast<uint32_t>(x86::Vector::PageFault);
    const uint32_t handler = kCodeBase + kHandler;
    wanted.tables = {{gate, uint32_t{kKernelCode} << 16 | (handler & 0xffff)},
                     {gate + 4, (handler & 0xffff0000) | 0x8e00}};
    const auto& counters = native_->engine()->counters();
    const auto& declines = counters.leaves[static_cast<unsigned>(translate::Leave::Decline)];
    const uint64_t faults = counters.all_traps(), declined = declines;
    const Ending ending = compare(wanted);
    EXPECT_EQ(ending.state.gpr[x86::kEcx], 0u) << native_->describe(ending);
    return {counters.all_traps() - faults, declines - declined};
  }
  // IRET, which the trapping engine learns of by a host fault.
  [[nodiscard]] static uint64_t traps(uint64_t page_faults) {
    return std::get<0>(GetParam()) == EngineUsed::Trap ? page_faults : 0;
  }
};

TEST_P(PageFaultSites, ThatAlwaysFaultIsInterpreted) {
  // With counting what is declined is executed by the vCPU, which does not tell of its faults.
  if (std::get<0>(GetParam()) == EngineUsed::Counted) return;
  const auto [faults, declined] = cost_of(0);
  EXPECT_LE(faults, 40 + traps(kRounds));
}

TEST_P(PageFaultSites, ThatSeldomFaultsStaysNative) {
  const auto [faults, declined] = cost_of(0x7f);
  constexpr uint64_t kPageFaults = kRounds / 128;
  EXPECT_LE(faults, 2 * kPageFaults + 40);
  EXPECT_LE(declined, 2 * kPageFaults + 500);
}

// Looking costs something, too: less than one fault in a thousand runs is not worth it.
TEST_P(PageFaultSites, ThatHardlyEverFaultsDoesNotLook) {
  constexpr uint32_t kEvery = 4096, kPageFaults = 100;
  const auto [faults, declined] = cost_of(kEvery - 1, kEvery * kPageFaults);
  EXPECT_GE(faults, kPageFaults * 2 / 3);
}

VITRINE_ALL_ENGINES(PageFaultSites);

}  // namespace
}  // namespace vitrine::engines

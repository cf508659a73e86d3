// Compatibility-mode execution through signal frames: see native_machine.h.
#include "differential/native_machine.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cerrno>
#include <vector>

namespace vitrine::differential {
namespace {

constexpr uint64_t kTrapFlag = 0x100;
constexpr uint64_t kCode32 = 0x23, kData = 0x2b;
constexpr unsigned kMaximumSteps = 5000;
constexpr int kSignals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};

// The signal handler's work in hand. Static because a handler has no argument of ours; one thread uses it.
struct Work {
  std::span<const TestCase> cases;
  std::span<Outcome> outcomes;
  std::span<const uint8_t> data;
  size_t at = 0;
  unsigned steps = 0;
  bool running = false;
  greg_t home[NGREG];
  uint8_t home_unit[512];
};

// The frame's floating-point state is an XSAVE area in the standard format: asm/sigcontext.h of Linux.
constexpr size_t kFrameFeatures = 472, kFrameHeader = 512, kFrameYmmHigh = 576;
constexpr uint8_t kAvx = 4;

bool frame_has_ymm(const uint8_t* unit) {
  return (unit[kFrameFeatures] & kAvx) != 0;
}

Work work;

uint8_t* const code_area = reinterpret_cast<uint8_t*>(uintptr_t{kCodeBase});
uint8_t* const data_area = reinterpret_cast<uint8_t*>(uintptr_t{kDataBase});

constexpr int kGeneral[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

void load_case(mcontext_t& context) {
  const TestCase& test = work.cases[work.at];
  memcpy(data_area, work.data.data(), kDataSize);
  memcpy(data_area + test.window, test.window_bytes.data(), kWindowSize);
  memcpy(code_area, code_page(test).data(), kCodeSize);
  for (unsigned n = 0; n < 8; ++n) context.gregs[kGeneral[n]] = test.before.gpr[n];
  context.gregs[REG_RIP] = test.before.eip;
  context.gregs[REG_EFL] = static_cast<greg_t>(test.before.eflags | kTrapFlag);
  context.gregs[REG_CSGSFS] = static_cast<greg_t>(
      (static_cast<uint64_t>(context.gregs[REG_CSGSFS]) & 0x0000ffffffff0000) | kCode32 | kData << 48);
  auto* unit = reinterpret_cast<uint8_t*>(context.fpregs);
  uint8_t mask[4];
  memcpy(mask, unit + 28, 4);
  memcpy(unit, test.before.unit.data(), kUnitSize);
  memcpy(unit + 28, mask, 4);
  unit[kFrameHeader] |= 3;  // XSTATE_BV: x87 and SSE state are not initial
  if (frame_has_ymm(unit)) {
    unit[kFrameHeader] |= kAvx;
    memcpy(unit + kFrameYmmHigh, test.before.ymm_high.data(), kYmmHighSize);
  }
  work.steps = 0;
}

void store_outcome(const mcontext_t& context) {
  Outcome& outcome = work.outcomes[work.at];
  for (unsigned n = 0; n < 8; ++n) outcome.after.gpr[n] = static_cast<uint32_t>(context.gregs[kGeneral[n]]);
  outcome.after.eip = static_cast<uint32_t>(context.gregs[REG_RIP]);
  outcome.after.eflags = static_cast<uint32_t>(context.gregs[REG_EFL]);
  const auto* unit = reinterpret_cast<const uint8_t*>(context.fpregs);
  memcpy(outcome.after.unit.data(), unit, kUnitSize);
  outcome.after.ymm_high.fill(0);
  if (frame_has_ymm(unit) && (unit[kFrameHeader] & kAvx) != 0)
    memcpy(outcome.after.ymm_high.data(), unit + kFrameYmmHigh, kYmmHighSize);
  const auto trap = static_cast<uint8_t>(context.gregs[REG_TRAPNO]);
  outcome.vector = trap == 1 ? kNoVector : trap;
  outcome.error_code = trap == 1 ? 0 : static_cast<uint32_t>(context.gregs[REG_ERR]);
  outcome.fault_address = trap == 14 ? static_cast<uint32_t>(context.gregs[REG_CR2]) : 0;
  memcpy(outcome.data.data(), data_area, kDataSize);
}

void go_home(mcontext_t& context) {
  memcpy(context.gregs, work.home, sizeof work.home);
  memcpy(context.fpregs, work.home_unit, 512);
  auto* header = reinterpret_cast<uint8_t*>(context.fpregs) + kFrameHeader;
  *header = static_cast<uint8_t>((*header | 3) & ~kAvx);
  work.running = false;
}

void on_signal(int /*signal*/, siginfo_t* /*info*/, void* argument) {
  mcontext_t& context = static_cast<ucontext_t*>(argument)->uc_mcontext;
  if (!work.running) {
    memcpy(work.home, context.gregs, sizeof work.home);
    memcpy(work.home_unit, context.fpregs, 512);
    work.running = true;
    return load_case(context);
  }
  if ((context.gregs[REG_CSGSFS] & 0xffff) != kCode32) {  // A bug of this test, not a result.
    for (const int signal : kSignals) ::signal(signal, SIG_DFL);
    return;
  }
  const TestCase& test = work.cases[work.at];
  const bool again =
      test.repeats && context.gregs[REG_TRAPNO] == 1 && context.gregs[REG_RIP] == test.before.eip;
  if (again && ++work.steps < kMaximumSteps) return;
  store_outcome(context);
  if (++work.at < work.cases.size()) return load_case(context);
  go_home(context);
}

std::string failure(const char* what) {
  return std::string(what) + ": " + strerror(errno);
}

bool map_at(uint32_t address, uint32_t size, int protection) {
  void* const wanted = reinterpret_cast<void*>(uintptr_t{address});
  return mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wanted;
}

}  // namespace

std::string NativeMachine::prepare() {
  if (!map_at(kCodeBase, kCodeSize, PROT_READ | PROT_WRITE | PROT_EXEC))
    return failure("executable memory below 4 GiB");
  if (!map_at(kDataBase, kDataSize, PROT_READ | PROT_WRITE)) return failure("memory below 4 GiB");
  static std::vector<uint8_t> stack(1 << 18);
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  if (sigaltstack(&alternate, nullptr) != 0) return failure("sigaltstack");
  struct sigaction action {};
  action.sa_sigaction = &on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : kSignals) sigaddset(&action.sa_mask, signal);
  for (const int signal : kSignals) {
    if (sigaction(signal, &action, nullptr) != 0) return failure("sigaction");
  }
  // SAFETY: 64-bit code ignores DS, ES and GS; 32-bit code needs them.
  asm volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%gs" : : "r"(kData));

  TestCase probe;
  probe.bytes[0] = 0x40;  // inc eax in 32-bit code, a prefix in 64-bit code
  probe.length = 1;
  probe.before.eip = kCodeBase;
  probe.before.eflags = 0x202;
  const uint16_t control = 0x37f;
  const uint32_t mxcsr = 0x1f80;
  memcpy(probe.before.unit.data(), &control, 2);
  memcpy(probe.before.unit.data() + 24, &mxcsr, 4);
  static Outcome outcome;
  const std::vector<uint8_t> data(kDataSize);
  run({&probe, 1}, {&outcome, 1}, data);
  if (outcome.vector != kNoVector || outcome.after.gpr[0] != 1)
    return "32-bit code does not run in a 64-bit process here";
  return {};
}

void NativeMachine::run(std::span<const TestCase> cases, std::span<Outcome> outcomes,
                        std::span<const uint8_t> data) {
  work.cases = cases;
  work.outcomes = outcomes;
  work.data = data;
  work.at = 0;
  if (!cases.empty()) raise(SIGTRAP);
}

}  // namespace vitrine::differential

// Guest code that wants out, watched at every host instruction (tracer.h): none outside code memory, none
// that enters the host's kernel, no memory but the window and what translated code may touch. And that the
// watch sees what it should: violations are put into code memory, and found. VITRINE_SEED and
// VITRINE_PROGRAMS change the seed and the number of programs.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "engines/call_ban.h"
#include "engines/hostile_program.h"
#include "engines/tracer.h"
#include "engines/verifier.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

double environment(const char* name, double otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::atof(value) : otherwise;
}

class Traced : public testing::TestWithParam<EngineUsed> {
 protected:
  // The trapping engine's instructions look before their accesses as soon as one has found no page.
  Traced() : machine_(GetParam(), {.faults_to_be_slow = GetParam() == EngineUsed::Trap ? 1u : 8u}) {}
  EngineMachine machine_;
};

// Each program's number lies in shared memory, so that it can be named.
TEST_P(Traced, HostileProgramsStayInside) {
  const auto seed = static_cast<uint64_t>(environment("VITRINE_SEED", 1));
  const auto programs = static_cast<uint64_t>(environment("VITRINE_PROGRAMS", 120));
  auto* const count = static_cast<uint64_t*>(
      ::mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(count, MAP_FAILED);
  const TraceReport report = trace(*machine_.engine(), [&] {
    while (*count < programs) {
      std::mt19937_64 random(seed * 1'000'003 + *count);
      std::vector<uint8_t> bytes(60 + random() % 200);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      fuzz::FuzzInput input(bytes);
      Program program = hostile_program(input);
      program.most_kicks = 2;
      static_cast<void>(machine_.run(program, 3000, 20'000'000));
      ++*count;
    }
    if (!verify_translations(*machine_.engine()).empty()) std::_Exit(3);
  });
  if (!report.unavailable.empty()) GTEST_SKIP() << "this host does not allow " << report.unavailable;
  fmt::print("seed {}: {} programs, {} entries, {} instructions, {} accesses, {} signals, {} comparisons\n",
             seed, *count, report.entries, report.steps, report.accesses, report.signals, report.comparisons);
  EXPECT_EQ(report.violation, "") << "program " << *count << " of seed " << seed;
  EXPECT_TRUE(report.finished);
  EXPECT_GT(report.steps, 1000u);
  EXPECT_GT(report.accesses, 200u);
  EXPECT_GT(report.signals, 10u);
  EXPECT_GT(report.comparisons, 2u);
  ::munmap(count, sizeof(uint64_t));
}

struct Planted {
  const char* name;
  std::vector<uint8_t> bytes;
  const char* found;
};

std::vector<uint8_t> with_address(std::vector<uint8_t> before, const void* address,
                                  std::initializer_list<uint8_t> after) {
  const auto value = reinterpret_cast<uint64_t>(address);
  for (unsigned n = 0; n < 8; ++n) before.push_back(static_cast<uint8_t>(value >> 8 * n));
  before.insert(before.end(), after);
  return before;
}

std::atomic<uint64_t> victim = 1;  // memory of the monitor's

std::vector<Planted> planted() {
  constexpr uint32_t kBeyond = sizeof(translate::GuestContext) + 64;
  constexpr auto kLow = static_cast<uint8_t>(kBeyond), kHigh = static_cast<uint8_t>(kBeyond >> 8);
  return {
      {"syscall", {0x0f, 0x05}, "syscall"},
      {"int 80h", {0xcd, 0x80}, "int"},
      {"sysenter", {0x0f, 0x34}, "sysenter"},
      {"in", {0xec}, "in "},
      {"store behind the context", {0x41, 0xc7, 0x86, kLow, kHigh, 0, 0, 1, 2, 3, 4}, "write of 4 bytes"},
      {"store to the monitor",
       with_address({0x49, 0xb8}, &victim, {0x41, 0xc7, 0x00, 5, 0, 0, 0}),  // mov r8, …; mov dword [r8], 5
       "write of 4 bytes"},
      {"load from the monitor", with_address({0x49, 0xb8}, &victim, {0x41, 0x8b, 0x00}), "read of 4 bytes"},
      {"store to the code map", {0x41, 0x89, 0x04, 0x24}, "write of 4 bytes"},
      {"jump to the monitor",
       with_address({0x49, 0xb8}, reinterpret_cast<const void*>(&::getpid), {0x41, 0xff, 0xe0}),
       "control went to"},
      {"jump into the window", {0x65, 0x67, 0xff, 0x24, 0x25, 0, 0, 0, 0}, "control went to"},
      {"write of GS", {0x8e, 0xe8}, "mov"},
      {"another GS base", {0xf3, 0x48, 0x0f, 0xae, 0xd8}, "wrgsbase"},
      {"pop of the return stack's end", {0x48, 0x8d, 0x64, 0x24, 0x78, 0x58}, "read of 8 bytes"}};
}

Program room() {
  Program program;
  program.state.eip = kCodeBase;
  program.state.eflags = 0x202;
  program.state.gpr[x86::kEsp] = kDataBase + 0x1000;
  for (unsigned n = 0; n < 8; ++n) program.code.insert(program.code.end(), {0xb8, 0, 0, 0, 0});
  program.code.push_back(0xcc);
  return program;
}

/// Where `room()` was translated to.
uint8_t* place_of_room(EngineMachine& machine) {
  EXPECT_EQ(machine.run(room(), 1000).reason, cpu::ExitReason::Halted);
  const translate::TranslationCache& cache = machine.engine()->cache();
  uint32_t at = 0;
  while (cache.unit_at(at) == nullptr) at += 16;
  return cache.memory().writable(at);
}

TEST_P(Traced, SeesWhatIsPlanted) {
  uint8_t* const code = place_of_room(machine_);
  for (const Planted& bad : planted()) {
    std::array<uint8_t, 40> before{};
    std::memcpy(before.data(), code, before.size());
    std::memcpy(code, bad.bytes.data(), bad.bytes.size());
    const TraceReport report =
        trace(*machine_.engine(), [&] { static_cast<void>(machine_.run(room(), 1000, 2'000'000)); });
    std::memcpy(code, before.data(), before.size());
    if (!report.unavailable.empty()) GTEST_SKIP() << "this host does not allow " << report.unavailable;
    EXPECT_NE(report.violation.find(bad.found), std::string::npos) << bad.name << ": " << report.violation;
  }
  const TraceReport report =
      trace(*machine_.engine(), [&] { static_cast<void>(machine_.run(room(), 1000)); });
  EXPECT_EQ(report.violation, "");
  EXPECT_TRUE(report.finished);
}

// What no operand tells: here another thread does it, while translated code is watched.
TEST_P(Traced, ComparesMemory) {
  const TraceReport report = trace(*machine_.engine(), [&] {
    std::thread([&] {
      for (;;) ++victim;
    }).detach();
    for (unsigned n = 0; n < 10000; ++n) static_cast<void>(machine_.run(room(), 1000));
  });
  if (!report.unavailable.empty()) GTEST_SKIP() << "this host does not allow " << report.unavailable;
  EXPECT_NE(report.violation.find("has changed"), std::string::npos) << report.violation;
}

// A kick at each instruction of the way in, where the registers are half the guest's: floating-point state
// and the direction flag, too. It takes no single step to come back.
TEST_P(Traced, KickedOnTheWayIn) {
  Program program = room();
  program.code = {0xfd, 0xb9, 0x40, 0x00, 0x00, 0x00, 0xd9, 0xe8,  // std; mov ecx, 64; fld1
                  0x0f, 0x31, 0xd9, 0xe8, 0xde, 0xc1,              // 1: rdtsc; fld1; faddp
                  0x49, 0x75, 0xf7, 0xdd, 0x1f, 0xcc};             // dec ecx; jnz 1b; fstp qword [edi]; int3
  program.state.gpr[x86::kEdi] = kDataBase;
  EngineMachine interpreted(EngineUsed::None);
  const Ending expected = interpreted.run(program, 10'000);
  ASSERT_EQ(expected.reason, cpu::ExitReason::Halted);
  const auto steps = [&] {
    return uint64_t{machine_.engine()->counters().traps[static_cast<size_t>(translate::Trap::Step)]};
  };
  const TraceReport report = trace(
      *machine_.engine(),
      [&] {
        const Ending ending = machine_.run(program, 10'000);
        const std::string different = difference(interpreted, expected, machine_, ending);
        if (different.empty() && steps() == 0) return;
        fmt::print(stderr, "{} steps; {}\n", steps(), different);
        std::_Exit(3);
      },
      TraceKicks::OnTheWayIn);
  if (!report.unavailable.empty()) GTEST_SKIP() << "this host does not allow " << report.unavailable;
  EXPECT_EQ(report.violation, "");
  EXPECT_TRUE(report.finished);
  EXPECT_GT(report.kicks, 20u);
}

TEST_P(Traced, CallBanKills) {
  uint8_t* const code = place_of_room(machine_);
  const auto run = [&] {
    if (!ban_system_calls({machine_.engine()})) {
      std::fprintf(stderr, "no seccomp\n");
      std::_Exit(77);
    }
    static_cast<void>(machine_.run(room(), 1000));
    std::_Exit(0);
  };
  const auto died = [](int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; };
  const auto lived = [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; };
  EXPECT_EXIT(run(), lived, "");
  const uint8_t call[][7] = {{0xb8, 39, 0, 0, 0, 0x0f, 0x05}, {0xb8, 20, 0, 0, 0, 0xcd, 0x80}};  // getpid
  for (const auto& bytes : call) {
    std::memcpy(code, bytes, sizeof bytes);
    EXPECT_EXIT(run(), died, "");
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Traced,
                         testing::Values(EngineUsed::Translate, EngineUsed::Trap, EngineUsed::Counted),
                         [](const auto& parameter) { return name_of(parameter.param); });

}  // namespace
}  // namespace vitrine::engines

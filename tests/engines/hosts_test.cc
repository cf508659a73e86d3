// Hosts with less than usual: what native engines do without, and that they still are right. What they cannot
// do without is said by host_can_translate() (src/translate/host_support_test.cc). See docs/hosts.md.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "engines/engine_machine.h"
#include "engines/verifier.h"
#include "paging/mapping_budget.h"
#include "x86/registers.h"

namespace vitrine::engines {
namespace {

using translate::HostSupport;

constexpr uint64_t kGiB = uint64_t{1} << 30;

// Calls, indirect ones too, in a loop; pages of data and stack; a system call.
Program busy_program() {
  Program program;
  program.code = {0xbb, 0xe8, 0x03, 0x00, 0x00,                    // mov ebx, 1000
                  0xbe, 0x20, 0x00, 0x00, 0x20,                    // mov esi, f
                  0xff, 0xd6,                                      // 1: call esi
                  0x89, 0x1f, 0x89, 0x9f, 0x00, 0x60, 0x00, 0x00,  // mov [edi], ebx; mov [edi + 6000h], ebx
                  0x4b, 0x75, 0xf3,                                // dec ebx; jnz 1b
                  0xcd, 0x80, 0xcc};                               // int 80h; int3
  program.code.resize(0x20, 0xcc);
  program.code.insert(program.code.end(), {0x01, 0xd8, 0xc3});  // f: add eax, ebx; ret
  program.system_call = {0xff, 0xc1, 0xcf};                     // inc ecx; iret
  program.state.eip = kCodeBase;
  program.state.eflags = 0x202;
  program.state.gpr[x86::kEsp] = kDataBase + 0x1800;
  program.state.gpr[x86::kEdi] = kDataBase + 0x400;
  program.state.unit[0] = 0x7f;  // FCW and MXCSR
  program.state.unit[1] = 0x03;
  program.state.unit[24] = 0x80;
  program.state.unit[25] = 0x1f;
  return program;
}

/// Empty when an engine on such a host does what the interpreter does.
std::string difference_on(const HostSupport& host) {
  EngineMachine interpreted(EngineUsed::None);
  EngineMachine native(EngineUsed::Translate, {.host = host});
  const Program program = busy_program();
  const Ending expected = interpreted.run(program, 1'000'000);
  const Ending ending = native.run(program, 1'000'000);
  std::string text = difference(interpreted, expected, native, ending);
  if (native.engine()->counters().entries == 0) text += "nothing ran natively\n";
  return text + verify_translations(*native.engine());
}

TEST(Hosts, WithoutFsgsbase) {
  EXPECT_EQ(difference_on({.fsgsbase = false}), "");
}

// Without tables of targets, and with few spaces.
TEST(Hosts, WhereMemoryIsPromisedStrictly) {
  EXPECT_EQ(difference_on({.commits_strictly = true, .commit = kGiB}), "");
}

TEST(Hosts, WithFewMappings) {
  EXPECT_EQ(difference_on({.mappings = 1024}), "");
  EXPECT_EQ(paging::MappingBudget::share_of(1024), 512u);
  EXPECT_EQ(paging::MappingBudget::share_of(65530), 63530u);
}

TEST(Hosts, EngineSaysWhatTheHostLacks) {
  memory::PhysicalMap map;
  const auto model = cpu::CpuModel::create("max");
  const auto engine = translate::Engine::create(map, *model, {.host = HostSupport{.addresses = kGiB}});
  ASSERT_FALSE(engine.has_value());
  EXPECT_NE(engine.error().message().find("ulimit -v"), std::string::npos) << engine.error().message();
}

// The least that is enough, and more: tables and further spaces are taken only where there is room besides.
TEST(HostsDeathTest, WithLittleAddressSpace) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer takes more addresses than that";
#endif
  for (const uint64_t gigabytes : {14, 20, 34, 48}) {
    const auto limited = [&] {
      const struct rlimit limit { gigabytes *kGiB, gigabytes *kGiB };
      ::setrlimit(RLIMIT_AS, &limit);
      const std::string found = difference_on(translate::probe_host());
      std::fprintf(stderr, "%s\n", found.c_str());
      std::_Exit(found.empty() ? 0 : 1);
    };
    EXPECT_EXIT(limited(), testing::ExitedWithCode(0), "") << gigabytes << " GiB";
  }
}

}  // namespace
}  // namespace vitrine::engines

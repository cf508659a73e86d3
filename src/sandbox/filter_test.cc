// The filter's code against two others: what its rules say, read one after the other, and what libseccomp
// makes of the same rules.
#include "sandbox/filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <set>

#include "base/descriptor.h"

namespace vitrine::sandbox {
namespace {

constexpr int kLastCall = 480;

/// As the kernel does it (linux/filter.h), for the instructions that seccomp allows and filters use.
uint32_t run_filter(const std::vector<sock_filter>& code, const seccomp_data& call) {
  uint32_t accumulator = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& step = code[at];
    bool holds = false;
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&call) + step.k, sizeof accumulator);
        continue;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= step.k; continue;
      case BPF_RET | BPF_K: return step.k;
      case BPF_JMP | BPF_JA: at += step.k; continue;
      case BPF_JMP | BPF_JEQ | BPF_K: holds = accumulator == step.k; break;
      case BPF_JMP | BPF_JGE | BPF_K: holds = accumulator >= step.k; break;
      case BPF_JMP | BPF_JGT | BPF_K: holds = accumulator > step.k; break;
      case BPF_JMP | BPF_JSET | BPF_K: holds = (accumulator & step.k) != 0; break;
      default: ADD_FAILURE() << "instruction " << step.code; return 0;
    }
    at += holds ? step.jt : step.jf;
  }
  ADD_FAILURE() << "the filter ran off its end";
  return 0;
}

uint32_t said_by_rules(const std::vector<FilterRule>& rules, const FilterActions& actions,
                       const seccomp_data& call) {
  const auto number = static_cast<uint32_t>(call.nr);
  std::array<uint64_t, 6> arguments{};
  std::copy(std::begin(call.args), std::end(call.args), arguments.begin());
  if (call.arch != AUDIT_ARCH_X86_64 || (number >= 0x40000000 && number != 0xffffffff))
    return actions.other_entry;
  for (const FilterRule& rule : rules) {
    if (rule.number == call.nr && holds(rule.conditions[0], arguments) &&
        holds(rule.conditions[1], arguments))
      return rule.action;
  }
  return actions.otherwise;
}

std::vector<sock_filter> compile_by_libseccomp(const std::vector<FilterRule>& rules,
                                               const FilterActions& actions) {
  using Context = std::unique_ptr<void, decltype([](void* context) { ::seccomp_release(context); })>;
  const Context context(::seccomp_init(actions.otherwise));
  EXPECT_EQ(::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, actions.other_entry), 0);
  for (const FilterRule& rule : rules) {
    std::vector<scmp_arg_cmp> comparisons;
    for (const Condition& condition : rule.conditions) {
      const unsigned argument = condition.argument;
      if (condition.test == Test::Equal) comparisons.push_back({argument, SCMP_CMP_EQ, condition.value, 0});
      if (condition.test == Test::NotAbove)
        comparisons.push_back({argument, SCMP_CMP_LE, condition.value, 0});
      if (condition.test == Test::MaskedEqual)
        comparisons.push_back({argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value});
    }
    const int added = ::seccomp_rule_add_array(context.get(), rule.action, rule.number,
                                               static_cast<unsigned>(comparisons.size()), comparisons.data());
    EXPECT_TRUE(added == 0 || added == -EEXIST) << rule.number << ": " << added;
  }
  const Descriptor file(::memfd_create("filter", MFD_CLOEXEC));
  EXPECT_EQ(::seccomp_export_bpf(context.get(), file.get()), 0);
  std::vector<sock_filter> code(static_cast<size_t>(::lseek(file.get(), 0, SEEK_END)) / sizeof(sock_filter));
  EXPECT_GT(::pread(file.get(), code.data(), code.size() * sizeof(sock_filter), 0), 0);
  return code;
}

/// Values at and beside every edge that the rules of a call have, and some others.
std::vector<uint64_t> telling_values(const std::vector<FilterRule>& rules, int number) {
  std::set<uint64_t> values = {0, 1, 0xffffffff, 0x100000000, ~uint64_t{0}};
  for (const FilterRule& rule : rules) {
    if (rule.number != number) continue;
    for (const Condition& condition : rule.conditions) {
      if (condition.test == Test::None) continue;
      for (const uint64_t base : {condition.value, condition.mask, condition.value | ~condition.mask}) {
        for (const uint64_t flip : {uint64_t{0}, uint64_t{1} << 32, uint64_t{1} << 63}) {
          values.insert({base ^ flip, (base + 1) ^ flip, (base - 1) ^ flip});
        }
      }
    }
  }
  return {values.begin(), values.end()};
}

void compare(const FilterSpec& spec, std::mt19937_64& random) {
  const std::vector<FilterRule> rules = filter_rules(spec);
  const FilterActions actions = filter_actions(spec.denied);
  const std::vector<sock_filter> ours = Filter::make(spec).code();
  const std::vector<sock_filter> theirs = compile_by_libseccomp(rules, actions);
  EXPECT_LT(ours.size(), theirs.size());
  const auto check = [&](const seccomp_data& call) {
    const uint32_t answer = run_filter(ours, call);
    ASSERT_EQ(answer, said_by_rules(rules, actions, call)) << call_name(call.arch, call.nr);
    ASSERT_EQ(answer, run_filter(theirs, call)) << call_name(call.arch, call.nr);
  };
  for (const uint32_t number : {0xffffffffU, 0xfffffffeU, 0x40000000U, 0x40000001U, 0x3fffffffU}) {
    check({static_cast<int>(number), AUDIT_ARCH_X86_64, 0, {}});
  }
  for (int number = 0; number <= kLastCall; ++number) {
    check({number, AUDIT_ARCH_I386, 0, {}});
    check({number | 0x40000000, AUDIT_ARCH_X86_64, 0, {}});
    const std::vector<uint64_t> values = telling_values(rules, number);
    const auto any = [&] { return values[random() % values.size()]; };
    for (const uint64_t value : values) {
      // Two conditions at most, on the first four arguments.
      for (unsigned argument = 0; argument < 4; ++argument) {
        seccomp_data call{number, AUDIT_ARCH_X86_64, 0, {any(), any(), any(), any(), any(), any()}};
        call.args[argument] = value;
        check(call);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(Filter, AnswersAsItsRulesSayAndAsLibseccompWould) {
  std::mt19937_64 random(1);
  constexpr uint32_t kEveryRight = right_bit(Right::Never) - 1;
  std::vector<uint32_t> rights = {right_bit(Right::Compute), kEveryRight};
  for (int i = 0; i < 6; ++i) rights.push_back((static_cast<uint32_t>(random()) & kEveryRight) | 1);
  for (const uint32_t held : rights) {
    for (const DeniedCall denied : {DeniedCall::Notify, DeniedCall::Fail, DeniedCall::Kill}) {
      for (const std::optional<uint64_t> largest :
           {std::optional<uint64_t>(), std::optional<uint64_t>(uint64_t{64} << 20),
            std::optional<uint64_t>(uint64_t{5} << 32)}) {
        compare({held, denied, largest, 64, denied == DeniedCall::Notify && largest.has_value()}, random);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Filter, LooksAtTheOwnProcessAlone) {
  FilterSpec spec;
  std::vector<sock_filter> code = Filter::make(spec).code();
  Filter::set_process(code, 4711);
  seccomp_data call{SYS_kill, AUDIT_ARCH_X86_64, 0, {4711, 9}};
  EXPECT_EQ(run_filter(code, call), SECCOMP_RET_ALLOW);
  call.args[0] = 4712;
  EXPECT_EQ(run_filter(code, call), SECCOMP_RET_ERRNO | EPERM);
}

}  // namespace
}  // namespace vitrine::sandbox

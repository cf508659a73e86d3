#include "translate/host_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace vitrine::translate {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const HostSupport& host, unsigned processors = 1) {
  const Result<void> possible = host_can_translate(host, processors);
  return possible ? "" : possible.error().message();
}

constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(HostSupport, ThisHostTranslates) {
  EXPECT_EQ(refusal(probe_host()), "");
}

TEST(HostSupport, SaysWhatIsMissingAndWhatToDo) {
  EXPECT_EQ(refusal(HostSupport{}), "");
  EXPECT_THAT(refusal({.addresses = 4 * kGiB}),
              AllOf(HasSubstr("4.0 GiB more"), HasSubstr("ulimit -v"), HasSubstr("--engine interpret")));
  EXPECT_THAT(refusal({.mappings = 500}), AllOf(HasSubstr("is 500"), HasSubstr("sysctl vm.max_map_count")));
  EXPECT_THAT(refusal({.commits_strictly = true, .commit = 100 << 20}),
              AllOf(HasSubstr("there are 100"), HasSubstr("vm.overcommit_ratio"), HasSubstr("ulimit -d")));
  EXPECT_THAT(refusal({.code_errno = EACCES}),
              AllOf(HasSubstr("executable"), HasSubstr("Permission denied")));
  EXPECT_THAT(refusal({.timer_errno = EAGAIN}), HasSubstr("ulimit -i"));
  EXPECT_THAT(refusal({.fsgsbase = false, .gs_base_errno = EPERM}), HasSubstr("arch_prctl"));
}

TEST(HostSupport, SlowerOrLessIsEnough) {
  EXPECT_EQ(refusal({.fsgsbase = false}), "");
  EXPECT_EQ(refusal({.mappings = 2000}), "");
  EXPECT_EQ(refusal({.commits_strictly = true, .commit = kGiB}), "");
}

TEST(HostSupport, MoreProcessorsTakeMore) {
  const HostSupport host{.addresses = 16 * kGiB};
  EXPECT_EQ(refusal(host, 1), "");
  EXPECT_THAT(refusal(host, 2), HasSubstr("21 GiB"));
}

// Limits of the host's own, in processes of their own.
TEST(HostSupportDeathTest, SeesTheLimitOnData) {
  const auto limited = [](uint64_t size) {
    const struct rlimit limit { size, size };
    ::setrlimit(RLIMIT_DATA, &limit);
    const HostSupport host = probe_host();
    std::fprintf(stderr, "%s\n", refusal(host).c_str());
    std::_Exit(!host.commits_strictly ? 1 : refusal(host).empty() ? 2 : 0);
  };
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer takes more than that";
#endif
  EXPECT_EXIT(limited(kGiB / 4), testing::ExitedWithCode(0), "ulimit -d unlimited");
  EXPECT_EXIT(limited(kGiB), testing::ExitedWithCode(2), "");
}

TEST(HostSupportDeathTest, SeesTheLimitOnAddresses) {
  const auto limited = [] {
    const struct rlimit limit { 6 * kGiB, 6 * kGiB };
    ::setrlimit(RLIMIT_AS, &limit);
    std::fprintf(stderr, "%s\n", refusal(probe_host()).c_str());
    std::_Exit(refusal(probe_host()).empty() ? 1 : 0);
  };
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer takes more addresses than that";
#endif
  EXPECT_EXIT(limited(), testing::ExitedWithCode(0), "may have .* GiB more .*ulimit -v unlimited");
}

}  // namespace
}  // namespace vitrine::translate

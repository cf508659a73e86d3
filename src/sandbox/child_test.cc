#include "sandbox/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

namespace vitrine::sandbox {
namespace {

using namespace std::chrono_literals;

struct Run {
  Outcome outcome;
  std::string output;
};

/// Runs a program and takes what it writes to its standard output.
Result<Run> run(const Policy& policy, std::vector<std::string> arguments,
                std::vector<Mechanism> without = {}) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(error_from_errno("pipe2", ""));
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  SpawnRequest request{.arguments = std::move(arguments),
                       .environment = {"PATH=/usr/bin:/bin", "LANG=C"},
                       .descriptors = {{1, writer.get()}, {2, 2}},
                       .without = std::move(without)};
  auto child = Child::spawn(policy, request);
  if (!child) return std::unexpected(child.error());
  writer.reset();
  Run result;
  std::thread collector([&] {
    char part[4096];
    for (ssize_t size; (size = ::read(reader.get(), part, sizeof part)) > 0;) {
      result.output.append(part, static_cast<size_t>(size));
    }
  });
  auto outcome = child->wait();
  collector.join();
  if (!outcome) return std::unexpected(outcome.error());
  result.outcome = *std::move(outcome);
  return result;
}

/// With everything, and with one way to confine after the other left out.
const std::vector<std::vector<Mechanism>> kHosts = {
    {},
    {Mechanism::UserNamespace, Mechanism::MountNamespace, Mechanism::PidNamespace,
     Mechanism::NetworkNamespace, Mechanism::IpcNamespace, Mechanism::UtsNamespace,
     Mechanism::CgroupNamespace, Mechanism::TimeNamespace},
    {Mechanism::Landlock},
    {Mechanism::SeccompNotification},
    {Mechanism::OtherUser},
};

TEST(Child, RunsAProgramAndSaysHowItEnded) {
  for (const auto& without : kHosts) {
    const auto echo = run(Policy::compute_only(), {"/bin/echo", "hi"}, without);
    ASSERT_TRUE(echo) << echo.error().message();
    EXPECT_EQ(echo->outcome.end, Outcome::End::Exited);
    EXPECT_EQ(echo->outcome.status, 0);
    EXPECT_EQ(echo->output, "hi\n");
    const auto wrong = run(Policy::compute_only(), {"false"}, without);
    ASSERT_TRUE(wrong) << wrong.error().message();
    EXPECT_EQ(wrong->outcome.status, 1);
  }
}

TEST(Child, HasNamespacesOfItsOwn) {
  constexpr std::pair<Mechanism, const char*> kOwn[] = {
      {Mechanism::MountNamespace, "mnt"},   {Mechanism::PidNamespace, "pid"},
      {Mechanism::NetworkNamespace, "net"}, {Mechanism::IpcNamespace, "ipc"},
      {Mechanism::UtsNamespace, "uts"},     {Mechanism::CgroupNamespace, "cgroup"},
      {Mechanism::TimeNamespace, "time"},
  };
  const HostFeatures host = HostFeatures::probe();
  if (!host.has(Mechanism::ProcFileSystem)) GTEST_SKIP() << "no /proc of its own: it cannot be asked";
  for (const auto& [mechanism, name] : kOwn) {
    if (!host.has(mechanism)) continue;
    const std::string path = fmt::format("/proc/self/ns/{}", name);
    const std::string ours = std::filesystem::read_symlink(path).string();
    const auto own = run(Policy::compute_only(), {"readlink", path});
    ASSERT_TRUE(own) << own.error().message();
    EXPECT_TRUE(own->output.starts_with(fmt::format("{}:[", name))) << own->output;
    EXPECT_NE(own->output, ours + "\n");
    // What the others see is what says that this can fail.
    const auto shared = run(Policy::compute_only(), {"readlink", path}, {mechanism});
    if (mechanism != Mechanism::MountNamespace && mechanism != Mechanism::PidNamespace) {
      ASSERT_TRUE(shared) << shared.error().message();
      EXPECT_EQ(shared->output, ours + "\n");
    }
  }
}

TEST(Child, ReadsWhatWasGrantedAndNothingElse) {
  for (const auto& without : kHosts) {
    const auto denied = run(Policy::compute_only(), {"cat", "/etc/passwd"}, without);
    ASSERT_TRUE(denied) << denied.error().message();
    EXPECT_EQ(denied->outcome.status, 1);
    EXPECT_EQ(denied->output, "");
    const auto granted = run(Policy::compute_only().read("/etc/passwd"), {"cat", "/etc/passwd"}, without);
    ASSERT_TRUE(granted) << granted.error().message();
    EXPECT_EQ(granted->outcome.status, 0);
    EXPECT_NE(granted->output.find("root"), std::string::npos);
  }
}

TEST(Child, StartsOtherProgramsOnlyIfItMay) {
  Policy policy = Policy::compute_only().read("/usr/bin").limit({.processes = 4});
  for (const auto& without : kHosts) {
    const auto denied = run(policy, {"/bin/sh", "-c", "/usr/bin/id; :"}, without);
    ASSERT_TRUE(denied) << denied.error().message();
    EXPECT_EQ(denied->output, "");
    const auto granted =
        run(Policy(policy).allow(MayStartPrograms{}), {"/bin/sh", "-c", "/usr/bin/id; :"}, without);
    ASSERT_TRUE(granted) << granted.error().message();
    EXPECT_NE(granted->output.find("uid="), std::string::npos) << granted->output;
  }
}

TEST(Child, EndsAtItsLimits) {
  for (const auto& without : kHosts) {
    const auto slow = run(Policy::compute_only().limit({.wall_time = 50ms}), {"sleep", "100"}, without);
    ASSERT_TRUE(slow) << slow.error().message();
    EXPECT_EQ(slow->outcome.end, Outcome::End::LimitExceeded);
    EXPECT_EQ(slow->outcome.limit, LimitKind::WallTime);
    const auto busy = run(Policy::compute_only().limit({.processor_time = 50ms}),
                          {"sh", "-c", "while :; do :; done"}, without);
    ASSERT_TRUE(busy) << busy.error().message();
    EXPECT_EQ(busy->outcome.limit, LimitKind::ProcessorTime);
  }
}

TEST(Child, ReportsADeniedCall) {
  const auto result = run(Policy::compute_only(), {"sh", "-c", "(exit 3)"});
  ASSERT_TRUE(result) << result.error().message();
  ASSERT_FALSE(result->outcome.violations.empty());
  EXPECT_EQ(result->outcome.violations[0].missing, Right::Processes);
  const auto ended = run(Policy::compute_only().on_violation(OnViolation::End), {"sh", "-c", "(exit 3)"});
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->outcome.end, Outcome::End::Violation);
}

TEST(Child, DoesNotStartWithoutAGuaranteeThatIsWanted) {
  const auto result = run(Policy::compute_only(), {"true"}, {Mechanism::SeccompFilter});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("system-calls"), std::string::npos) << result.error().message();
  const auto files = run(Policy::compute_only(), {"true"}, {Mechanism::Landlock, Mechanism::MountNamespace});
  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message().find("files"), std::string::npos) << files.error().message();
}

TEST(Child, SaysWhatIsWrongWithAProgram) {
  const auto absent = run(Policy::compute_only(), {"/no/such/program"});
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().message().find("/no/such/program"), std::string::npos);
  const auto text = run(Policy::compute_only(), {"/etc/passwd"});
  ASSERT_FALSE(text);
}

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// What a box could leave behind in this process and on the host.
struct Holdings {
  size_t descriptors = open_descriptors();
  size_t mounts = 0;
  size_t control_groups = 0;
  long resident = 0;  ///< KiB.

  Holdings() {
    std::ifstream mount_table("/proc/self/mountinfo");
    for (std::string line; std::getline(mount_table, line);) ++mounts;
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      if (word == "VmRSS:") status >> resident;
    }
    const CgroupPlaces places = find_cgroup_places();
    const std::string ours = "vitrine-" + std::to_string(::getpid()) + "-";
    for (const std::string& place :
         {places.unified, places.unified_parent, places.memory, places.processes}) {
      std::error_code error;
      for (const auto& entry : std::filesystem::directory_iterator(place, error))
        control_groups += entry.path().filename().string().starts_with(ours) ? 1 : 0;
    }
  }
};

void spawn_in_threads(int spawns) {
  const auto loop = [&] {
    for (int i = 0; i < spawns / 4; ++i) {
      Policy policy = Policy::compute_only();
      if (i % 8 == 3) policy.limit({.memory = uint64_t{64} << 20});
      auto child = Child::spawn(policy, {.arguments = {"/bin/true"}});
      ASSERT_TRUE(child) << child.error().message();
      if (i % 2 == 0) continue;  // Killed by its end of life, at any point of its own.
      ASSERT_TRUE(child->wait());
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(loop);
}

TEST(Child, LeavesNothingBehindInAProcessWithThreads) {
  // The long form: VITRINE_SPAWNS=100000.
  const char* wanted = ::getenv("VITRINE_SPAWNS");
  const int spawns = wanted != nullptr ? ::atoi(wanted) : 200;
  spawn_in_threads(40);  // What the allocator keeps for each thread.
  const Holdings before;
  spawn_in_threads(spawns);
  const Holdings after;
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_EQ(after.mounts, before.mounts);
  EXPECT_EQ(after.control_groups, 0U);
#ifndef __SANITIZE_ADDRESS__  // It keeps what has been freed.
  constexpr long kAllocator = 4 << 10;
  EXPECT_LT(after.resident, before.resident + kAllocator);
#endif
  if (wanted != nullptr) {
    GTEST_LOG_(INFO) << spawns << " starts: resident memory " << before.resident << " KiB before, "
                     << after.resident << " after";
  }
  EXPECT_EQ(::kill(0, 0), 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace vitrine::sandbox

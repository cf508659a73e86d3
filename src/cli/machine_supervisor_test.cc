// A supervisor whose machine process lies, floods, is silent or dies. The machine process here is a child of
// the test's own that runs a few lines.
#include "cli/machine_supervisor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "capability/scratch_directory_for_test.h"
#include "cli/host_signals.h"
#include "cli/machine_channel.h"

namespace vitrine::cli {
namespace {

using machine::FileContents;
using testing::HasSubstr;
using testing::IsEmpty;

class MachineSupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    ::sigprocmask(SIG_BLOCK, nullptr, &old_signals_);
    old_ = std::filesystem::current_path();
    std::filesystem::current_path(scratch_.path());
    auto files = GrantedFiles::create({});
    ASSERT_TRUE(files.has_value());
    files_.emplace(*std::move(files));
    auto signals = take_supervisor_signals();
    ASSERT_TRUE(signals.has_value());
    signals_ = *std::move(signals);
  }
  void TearDown() override {
    std::filesystem::current_path(old_);
    ::sigprocmask(SIG_SETMASK, &old_signals_, nullptr);
  }

  /// `body` is the machine process; its result is the status. `meanwhile` runs beside it, in another process.
  MachineSupervisor::Ending supervise(const std::function<int(int channel)>& body,
                                      const std::function<void(pid_t supervisor)>& meanwhile = {}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    const pid_t supervisor = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      ::_exit(body(ends[1]));
    }
    ::close(ends[1]);
    const pid_t helper = meanwhile ? ::fork() : -1;
    if (helper == 0) {
      meanwhile(supervisor);
      ::_exit(0);
    }
    MachineProcess process{pid, Descriptor(ends[0])};
    const auto ending = MachineSupervisor(std::move(process), signals_, *files_).run();
    if (helper > 0) ::waitpid(helper, nullptr, 0);
    return ending;
  }

  static bool ask(int channel, std::string_view path) {
    return send_packet(
        channel,
        encode(MachineRequest{MachineRequest::Kind::CreateFile, FileContents::Picture, std::string(path)}),
        -1, 0);
  }
  static Received receive(int channel) {
    std::array<char, kLongestPacket> buffer{};
    return receive_packet(channel, buffer, Attached::MayBeOne, 0);
  }
  /// Waits to be killed.
  static int wait_for_death() {
    for (;;) ::pause();
  }
  void is_killed(const std::function<int(int channel)>& body, std::string_view why) {
    const auto ending = supervise(body);
    EXPECT_EQ(ending.status, 128 + SIGKILL);
    EXPECT_THAT(ending.words, HasSubstr(std::string(why)));
  }

  capability::ScratchDirectory scratch_;
  std::filesystem::path old_;
  sigset_t old_signals_{};
  std::optional<GrantedFiles> files_;
  Descriptor signals_;
};

TEST_F(MachineSupervisorTest, TheMachinesStatusIsOurs) {
  const auto ending = supervise([](int) { return 33; });
  EXPECT_EQ(ending.status, 33);
  EXPECT_THAT(ending.words, IsEmpty());
}

TEST_F(MachineSupervisorTest, ADeathIsToldWithItsSignal) {
  const auto ending = supervise([](int) {
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(ending.status, 128 + SIGKILL);
  EXPECT_THAT(ending.words, HasSubstr("died of signal 9"));
}

TEST_F(MachineSupervisorTest, AFileIsMadeAndHandedOver) {
  const auto ending = supervise([](int channel) {
    if (!ask(channel, "a.png")) return 1;
    const Received received = receive(channel);
    return received.descriptor && ::write(received.descriptor.get(), "picture", 7) == 7 ? 0 : 2;
  });
  EXPECT_EQ(ending.status, 0);
  EXPECT_EQ(std::filesystem::file_size(scratch_.path("a.png")), 7u);
}

TEST_F(MachineSupervisorTest, WhatIsRefusedIsTold) {
  const auto ending = supervise([](int channel) {
    std::array<char, kLongestPacket> buffer{};
    if (!ask(channel, "/etc/passwd")) return 1;
    const Received received = receive_packet(channel, buffer, Attached::MayBeOne, 0);
    const auto answer = decode_answer({buffer.data(), static_cast<size_t>(received.size)});
    return answer && !answer->granted && !received.descriptor && !answer->text.empty() ? 0 : 2;
  });
  EXPECT_EQ(ending.status, 0);
}

TEST_F(MachineSupervisorTest, GarbageEndsIt) {
  is_killed(
      [](int channel) {
        (void)send_packet(channel, "garbage", -1, 0);
        return wait_for_death();
      },
      "what no machine sends");
}

TEST_F(MachineSupervisorTest, HalfAPacketEndsIt) {
  is_killed(
      [](int channel) {
        const std::string whole =
            encode(MachineRequest{MachineRequest::Kind::CreateFile, FileContents::Picture, "a"});
        (void)send_packet(channel, std::string_view(whole).substr(0, 10), -1, 0);
        return wait_for_death();
      },
      "what no machine sends");
}

TEST_F(MachineSupervisorTest, AHugePacketEndsIt) {
  is_killed(
      [](int channel) {
        (void)send_packet(channel, std::string(100'000, 'x'), -1, 0);
        return wait_for_death();
      },
      "what no machine sends");
}

TEST_F(MachineSupervisorTest, ADescriptorThatNobodyAskedForEndsIt) {
  is_killed(
      [](int channel) {
        const std::string request =
            encode(MachineRequest{MachineRequest::Kind::CreateFile, FileContents::Picture, "a"});
        (void)send_packet(channel, request, STDERR_FILENO, 0);
        return wait_for_death();
      },
      "out of turn");
}

TEST_F(MachineSupervisorTest, ReadyTwiceEndsIt) {
  is_killed(
      [](int channel) {
        (void)send_packet(channel, encode(MachineRequest{}), -1, 0);
        (void)send_packet(channel, encode(MachineRequest{}), -1, 0);
        return wait_for_death();
      },
      "out of turn");
}

// What is always readable must not keep the supervisor busy.
TEST_F(MachineSupervisorTest, AListenerThatIsNoneEndsIt) {
  is_killed(
      [](int channel) {
        const Descriptor file(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
        (void)send_packet(channel, encode(MachineRequest{}), file.get(), 0);
        return wait_for_death();
      },
      "what no machine sends");
}

TEST_F(MachineSupervisorTest, AnswersThatAreNotTakenEndIt) {
  is_killed(
      [](int channel) {
        for (int i = 0; i < 100'000; ++i) {
          if (!ask(channel, "/etc/passwd")) break;
        }
        return wait_for_death();
      },
      "does not take the answers");
}

TEST_F(MachineSupervisorTest, AFloodOfRequestsWaits) {
  const auto ending = supervise([](int channel) {
    for (int i = 0; i < 200; ++i) {
      if (!ask(channel, "/etc/passwd") || receive(channel).size <= 0) return 1;
    }
    return 0;
  });
  EXPECT_EQ(ending.status, 0);
}

TEST_F(MachineSupervisorTest, DeathInTheMiddleOfARequest) {
  const auto ending = supervise([](int channel) {
    (void)ask(channel, "a.png");
    return 5;
  });
  EXPECT_EQ(ending.status, 5);
}

TEST_F(MachineSupervisorTest, SilenceIsNoReasonToStop) {
  const auto ending = supervise([](int channel) {
    ::close(channel);
    ::usleep(100'000);
    return 7;
  });
  EXPECT_EQ(ending.status, 7);
}

TEST_F(MachineSupervisorTest, SignalsArePassedOn) {
  for (const int signal : {SIGTERM, SIGHUP, SIGINT, SIGUSR1}) {
    const auto ending = supervise(
        [&](int) {
          sigset_t all;
          ::sigfillset(&all);
          ::sigprocmask(SIG_SETMASK, &all, nullptr);
          int came = 0;
          ::sigwait(&all, &came);
          return came;
        },
        [&](pid_t supervisor) { ::kill(supervisor, signal); });
    EXPECT_EQ(ending.status, signal);
  }
}

TEST_F(MachineSupervisorTest, WhoDoesNotEndIsKilledAtTheSecondRequest) {
  const auto ending = supervise(
      [](int) {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        return wait_for_death();
      },
      [](pid_t supervisor) {
        ::kill(supervisor, SIGTERM);
        ::kill(supervisor, SIGTERM);  // At once: the same request.
        ::usleep(1'500'000);
        ::kill(supervisor, SIGTERM);
      });
  EXPECT_EQ(ending.status, 128 + SIGKILL);
  EXPECT_THAT(ending.words, HasSubstr("came a second time"));
}

}  // namespace
}  // namespace vitrine::cli

// The C interface: programs that confine themselves, and programs that are run confined.
#include "vitrine/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace {

/// Runs `body` in a process of its own and returns how that ended, as waitpid(2) does.
int in_a_process(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(99);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

/// What happens when `attempt` is made inside.
int inside(const std::function<void()>& attempt) {
  return in_a_process([&] {
    if (EnterSandbox() != 0) ::_exit(98);
    attempt();
    LeaveSandbox(7);
  });
}

bool killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST(EnterSandbox, LeavesReadingWritingAndLeaving) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer makes system calls of its own between two of the program's";
#endif
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int status = in_a_process([&] {
    ::dup2(ends[1], 1);
    if (EnterSandbox() != 0) ::_exit(98);
    const bool wrote = ::write(1, "inside", 6) == 6;
    LeaveSandbox(wrote ? 7 : 8);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  char text[6];
  EXPECT_EQ(::read(ends[0], text, 6), 6);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(EnterSandbox, EndsWhoeverDoesAnythingElse) {
  EXPECT_TRUE(killed(inside([] { (void)::open("/etc/passwd", O_RDONLY); })));
  EXPECT_TRUE(killed(inside([] { (void)::socket(AF_INET, SOCK_STREAM, 0); })));
  EXPECT_TRUE(killed(inside([] { ::execl("/bin/true", "true", nullptr); })));
  EXPECT_TRUE(killed(inside([] { (void)::kill(::getppid(), 0); })));
  EXPECT_TRUE(killed(inside([] { (void)::fork(); })));
  EXPECT_TRUE(killed(inside([] { ::_exit(0); })));
  EXPECT_TRUE(killed(inside([] { (void)::sbrk(4096); })));
}

TEST(EnterSandbox, ClosesEverythingButTheStandardDescriptors) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer makes system calls of its own between two of the program's";
#endif
  const int status = in_a_process([] {
    const int held = ::open("/etc/passwd", O_RDONLY);
    if (EnterSandbox() != 0) ::_exit(98);
    char byte = 0;
    LeaveSandbox(::read(held, &byte, 1) == -1 ? 7 : 8);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(EnterSandbox, RefusesWhileThereAreOtherThreads) {
  const int status = in_a_process([] {
    std::thread other([] { ::pause(); });
    const int entered = EnterSandbox();
    ::_exit(entered == -1 && errno == EBUSY ? 7 : 8);
  });
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

std::string converse(FILE* stream, const std::string& text) {
  EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), stream), text.size());
  EXPECT_EQ(FinishInput(stream), 0);
  std::string answer;
  for (int character = 0; (character = std::fgetc(stream)) != EOF;) answer += static_cast<char>(character);
  return answer;
}

TEST(RunProgram, GivesAStreamToTalkTo) {
  FILE* stream = RunProgramAndGetFileHandle("rev");
  if (stream == nullptr) stream = RunProgramAndGetFileHandle("/bin/cat");
  ASSERT_NE(stream, nullptr) << SandboxError();
  const std::string answer = converse(stream, "glass box\n");
  EXPECT_TRUE(answer == "xob ssalg\n" || answer == "glass box\n") << answer;
  ProgramEnd end{};
  ASSERT_EQ(CloseProgram(stream, &end), 0) << SandboxError();
  EXPECT_EQ(end.kind, PROGRAM_EXITED);
  EXPECT_EQ(end.status, 0);
}

TEST(RunProgram, ReadsAndWritesInTurns) {
  FILE* stream = RunProgramAndGetFileHandle("/bin/cat");
  ASSERT_NE(stream, nullptr) << SandboxError();
  for (int i = 0; i < 3; ++i) {
    char line[16];
    ASSERT_GE(std::fputs("ping\nrest\n", stream), 0);
    ASSERT_NE(std::fgets(line, sizeof line, stream), nullptr);
    EXPECT_STREQ(line, "ping\n");
    ASSERT_GE(std::fputs("more\n", stream), 0);  // with something still unread
    ASSERT_NE(std::fgets(line, sizeof line, stream), nullptr);
    EXPECT_STREQ(line, "rest\n");
    ASSERT_NE(std::fgets(line, sizeof line, stream), nullptr);
    EXPECT_STREQ(line, "more\n");
  }
  EXPECT_EQ(CloseProgram(stream, nullptr), 0);
}

TEST(RunProgram, OpensNothing) {
  const char* const arguments[] = {"/bin/cat", "/etc/passwd", nullptr};
  FILE* stream = RunProgramWithArguments(arguments);
  ASSERT_NE(stream, nullptr) << SandboxError();
  EXPECT_EQ(converse(stream, ""), "");
  ProgramEnd end{};
  ASSERT_EQ(CloseProgram(stream, &end), 0);
  EXPECT_EQ(end.kind, PROGRAM_EXITED);
  EXPECT_EQ(end.status, 1);
}

TEST(RunProgram, IsKilledWhenToldTo) {
  FILE* stream = RunProgramAndGetFileHandle("/bin/cat");
  ASSERT_NE(stream, nullptr) << SandboxError();
  EXPECT_EQ(KillProgram(stream), 0);
  ProgramEnd end{};
  ASSERT_EQ(CloseProgram(stream, &end), 0);
  EXPECT_EQ(end.kind, PROGRAM_KILLED);
}

TEST(RunProgram, SaysWhyNot) {
  EXPECT_EQ(RunProgramAndGetFileHandle("/nowhere/to/be/found"), nullptr);
  EXPECT_NE(std::string(SandboxError()).find("/nowhere"), std::string::npos);
  EXPECT_EQ(RunProgramAndGetFileHandle(nullptr), nullptr);
  EXPECT_EQ(CloseProgram(stderr, nullptr), -1);
  EXPECT_EQ(KillProgram(stderr), -1);
}

}  // namespace

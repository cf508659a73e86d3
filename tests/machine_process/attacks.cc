#include "attacks.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "cli/machine_channel.h"

extern "C" int box_attack_main(int count, char** words);

namespace vitrine::tests {
namespace {

constexpr int kWorked = 0, kRefused = 10, kAbsent = 11, kNoSuch = 99;

int result(bool worked, const char* step) {
  if (worked) return kWorked;
  std::fprintf(stderr, "%s: %s\n", step, std::strerror(errno));
  return kRefused;
}

bool is_open(int descriptor, struct stat& status) {
  return ::syscall(SYS_fstat, descriptor, &status) == 0;
}

/// The socket to the supervisor: the largest descriptor. -1: there is none.
int channel() {
  for (int number = 4096; number > 2; --number) {
    struct stat status {};
    if (is_open(number, status)) return S_ISSOCK(status.st_mode) ? number : -1;
  }
  return -1;
}

/// The channel; with a word, where there is none: a socket of its own at such a place.
int channel_or_own(std::span<char*> words) {
  if (words.empty()) return channel();
  constexpr int kPlace = 1000;
  int ends[2];
  return ::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 ? ::fcntl(ends[0], F_DUPFD_CLOEXEC, kPlace) : -1;
}

/// The nth connection of a serial port, from the lowest number on.
int connection() {
  const int last = channel();
  for (int number = 3; number < 4096; ++number) {
    struct stat status {};
    if (number != last && is_open(number, status) && S_ISSOCK(status.st_mode)) return number;
  }
  return -1;
}

// Its own disk, sent to whoever is at the other end of its serial line.
int smuggle_out(std::span<char*>) {
  const int socket = connection();
  if (socket < 0) return kAbsent;
  return result(send_packet(socket, "take this", STDERR_FILENO, 0), "sendmsg");
}

// A file that whoever is at the other end of the serial line has sent.
int smuggle_in(std::span<char*>) {
  const int socket = connection();
  if (socket < 0) return kAbsent;
  pollfd something{socket, POLLIN, 0};
  ::poll(&something, 1, -1);
  std::array<char, 64> buffer{};
  const Received received = receive_packet(socket, buffer, Attached::MayBeOne, 0);
  return result(received.descriptor.valid(), "recvmsg");
}

// To have another socket under the number over which descriptors may travel.
int take_the_channel(std::span<char*> words) {
  const int socket = channel_or_own(words);
  if (socket < 0) return kAbsent;
  return result(::close(socket) == 0, "close");
}

// The kernel looks at 32 bits of the number.
int take_the_channel_by_a_long_number(std::span<char*> words) {
  const int socket = channel_or_own(words);
  if (socket < 0) return kAbsent;
  return result(::syscall(SYS_close, uint64_t{1} << 32 | static_cast<unsigned>(socket)) == 0, "close");
}

int pause_for_ever() {
  for (;;) ::sched_yield();
}

/// Sends to the supervisor, which ends what it does not believe. With a word, to somebody who believes: has
/// it come as it was sent?
int send_unasked(std::span<char*> words, std::string_view packet, int descriptor) {
  if (words.empty()) {
    if (!send_packet(channel(), packet, descriptor, 0)) return result(false, "send");
    return pause_for_ever();
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return result(false, "socketpair");
  if (!send_packet(ends[0], packet, descriptor, 0)) return result(false, "send");
  std::array<char, cli::kLongestPacket> buffer{};
  const Received received = receive_packet(ends[1], buffer, Attached::MayBeOne, 0);
  return result(received.size == static_cast<ssize_t>(packet.size()) &&
                    std::string_view(buffer.data(), packet.size()) == packet &&
                    received.descriptor.valid() == (descriptor >= 0),
                "receive");
}

int lie(std::span<char*> words) {
  return send_unasked(words, "no packet of a machine's", -1);
}

int give_a_descriptor(std::span<char*> words) {
  return send_unasked(words, encode(cli::MachineRequest{}), STDERR_FILENO);
}

// As they were when the program began: the supervisor, whose number the machine process would know, and what
// started that.
const pid_t kSupervisor = ::getpid();
const pid_t kStarter = ::getppid();

// The supervisor; with a word, where there is none, what started this process. PTRACE_SEIZE does not stop it.
int trace_supervisor(std::span<char*> words) {
  const pid_t whom = words.empty() ? kSupervisor : kStarter;
  return result(::ptrace(PTRACE_SEIZE, whom, nullptr, nullptr) == 0, "ptrace");
}

/// Asks for a file and writes to it.
int ask(std::span<char*> words) {
  cli::MachineRequest request{cli::MachineRequest::Kind::CreateFile, machine::FileContents::Memory, words[0]};
  std::array<char, cli::kLongestPacket> buffer{};
  if (!send_packet(channel(), encode(request), -1, 0)) return result(false, "send");
  const Received received = receive_packet(channel(), buffer, Attached::MayBeOne, 0);
  if (received.descriptor) return result(::write(received.descriptor.get(), "hostile", 7) == 7, "write");
  const auto answer = cli::decode_answer({buffer.data(), static_cast<size_t>(received.size)});
  std::fprintf(stderr, "%s\n", answer ? answer->text.c_str() : "no answer");
  return kRefused;
}

/// Somebody who reads everything and answers each with something long.
[[noreturn]] void answer_everything(int socket) {
  std::array<char, cli::kLongestPacket> buffer{};
  while (receive_packet(socket, buffer, Attached::None, 0).size > 0)
    (void)send_packet(socket, {buffer.data(), buffer.size()}, -1, MSG_DONTWAIT);
  ::_exit(0);
}

// Many requests whose answers nobody takes. With a word, to somebody whom that does not disturb.
int flood_of_requests(std::span<char*> words) {
  const cli::MachineRequest request{cli::MachineRequest::Kind::CreateFile, machine::FileContents::Memory,
                                    "/etc/x"};
  int ends[2] = {words.empty() ? channel() : -1, -1};
  if (!words.empty()) {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      return result(false, "socketpair");
    if (::fork() == 0) {
      ::close(ends[0]);
      answer_everything(ends[1]);
    }
  }
  const int count = words.empty() ? 1'000'000 : 20'000;
  for (int i = 0; i < count; ++i) {
    if (!send_packet(ends[0], encode(request), -1, 0) && !words.empty()) return result(false, "send");
  }
  return words.empty() ? pause_for_ever() : kWorked;
}

int flood_of_output(std::span<char*> words) {
  const std::string block(65536, 'x');
  for (long left = std::atol(words[0]) << 20; left > 0; left -= static_cast<long>(block.size())) {
    if (::write(STDERR_FILENO, block.data(), block.size()) < 0) return kRefused;
  }
  return kWorked;
}

// The code caches are mapped twice, writable and executable: not the program itself.
int write_own_code(std::span<char*>) {
  const auto page = reinterpret_cast<uintptr_t>(&write_own_code) & ~uintptr_t{4095};
  return result(::mprotect(reinterpret_cast<void*>(page), 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0,
                "mprotect");
}

int crash(std::span<char*>) {
  *reinterpret_cast<volatile int*>(uintptr_t{16}) = 0;
  return kWorked;
}

int thread(std::span<char*>) {
  constexpr size_t kStack = 65536;
  void* stack = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto end = [](void*) {
    ::syscall(SYS_exit, 0);
    return 0;
  };
  return result(
      ::clone(end, static_cast<char*>(stack) + kStack,
              CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, nullptr) > 0,
      "clone");
}

// What the C library tries by itself: fails, and nobody is killed for it.
int open_quietly(std::span<char*> words) {
  return result(::syscall(SYS_openat, AT_FDCWD, words[0], O_RDONLY | O_CLOEXEC) >= 0, "openat");
}

int look(std::span<char*> words) {
  struct stat status {};
  return result(::syscall(SYS_newfstatat, AT_FDCWD, words[0], &status, AT_EMPTY_PATH) == 0, "newfstatat");
}

bool is_mapped(const char* address) {
  unsigned char resident = 0;
  const auto page = reinterpret_cast<uintptr_t>(address) & ~uintptr_t{4095};
  return ::mincore(reinterpret_cast<void*>(page), 1, &resident) == 0;
}

// Behind the arguments, at the stack's top, is what the environment was. The text comes in two halves, so
// that it is not found in the arguments.
int environment(std::span<char*> words) {
  const std::string wanted = std::string(words[0]) + words[1];
  for (const char* at = words[1]; is_mapped(at + wanted.size()); ++at) {
    if (std::memcmp(at, wanted.data(), wanted.size()) == 0) return kWorked;
  }
  return kRefused;
}

struct Row {
  const char* name;
  int (*run)(std::span<char*> words);
};
// MEBIBYTES SECONDS: memory of its own, held so long.
int memory_bomb(std::span<char*> words) {
  const size_t size = std::strtoull(words[0], nullptr, 10) << 20;
  void* memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return result(false, "mmap");
  const timespec time{std::strtol(words[1], nullptr, 10), 0};
  ::nanosleep(&time, nullptr);
  return kWorked;
}

// MEBIBYTES SECONDS: page tables, by touching one page in two mebibytes of a mapping that is none of its own.
int page_table_bomb(std::span<char*> words) {
  constexpr size_t kTable = 2 << 20;  // What a page table of 4096 bytes maps.
  const size_t tables = std::strtoull(words[0], nullptr, 10) << 8;
  const auto* memory = static_cast<const volatile char*>(
      ::mmap(nullptr, tables * kTable, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED) return result(false, "mmap");
  (void)::madvise(const_cast<char*>(memory), tables * kTable, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < tables; ++i) (void)memory[i * kTable];
  const timespec time{std::strtol(words[1], nullptr, 10), 0};
  ::nanosleep(&time, nullptr);
  return kWorked;
}

// Memory files that the machine holds are made larger; with a word, one of its own.
int grow_memory(std::span<char*> words) {
  constexpr off_t kMore = 8 << 20;
  const int own = words.empty() ? -1 : ::memfd_create("own", MFD_CLOEXEC);
  bool found = false;
  for (int number = 3; number < 4096; ++number) {
    struct stat status {};
    if (!is_open(number, status) || !S_ISREG(status.st_mode) || status.st_nlink != 0) continue;
    if (own >= 0 && number != own) continue;
    found = true;
    if (::ftruncate(number, status.st_size + kMore) == 0) return kWorked;
    if (::fallocate(number, 0, status.st_size, kMore) == 0) return kWorked;
    if (::pwrite(number, "x", 1, status.st_size + kMore) == 1) return kWorked;
  }
  return found ? result(false, "ftruncate, fallocate and pwrite") : kAbsent;
}

// ATTACK [ARGUMENT…]: in a child, which has one thread where a machine has several.
int in_child(std::span<char*> words) {
  const pid_t pid = ::fork();
  if (pid < 0) return result(false, "fork");
  if (pid == 0) ::_exit(attack(words));
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kNoSuch;
}

constexpr Row kAttacks[] = {
    {"in-child", in_child},
    {"memory-bomb", memory_bomb},
    {"page-table-bomb", page_table_bomb},
    {"grow-memory", grow_memory},
    {"smuggle-out", smuggle_out},
    {"smuggle-in", smuggle_in},
    {"take-channel", take_the_channel},
    {"take-channel-long", take_the_channel_by_a_long_number},
    {"lie", lie},
    {"give-descriptor", give_a_descriptor},
    {"ask", ask},
    {"flood-requests", flood_of_requests},
    {"flood-output", flood_of_output},
    {"ptrace-supervisor", trace_supervisor},
    {"write-code", write_own_code},
    {"crash", crash},
    {"thread", thread},
    {"open-quietly", open_quietly},
    {"look", look},
    {"environment", environment},
};

}  // namespace

int attack(std::span<char*> words) {
  if (words.empty()) return kNoSuch;
  for (const Row& row : kAttacks) {
    if (std::string_view(row.name) == words[0]) return row.run(words.subspan(1));
  }
  std::vector<char*> all = {words[0]};
  all.insert(all.end(), words.begin(), words.end());
  all.push_back(nullptr);
  return box_attack_main(static_cast<int>(words.size()) + 1, all.data());
}

}  // namespace vitrine::tests

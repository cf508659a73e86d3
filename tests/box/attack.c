// Hostile programs, one a word: each tries one way out and ends with status 0 if it worked, 10 if the kernel refused
// it (and says why), 11 if this host has nothing of the kind. Built without libraries, so that it runs anywhere.
//
// usage: attack NAME [argument …]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKED = 0, REFUSED = 10, ABSENT = 11 };

static char** arguments;

static int result(int worked, const char* step) {
  if (worked) return WORKED;
  fprintf(stderr, "%s: %s\n", step, strerror(errno));
  return REFUSED;
}

static int number(int index) {
  return atoi(arguments[index]);
}

// x86-64: mov eax, 42; ret
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};

static int run_code(void* memory) {
  int (*function)(void);
  memcpy(&function, &memory, sizeof function);
  return function() == 42 ? WORKED : REFUSED;
}

static int attack_open(void) {
  char text[8];
  const int file = open(arguments[0], O_RDONLY);
  return result(file >= 0 && read(file, text, sizeof text) > 0, "open");
}

static int attack_create(void) {
  return result(open(arguments[0], O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0, "create");
}

static int attack_connect(void) {
  const int sock = socket(AF_INET, SOCK_STREAM, 0);
  if (sock < 0) return result(0, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(0))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return result(connect(sock, (struct sockaddr*)&address, sizeof address) == 0, "connect");
}

static int attack_bind(void) {
  const int sock = socket(AF_INET, SOCK_STREAM, 0);
  if (sock < 0) return result(0, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET};
  return result(bind(sock, (struct sockaddr*)&address, sizeof address) == 0, "bind");
}

// A name with '@' in front is abstract.
static socklen_t unix_address(const char* name, struct sockaddr_un* address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strncpy(address->sun_path, name, sizeof address->sun_path - 1);
  if (name[0] == '@') address->sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

static int attack_unix(void) {
  struct sockaddr_un address;
  const socklen_t size = unix_address(arguments[0], &address);
  const int sock = socket(AF_UNIX, SOCK_STREAM, 0);
  if (sock < 0) return result(0, "socket");
  return result(connect(sock, (struct sockaddr*)&address, size) == 0, "connect");
}

// A datagram can be sent to a name without connect; a pair of sockets needs no socket().
static int attack_datagram(void) {
  struct sockaddr_un address;
  const socklen_t size = unix_address(arguments[0], &address);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) return result(0, "socketpair");
  return result(sendto(pair[0], "x", 1, 0, (struct sockaddr*)&address, size) == 1, "sendto");
}

static int attack_exec(void) {
  char* words[] = {arguments[0], NULL};
  execv(arguments[0], words);
  return result(0, "execve");
}

static int attack_execveat(void) {
  char* words[] = {arguments[0], NULL};
  char* none[] = {NULL};
  const int file = open(arguments[0], O_RDONLY);
  if (file < 0) return result(0, "open");
  // The numbers by which the box itself starts a program.
  for (int number = 0; number < 1100; ++number) {
    if (number != file) dup2(file, number);
    syscall(SYS_execveat, number, "", words, none, AT_EMPTY_PATH);
  }
  return result(0, "execveat");
}

static int attack_ptrace(void) {
  return result(ptrace(PTRACE_SEIZE, number(0), 0, 0) == 0, "ptrace");
}

static int attack_vm_read(void) {
  char here[8];
  struct iovec local = {here, sizeof here};
  struct iovec remote = {(void*)strtoull(arguments[1], NULL, 0), sizeof here};
  return result(process_vm_readv(number(0), &local, 1, &remote, 1, 0) == sizeof here, "process_vm_readv");
}

static int attack_kill(void) {
  return result(kill(number(0), SIGUSR1) == 0, "kill");
}

static int attack_tgkill(void) {
  return result(syscall(SYS_tgkill, number(0), number(0), SIGUSR1) == 0, "tgkill");
}

static int attack_pidfd(void) {
  const int fd = (int)syscall(SYS_pidfd_open, number(0), 0);
  if (fd < 0) return result(0, "pidfd_open");
  return result(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) == 0, "pidfd_send_signal");
}

// The kernel sends the signal: when something can be read from a pipe.
static int attack_owner(void) {
  int ends[2];
  if (pipe(ends) != 0) return result(0, "pipe");
  if (fcntl(ends[0], F_SETSIG, SIGUSR1) != 0) return result(0, "F_SETSIG");
  if (fcntl(ends[0], F_SETOWN, number(0)) != 0) return result(0, "F_SETOWN");
  if (fcntl(ends[0], F_SETFL, O_ASYNC) != 0) return result(0, "F_SETFL");
  return result(write(ends[1], "x", 1) == 1, "write");
}

static int attack_prlimit(void) {
  struct rlimit limit = {4, 4};
  return result(prlimit(number(0), RLIMIT_NOFILE, &limit, NULL) == 0, "prlimit");
}

/// Where user.max_user_namespaces is 0 there is no way in for anybody.
static int no_namespace(const char* step) {
  return errno == ENOSPC ? ABSENT : result(0, step);
}

static int attack_mount(void) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return no_namespace("unshare");
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);  // With no defence around it the host must not see it.
  return result(mount("tmpfs", "/", "tmpfs", 0, NULL) == 0, "mount");
}

static int attack_userns(void) {
  return unshare(CLONE_NEWUSER) == 0 ? WORKED : no_namespace("unshare");
}

static int attack_clone_userns(void) {
  const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
  if (pid == 0) _exit(0);
  return pid > 0 ? WORKED : no_namespace("clone");
}

static int attack_map_executable(void) {
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return result(0, "mmap");
  memcpy(memory, code, sizeof code);
  return run_code(memory);
}

static int attack_protect_executable(void) {
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return result(0, "mmap");
  memcpy(memory, code, sizeof code);
  if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0) return result(0, "mprotect");
  return run_code(memory);
}

static int map_file(int file) {
  if (file < 0 || write(file, code, sizeof code) != sizeof code) return result(0, "write the file");
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
  return memory == MAP_FAILED ? result(0, "mmap") : run_code(memory);
}

static int attack_map_file(void) {
  return map_file(open(arguments[0], O_RDWR | O_CREAT | O_TRUNC, 0700));
}

static int attack_map_memfd(void) {
  return map_file((int)syscall(SYS_memfd_create, "x", 0));
}

static int attack_io_uring(void) {
  char parameters[120] = {0};  // struct io_uring_params
  return result(syscall(SYS_io_uring_setup, 4, parameters) >= 0, "io_uring_setup");
}

static int attack_int80(void) {
  int answer;
  __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20) : "memory", "r8", "r9", "r10", "r11");  // getpid
  errno = -answer;
  return result(answer > 0, "int 0x80");
}

static int attack_x32(void) {
  const long answer = syscall(SYS_getpid | 0x40000000);
  if (answer < 0 && errno == ENOSYS) return ABSENT;
  return result(answer > 0, "x32 getpid");
}

static int attack_clone3(void) {
  uint64_t parameters[8] = {0, 0, 0, 0, SIGCHLD, 0, 0, 0};  // struct clone_args
  const long pid = syscall(SYS_clone3, parameters, sizeof parameters);
  if (pid == 0) _exit(0);
  return result(pid > 0, "clone3");
}

static int attack_fork(void) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  return result(pid > 0, "fork");
}

// Reads what nobody meant to give: any descriptor that holds the secret.
static int attack_descriptors(void) {
  for (int fd = 3; fd < 4096; ++fd) {
    char text[16] = {0};
    if (pread(fd, text, sizeof text - 1, 0) > 0 && strstr(text, "secret") != NULL) return WORKED;
  }
  errno = EBADF;
  return result(0, "no descriptor");
}

static int attack_symlink(void) {
  char link[256];
  snprintf(link, sizeof link, "%s/link", arguments[0]);
  unlink(link);
  if (symlink(arguments[1], link) != 0) return result(0, "symlink");
  arguments[0] = link;
  return attack_open();
}

// One process exchanges a directory for a link to the secret's, the other walks through it and out.
static int attack_rename_race(void) {
  if (chdir(arguments[0]) != 0) return result(0, "chdir");
  mkdir("a", 0700);
  unlink("b");
  if (symlink(arguments[1], "b") != 0) return result(0, "symlink");
  const pid_t other = fork();
  if (other < 0) return result(0, "fork");
  while (other == 0) syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2);  // RENAME_EXCHANGE
  int worked = 0;
  for (int i = 0; i < 20000 && !worked; ++i) {
    const int through = open("a/secret", O_RDONLY);
    const int around = openat(AT_FDCWD, "a/../../secret", O_RDONLY);
    worked = through >= 0 || around >= 0;
  }
  const int error = errno;
  kill(other, SIGKILL);
  errno = error;
  return result(worked, "open through the exchanged directory");
}

// As many as the argument says, all alive at once.
static int attack_fork_bomb(void) {
  int count = 0;
  for (; count < number(0); ++count) {
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, NULL);
      pause();
      _exit(0);
    }
  }
  fprintf(stderr, "%d children\n", count);
  const int all = count == number(0);
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  return all ? WORKED : REFUSED;
}

static void fill(size_t size, int flags) {
  const size_t step = 1 << 20;
  for (size_t filled = 0; filled < size; filled += step) {
    void* memory = mmap(NULL, step, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) exit(result(0, "mmap"));
    memset(memory, 1, step);
  }
}

static int attack_memory(void) {
  fill((size_t)number(0) << 20, MAP_PRIVATE);
  return WORKED;
}

static int attack_shared_memory(void) {
  fill((size_t)number(0) << 20, MAP_SHARED);
  return WORKED;
}

// A little in each of several.
static int attack_memory_of_many(void) {
  int ends[2];
  if (pipe(ends) != 0) return result(0, "pipe");
  for (int i = 0; i < 6; ++i) {
    const pid_t pid = fork();
    if (pid < 0) return result(0, "fork");
    if (pid != 0) continue;
    fill((size_t)number(0) << 20, MAP_PRIVATE);
    if (write(ends[1], "x", 1) != 1) _exit(1);
    pause();
  }
  char done[6];
  for (int i = 0; i < 6; ++i) {
    if (read(ends[0], done, 1) != 1) return result(0, "read");
  }
  usleep(200000);  // All of it is there at once.
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  return WORKED;
}

static int attack_large_mapping(void) {
  void* memory = mmap(NULL, (size_t)number(0) << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return result(memory != MAP_FAILED, "mmap");
}

static int attack_flood(void) {
  static char block[65536];
  memset(block, 'x', sizeof block);
  for (long left = (long)number(0) << 20; left > 0; left -= (long)sizeof block) {
    if (write(1, block, sizeof block) < 0) return result(0, "write");
  }
  return WORKED;
}

static int attack_file_flood(void) {
  dup2(open(arguments[1], O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
  return attack_flood();
}

// Leaves a grandchild that ignores what can be ignored, in a session of its own, holding a lock.
static int attack_survive(void) {
  const int lock = open(arguments[0], O_RDWR | O_CREAT, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) return result(0, "lock");
  const pid_t child = fork();
  if (child < 0) return result(0, "fork");
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
    dprintf(lock, "%d\n", getpid());
    close(0);
    close(1);
    close(2);
    for (;;) pause();
  }
  waitpid(child, NULL, 0);
  struct stat status;
  while (fstat(lock, &status) == 0 && status.st_size == 0) usleep(1000);
  if (arguments[1] != NULL) pause();  // Somebody will kill the supervisor.
  return WORKED;
}

// Processes that do nothing but make more, all holding a lock.
static int attack_churn(void) {
  const int lock = open(arguments[0], O_RDWR | O_CREAT, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) return result(0, "lock");
  for (;;) fork();
}

static int attack_terminal(void) {
  return result(ioctl(0, TIOCSTI, "x") == 0, "TIOCSTI");
}

static int attack_shm(void) {
  const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  if (id >= 0) shmctl(id, IPC_RMID, NULL);
  return result(id >= 0, "shmget");
}

static int attack_keyring(void) {
  return result(syscall(SYS_add_key, "user", "vitrine-attack", "x", 1, -1) >= 0, "add_key");  // this thread's
}

static int attack_busy(void) {
  for (volatile unsigned long i = 0;; ++i) {
    if (number(0) != 0 && i > 50000000UL * (unsigned)number(0)) return WORKED;
  }
}

static int attack_sleep(void) {
  usleep((unsigned)number(0) * 1000U);
  return WORKED;
}

static const struct {
  const char* name;
  int (*run)(void);
} kAttacks[] = {
    {"open", attack_open},
    {"create", attack_create},
    {"connect", attack_connect},
    {"bind", attack_bind},
    {"unix", attack_unix},
    {"datagram", attack_datagram},
    {"exec", attack_exec},
    {"execveat", attack_execveat},
    {"ptrace", attack_ptrace},
    {"vm-read", attack_vm_read},
    {"kill", attack_kill},
    {"tgkill", attack_tgkill},
    {"pidfd", attack_pidfd},
    {"owner", attack_owner},
    {"prlimit", attack_prlimit},
    {"mount", attack_mount},
    {"userns", attack_userns},
    {"clone-userns", attack_clone_userns},
    {"map-executable", attack_map_executable},
    {"protect-executable", attack_protect_executable},
    {"map-file", attack_map_file},
    {"map-memfd", attack_map_memfd},
    {"io-uring", attack_io_uring},
    {"int80", attack_int80},
    {"x32", attack_x32},
    {"clone3", attack_clone3},
    {"fork", attack_fork},
    {"descriptors", attack_descriptors},
    {"symlink", attack_symlink},
    {"rename-race", attack_rename_race},
    {"fork-bomb", attack_fork_bomb},
    {"memory", attack_memory},
    {"shared-memory", attack_shared_memory},
    {"memory-of-many", attack_memory_of_many},
    {"large-mapping", attack_large_mapping},
    {"flood", attack_flood},
    {"file-flood", attack_file_flood},
    {"survive", attack_survive},
    {"churn", attack_churn},
    {"terminal", attack_terminal},
    {"shm", attack_shm},
    {"keyring", attack_keyring},
    {"busy", attack_busy},
    {"sleep", attack_sleep},
};

int main(int count, char** words) {
  arguments = words + (count < 2 ? 1 : 2);
  for (size_t i = 0; count > 1 && i < sizeof kAttacks / sizeof kAttacks[0]; ++i) {
    if (strcmp(words[1], kAttacks[i].name) == 0) return kAttacks[i].run();
  }
  fprintf(stderr, "attack: no such attack\n");
  return 99;
}

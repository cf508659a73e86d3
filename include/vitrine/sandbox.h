/* Two ways to confine a program, for C and everything that can call C.
 *
 *   A program that confines itself after its start:          A program that runs another one confined:
 *
 *     prepare();   // memory, tables, codec state              FILE *decoder =
 * RunProgramAndGetFileHandle("./decoder"); if (EnterSandbox() != 0) return 1; fwrite(video, 1, size,
 * decoder); while (read(0, …) > 0) write(1, …);                      FinishInput(decoder); LeaveSandbox(0);
 * fread(image, 1, image_size, decoder); CloseProgram(decoder, &end);
 *
 * Link with libvitrine_embedding (pkg-config vitrine, or CMake's vitrine::embedding).
 */
#ifndef VITRINE_SANDBOX_H
#define VITRINE_SANDBOX_H

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives up, for good, everything but reading from and writing to standard input, output and error as they are
 * open now (seccomp strict mode). All other descriptors are closed. Afterwards the kernel lets this process
 * make four system calls: read, write, exit (of a thread: LeaveSandbox) and sigreturn; any other ends it with
 * SIGKILL.
 *
 * So nothing may be left to do that needs another call: memory must be there already (malloc takes more from
 * the kernel with brk or mmap), threads and stdio's first use of a stream too. The process must have one
 * thread, since the mode is each thread's own; and no memory that others see should be mapped writable, since
 * no call is needed to write to it.
 *
 * In a box (below) a filter is in force already, and then the kernel has no strict mode; there a filter with
 * the same four calls is added, and any other call ends the program with SIGSYS.
 *
 * Returns 0, or -1 with errno, and then nothing is confined, but descriptors may be closed: EBUSY, there are
 * other threads; ENOENT, /proc is not there to tell; EINVAL or EACCES, this kernel has no seccomp, or the
 * filter in force has no room for another. */
int EnterSandbox(void);

/* Ends a program that has entered the sandbox. exit() and _exit() cannot: they use exit_group. No atexit
 * handlers, no flushing. */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void LeaveSandbox(int status);

/* Starts a program in a box: it holds nothing but its standard input and output, which are the stream that is
 * returned (standard error is /dev/null, the environment is empty). It can compute; it can open only its own
 * file and the system's shared libraries, for reading; it cannot reach any socket or other process, start
 * programs or make memory executable. Which mechanisms that rests on depends on the host (`vitrine doctor`);
 * if something essential is missing, nothing is started.
 *
 * `program` is a path, or a name that is looked for in /usr/bin and /bin. The stream is unbuffered and goes
 * both ways. Whoever reads and writes at the same time, from two threads, uses fileno(): a stream has one
 * lock. Whoever writes to a program that has ended gets SIGPIPE, as with a pipe.
 *
 * Returns NULL with errno on failure; SandboxError() says more. */
FILE* RunProgramAndGetFileHandle(const char* program);

/* The same with arguments: `arguments` is the program and what follows, ended by NULL. */
FILE* RunProgramWithArguments(const char* const arguments[]);

/* The program sees the end of its input; its output can still be read. 0, or -1 with errno. */
int FinishInput(FILE* stream);

enum ProgramEndKind {
  PROGRAM_EXITED,    /* By itself, with `status`. */
  PROGRAM_SIGNALLED, /* By the signal `status`. After EnterSandbox() SIGKILL and SIGSYS: a call that it may
                        not make. */
  PROGRAM_VIOLATION, /* Ended because of a call that it may not make; `status` is 0. */
  PROGRAM_LIMIT,     /* Ended because of a limit; `status` is 0. */
  PROGRAM_KILLED     /* By KillProgram. */
};

struct ProgramEnd {
  enum ProgramEndKind kind;
  int status;
  unsigned long violations; /* System calls that were denied. */
  char violation[128];      /* The first of them: "openat: lacks open-for-reading". Empty: none. */
};

/* Closes the stream, waits for the end of the program and everything that it started, and says how it ended
 * (`end` may be NULL). Every stream of RunProgram… is closed with this and not with fclose(). 0, or -1 with
 * errno. */
int CloseProgram(FILE* stream, struct ProgramEnd* end);

/* Ends the program now. The stream is still to be closed. 0, or -1 with errno. */
int KillProgram(FILE* stream);

/* What the last failed call of this thread failed at, in one line. Valid until this thread's next call. */
const char* SandboxError(void);

#ifdef __cplusplus
}
#endif
#endif

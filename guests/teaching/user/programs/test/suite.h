// The test suite's parts: one file a subject, linked into the program "test".
#pragma once

#include "user/library/pane.h"

enum { kPage = 4096, kKernelBase = (int)0xC0000000, kTextStart = 0x00400000, kMiB = 1 << 20 };

#define EXPECT(condition) \
  if (!(condition)) fail("  %s:%d: not so: %s\n", __FILE_NAME__, __LINE__, #condition)

typedef void Function(void);

// helpers.c
int start_process(Function* function);  // its number
int status_of(Function* function);      // of a process that ran it to the end
void write_file(const char* path, const char* text);
void expect_text(const char* path, const char* text);
void seed_random(uint32_t seed);
uint32_t random_number(void);
void exit_42(void);
int recurse(int depth);  // memory.c

// processes.c
void test_bad_calls(void);
void test_bad_pointers(void);
void test_fork_exit_wait(void);
void test_fork_until_full(void);
void test_orphans(void);
void test_kill(void);
void test_preemption(void);
void test_time(void);
void test_registers(void);

// memory.c
void test_copy_on_write(void);
void test_heap(void);
void test_out_of_memory(void);
void test_stack_grows(void);

// protection.c
void test_protection(void);
void test_flags(void);

// files.c
void test_pipe(void);
void test_pipe_ends(void);
void test_file_numbers(void);
void test_shared_offset(void);
void test_files(void);
void test_unlink_open(void);
void test_big_file(void);
void test_directories(void);
void test_long_names(void);
void test_many_writers(void);
void test_disk_full(void);

// execution.c
void test_exec(void);
void test_shell(void);

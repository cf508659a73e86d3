// The test suite: pipes, files and directories.
#include "user/programs/test/suite.h"

// ── pipes and open files ──

void test_pipe(void) {
  enum { kTotal = 200000 };
  int ends[2];
  EXPECT(pipe(ends) == 0);
  int pid = fork();
  if (pid == 0) {
    char piece[700];
    close(ends[0]);
    for (int sent = 0; sent < kTotal;) {
      int size = 1 + (int)(random_number() % sizeof piece);
      if (size > kTotal - sent) size = kTotal - sent;
      for (int i = 0; i < size; ++i) piece[i] = (char)((sent + i) * 7);
      if (write(ends[1], piece, size) != size) exit(1);
      sent += size;
    }
    exit(0);
  }
  close(ends[1]);
  static char buffer[5000];
  int got = 0, size;
  while ((size = read(ends[0], buffer, 1 + (int)(random_number() % sizeof buffer))) > 0) {
    for (int i = 0; i < size; ++i) EXPECT(buffer[i] == (char)((got + i) * 7));
    got += size;
  }
  int status;
  EXPECT(size == 0 && got == kTotal && wait(&status) == pid && status == 0);
}

void test_pipe_ends(void) {
  int ends[2];
  char letter;
  EXPECT(pipe(ends) == 0);
  EXPECT(read(ends[1], &letter, 1) == -1 && write(ends[0], "x", 1) == -1);
  EXPECT(write(ends[1], "x", 1) == 1 && close(ends[1]) == 0);
  EXPECT(read(ends[0], &letter, 1) == 1 && read(ends[0], &letter, 1) == 0);
  close(ends[0]);
  EXPECT(pipe(ends) == 0 && close(ends[0]) == 0 && write(ends[1], "x", 1) == -1);
}

void test_file_numbers(void) {
  int opened = 0;
  while (open("/dev/null", kOpenRead) >= 0) ++opened;
  EXPECT(opened == kMaxOpenFiles - 3);
  int ends[2];
  EXPECT(pipe(ends) == -1);
  EXPECT(close(5) == 0 && pipe(ends) == -1);
  EXPECT(close(7) == 0 && dup(0) == 5 && dup(0) == 7 && dup(0) == -1);
}

void test_shared_offset(void) {
  write_file("shared", "abcdef");
  int file = open("shared", kOpenRead);
  int copy = dup(file);
  char text[3] = "..";
  EXPECT(read(file, text, 2) == 2 && strcmp(text, "ab") == 0);
  EXPECT(read(copy, text, 2) == 2 && strcmp(text, "cd") == 0);
  if (fork() == 0) {
    read(file, text, 1);
    exit(0);
  }
  EXPECT(wait(NULL) > 0 && read(file, text, 2) == 1 && text[0] == 'f');
}

// ── files ──

void test_files(void) {
  struct FileInfo information;
  write_file("a", "one");
  expect_text("a", "one");
  write_file("a", "2");  // truncated
  expect_text("a", "2");
  int file = open("a", kOpenWrite | kOpenAppend);
  EXPECT(write(file, "+3", 2) == 2 && read(file, &information, 1) == -1);
  EXPECT(fstat(file, &information) == 0 && information.size == 3 && information.type == kInodeFile &&
         information.links == 1);
  close(file);
  expect_text("a", "2+3");
  EXPECT(unlink("a") == 0 && unlink("a") == -1 && open("a", kOpenRead) == -1);
  EXPECT(open("/", kOpenWrite) == -1 && open("no/file", kOpenCreate) == -1);
}

void test_unlink_open(void) {
  write_file("gone", "still here");
  int file = open("gone", kOpenRead);
  char text[16] = {0};
  EXPECT(unlink("gone") == 0 && open("gone", kOpenRead) == -1);
  EXPECT(read(file, text, sizeof text) == 10 && strcmp(text, "still here") == 0);
}

static void fill(uint32_t* words, int count, uint32_t seed) {
  for (int i = 0; i < count; ++i) words[i] = seed * 0x9e3779b9u + (uint32_t)i;
}

// Long enough for the doubly indirect block.
void test_big_file(void) {
  enum { kWords = 512, kPieces = 180 };
  static uint32_t words[kWords], expected[kWords];
  int file = open("big", kOpenWrite | kOpenCreate);
  for (uint32_t i = 0; i < kPieces; ++i) {
    fill(words, kWords, i);
    EXPECT(write(file, words, sizeof words) == sizeof words);
  }
  close(file);
  file = open("big", kOpenRead);
  for (uint32_t i = 0; i < kPieces; ++i) {
    fill(expected, kWords, i);
    EXPECT(read(file, words, sizeof words) == sizeof words && memcmp(words, expected, sizeof words) == 0);
  }
  EXPECT(read(file, words, 1) == 0);
  close(file);
  EXPECT(unlink("big") == 0);
}

void test_directories(void) {
  char name[] = "file-00";
  struct DirectoryEntry entry;
  EXPECT(mkdir("d") == 0 && mkdir("d") == -1 && mkdir("d/e") == 0 && mkdir("x/y") == -1);
  EXPECT(chdir("d/e") == 0);
  for (int i = 0; i < 60; ++i) {
    name[5] = (char)('0' + i / 10);
    name[6] = (char)('0' + i % 10);
    write_file(name, name);
  }
  EXPECT(chdir("../..") == 0 && unlink("d/e") == -1 && unlink("d") == -1);
  int count = 0;
  int file = open("d/e", kOpenRead);
  while (readdir(file, &entry) == 1) ++count;
  EXPECT(count == 62 && close(file) == 0);
  EXPECT(chdir("/../tmp/../tmp/.") == 0 && chdir("test/d/e") == 0);
  for (int i = 0; i < 60; ++i) {
    name[5] = (char)('0' + i / 10);
    name[6] = (char)('0' + i % 10);
    expect_text(name, name);
    EXPECT(unlink(name) == 0);
  }
  EXPECT(unlink(".") == -1 && unlink("..") == -1 && unlink("/") == -1 && unlink("../e") == 0);
  EXPECT(open("lost", kOpenWrite | kOpenCreate) == -1);  // this directory is no more
  EXPECT(chdir("/tmp/test") == 0 && unlink("d") == 0);
}

void test_long_names(void) {
  char name[kMaxName + 2];
  memset(name, 'n', sizeof name);
  name[kMaxName] = 0;
  write_file(name, "long");
  expect_text(name, "long");
  EXPECT(unlink(name) == 0);
  name[kMaxName] = 'n';
  name[kMaxName + 1] = 0;
  EXPECT(open(name, kOpenWrite | kOpenCreate) == -1 && mkdir(name) == -1);
}

static void torture(int self) {
  char name[] = "t?-?";
  char text[] = "?? by ?";
  name[1] = text[6] = (char)('a' + self);
  for (int round = 0; round < 40; ++round) {
    name[3] = (char)('0' + random_number() % 4);
    text[0] = (char)('a' + round % 26);
    text[1] = name[3];
    write_file(name, text);
    expect_text(name, text);
    if (round % 3 == 0) EXPECT(unlink(name) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    name[3] = (char)('0' + i);
    unlink(name);
  }
}

void test_many_writers(void) {
  enum { kWriters = 5 };
  for (int i = 0; i < kWriters; ++i) {
    if (fork() == 0) {
      seed_random((uint32_t)i);
      torture(i);
      exit(0);
    }
  }
  int status;
  for (int i = 0; i < kWriters; ++i) EXPECT(wait(&status) > 0 && status == 0);
}

void test_disk_full(void) {
  static char block[8192];
  int sizes[2] = {0, 0};
  for (int round = 0; round < 2; ++round) {
    int file = open("full", kOpenWrite | kOpenCreate);
    int size;
    while ((size = write(file, block, sizeof block)) > 0) sizes[round] += size;
    close(file);
    EXPECT(mkdir("no-room") == -1);
    EXPECT(unlink("full") == 0);
  }
  EXPECT(sizes[0] > 0 && sizes[0] == sizes[1]);
}

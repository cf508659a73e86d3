#include "files/pipe.h"

#include <stddef.h>

#include "files/file.h"
#include "memory/page_allocator.h"
#include "process/process.h"
#include "process/scheduler.h"

enum { kPipeSize = 2048 };

struct Pipe {
  int readers, writers;
  uint32_t read_at, write_at;  // counted from the beginning of time; the place is the remainder
  char data[kPipeSize];
};

bool pipe_create(struct File* ends[2]) {
  struct Pipe* pipe = page_allocate();
  ends[0] = file_allocate(kFilePipe, kOpenRead);
  ends[1] = file_allocate(kFilePipe, kOpenWrite);
  if (pipe && ends[0] && ends[1]) {
    ends[0]->pipe = ends[1]->pipe = pipe;
    pipe->readers = pipe->writers = 1;
    return true;
  }
  if (pipe) page_release(pipe);
  for (int i = 0; i < 2; ++i) {
    if (ends[i]) ends[i]->type = kFileClosed;
  }
  return false;
}

void pipe_close(struct Pipe* pipe, uint32_t flags) {
  if (flags & kOpenRead) {
    --pipe->readers;
  } else {
    --pipe->writers;
  }
  wake(pipe);
  if (pipe->readers + pipe->writers == 0) page_release(pipe);
}

int pipe_read(struct Pipe* pipe, char* to, int size) {
  while (pipe->read_at == pipe->write_at && pipe->writers > 0) {
    if (current_process()->killed) return -1;
    sleep_on(pipe);
  }
  int count = 0;
  while (count < size && pipe->read_at != pipe->write_at)
    to[count++] = pipe->data[pipe->read_at++ % kPipeSize];
  wake(pipe);
  return count;
}

int pipe_write(struct Pipe* pipe, const char* from, int size) {
  int count = 0;
  while (count < size) {
    if (pipe->readers == 0 || current_process()->killed) return -1;
    if (pipe->write_at - pipe->read_at == kPipeSize) {
      wake(pipe);
      sleep_on(pipe);
      continue;
    }
    pipe->data[pipe->write_at++ % kPipeSize] = from[count++];
  }
  wake(pipe);
  return count;
}

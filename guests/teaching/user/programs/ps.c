// ps: the processes.
#include "user/library/pane.h"

int main(void) {
  static struct ProcessInfo rows[kMaxProcesses];
  int count = processes(rows, kMaxProcesses);
  print("  pid parent state    cpu  ticks  pages name\n");
  for (int i = 0; i < count; ++i) {
    const struct ProcessInfo* row = &rows[i];
    print("%5d %6d %-8s %3u %6u %6u %s\n", row->pid, row->parent, row->state, row->processor, row->ticks,
          row->pages, row->name);
  }
  return 0;
}

// Follows a linked list whose nodes lie in random order over 1 MiB: the latency of one load after another.
#include "runtime.h"

enum { kNodes = 1 << 14, kSteps = 200000 };
typedef struct Node {
  struct Node* next;
  u32 value, rest[14];
} Node;
static Node nodes[kNodes];
static u32 order[kNodes];

static void link_nodes(void) {
  u32 state = 7;
  for (u32 i = 0; i < kNodes; ++i) order[i] = i;
  for (u32 i = kNodes - 1; i > 0; --i) {
    u32 j = next_random(&state) % (i + 1), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  for (u32 i = 0; i < kNodes; ++i) {
    nodes[order[i]].next = &nodes[order[(i + 1) % kNodes]];
    nodes[order[i]].value = i;
  }
}

static NOINLINE u32 one(void) {
  u32 sum = 0;
  const Node* node = nodes;
  for (u32 i = 0; i < kSteps; ++i, node = node->next) sum += node->value;
  return sum;
}

u32 work(u32 count) {
  link_nodes();
  return repeat(count, one);
}

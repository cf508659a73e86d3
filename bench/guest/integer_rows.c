// Arithmetic, calls, branches and loads as compilers make them.
#include "rows.h"

enum { kSortElements = 20000, kSieveSize = 1 << 20, kBufferSize = 64 * 1024, kChaseNodes = 1 << 16 };

static uint32_t random_state;

static uint32_t random_number(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

uint32_t integer_loop(uint32_t times) {
  uint32_t a = 1, b = 0x12345678;
  for (uint32_t i = 0; i < times; ++i) {
    a = a * 3 + (b ^ i);
    b = (b >> 3 | b << 29) - (a & 0xff);
  }
  return a ^ b;
}

// Heap sort with a comparison through a pointer, as qsort() has it.
typedef int Compare(const void* a, const void* b);

static int compare_numbers(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

static Compare* volatile compare_function = compare_numbers;

static void sift_down(uint32_t* array, uint32_t root, uint32_t end, Compare* compare) {
  for (;;) {
    uint32_t child = 2 * root + 1;
    if (child >= end) return;
    if (child + 1 < end && compare(&array[child], &array[child + 1]) < 0) ++child;
    if (compare(&array[root], &array[child]) >= 0) return;
    const uint32_t value = array[root];
    array[root] = array[child];
    array[child] = value;
    root = child;
  }
}

uint32_t sort_with_callback(uint32_t times) {
  static uint32_t array[kSortElements];
  uint32_t sum = 0;
  random_state = 2463534242u;
  while (times-- > 0) {
    for (uint32_t i = 0; i < kSortElements; ++i) array[i] = random_number();
    Compare* const compare = compare_function;
    for (uint32_t i = kSortElements / 2; i-- > 0;) sift_down(array, i, kSortElements, compare);
    for (uint32_t end = kSortElements - 1; end > 0; --end) {
      const uint32_t value = array[0];
      array[0] = array[end];
      array[end] = value;
      sift_down(array, 0, end, compare);
    }
    for (uint32_t i = 0; i < kSortElements; i += 97) sum = sum * 31 + array[i];
  }
  return sum;
}

static uint32_t fibonacci(uint32_t n) __attribute__((noinline, noipa));
static uint32_t fibonacci(uint32_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint32_t recursion(uint32_t n) {
  return fibonacci(n);
}

uint32_t sieve(uint32_t times) {
  static uint8_t composite[kSieveSize];
  uint32_t primes = 0;
  while (times-- > 0) {
    for (uint32_t i = 0; i < kSieveSize; ++i) composite[i] = 0;
    for (uint32_t i = 2; i < kSieveSize; ++i) {
      if (composite[i]) continue;
      ++primes;
      for (uint32_t j = 2 * i; j < kSieveSize; j += i) composite[j] = 1;
    }
  }
  return primes;
}

static uint8_t buffer[kBufferSize];

static void fill_buffer(void) {
  random_state = 88172645u;
  for (uint32_t i = 0; i < kBufferSize; ++i) buffer[i] = (uint8_t)random_number();
}

uint32_t crc32_of_buffer(uint32_t times) {
  static uint32_t table[256];
  fill_buffer();
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xedb88320u : 0);
    table[i] = value;
  }
  uint32_t crc = 0xffffffffu;
  while (times-- > 0) {
    for (uint32_t i = 0; i < kBufferSize; ++i) crc = table[(crc ^ buffer[i]) & 255] ^ crc >> 8;
  }
  return ~crc;
}

static const uint32_t sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t value, int count) {
  return value >> count | value << (32 - count);
}

// FIPS 180-4, "SHA-256 Hash Computation": one block of 64 bytes.
static void sha256_block(uint32_t* state, const uint8_t* data) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) {
    w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8 | data[4 * i + 3];
  }
  for (int i = 16; i < 64; ++i) {
    const uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    const uint32_t s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha_constants[i] + w[i];
    const uint32_t s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

uint32_t sha256_of_buffer(uint32_t times) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  fill_buffer();
  while (times-- > 0) {
    for (uint32_t i = 0; i < kBufferSize; i += 64) sha256_block(state, buffer + i);
  }
  return state[0] ^ state[7];
}

// A random cycle through 64 Ki nodes of 32 bytes: loads that depend on each other, over 512 pages.
struct Node {
  struct Node* next;
  uint32_t value[7];
};

uint32_t pointer_chase(uint32_t times) {
  static struct Node nodes[kChaseNodes];
  static uint32_t order[kChaseNodes];
  random_state = 521288629u;
  for (uint32_t i = 0; i < kChaseNodes; ++i) order[i] = i;
  for (uint32_t i = kChaseNodes - 1; i > 0; --i) {
    const uint32_t j = random_number() % i;
    const uint32_t other = order[j];
    order[j] = order[i];
    order[i] = other;
  }
  for (uint32_t i = 0; i < kChaseNodes; ++i) {
    nodes[order[i]].next = &nodes[order[(i + 1) % kChaseNodes]];
    nodes[order[i]].value[0] = i;
  }
  uint32_t sum = 0;
  const struct Node* node = &nodes[0];
  while (times-- > 0) {
    sum += node->value[0];
    node = node->next;
  }
  return sum;
}

// A virtual machine inside: each operation is reached through a table of functions.
enum Op { kOpPush, kOpAdd, kOpXor, kOpRotate, kOpStore, kOpLoad, kOpDrop, kOpJump, kOps };

struct Virtual {
  uint32_t stack[16];
  uint32_t top, at, cell;
};

typedef void Step(struct Virtual* machine, uint32_t argument);

static void step_push(struct Virtual* m, uint32_t argument) {
  m->stack[m->top++ & 15] = argument;
}
static void step_add(struct Virtual* m, uint32_t argument) {
  --m->top;
  m->stack[(m->top - 1) & 15] += m->stack[m->top & 15] + argument;
}
static void step_xor(struct Virtual* m, uint32_t argument) {
  m->stack[(m->top - 1) & 15] ^= argument;
}
static void step_rotate(struct Virtual* m, uint32_t argument) {
  uint32_t* value = &m->stack[(m->top - 1) & 15];
  *value = rotate_right(*value, (int)argument);
}
static void step_store(struct Virtual* m, uint32_t argument) {
  m->cell = m->stack[--m->top & 15] + argument;
}
static void step_load(struct Virtual* m, uint32_t argument) {
  m->stack[m->top++ & 15] = m->cell ^ argument;
}
static void step_drop(struct Virtual* m, uint32_t argument) {
  m->top -= argument;
}
static void step_jump(struct Virtual* m, uint32_t argument) {
  m->at = argument;
}

static Step* const volatile steps[kOps] = {step_push,  step_add,  step_xor,  step_rotate,
                                           step_store, step_load, step_drop, step_jump};

uint32_t bytecode_interpreter(uint32_t times) {
  static const struct {
    uint8_t op;
    uint32_t argument;
  } program[] = {{kOpLoad, 3},   {kOpPush, 77}, {kOpAdd, 1},   {kOpRotate, 7}, {kOpXor, 0x55},
                 {kOpStore, 11}, {kOpPush, 5},  {kOpLoad, 99}, {kOpDrop, 2},   {kOpJump, 0}};
  struct Virtual machine = {.cell = 1};
  while (times > 0) {
    const uint32_t at = machine.at++;
    if (program[at].op == kOpJump) --times;
    steps[program[at].op](&machine, program[at].argument);
  }
  return machine.cell;
}

uint32_t division(uint32_t times) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < times; ++i) {
    uint32_t a = i * 2654435761u | 1, b = 0x9e37u;
    while (b != 0) {
      const uint32_t rest = a % b;
      a = b;
      b = rest;
    }
    sum += a;
  }
  return sum;
}

// 64 bits on a 32-bit processor: ADC, SBB, MUL, SHLD.
uint32_t wide_arithmetic(uint32_t times) {
  uint64_t a = 0x123456789abcdefull, b = 0xfedcba9876543210ull;
  for (uint32_t i = 0; i < times; ++i) {
    a = a * 6364136223846793005ull + 1442695040888963407ull;
    b = (b << 7 | b >> 57) - (a ^ i);
    a += b >> 11;
  }
  return (uint32_t)(a >> 32) ^ (uint32_t)b;
}

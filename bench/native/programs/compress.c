// A dictionary coder (LZ77 with a hash of three bytes): compresses a text, unpacks it, compares.
#include "runtime.h"

enum { kText = 48 << 10, kHashes = 4096, kShortest = 3, kLongest = 130, kWindow = 8191 };
static u8 text[kText], packed[kText * 2], unpacked[kText + kLongest];
static u32 latest[kHashes];

static void make_text(void) {
  static const char* const kWords[] = {"page ",      "table ",   "shadow ", "window ", "the ", "of ",
                                       "interrupt ", "kernel ",  "and ",    "fault ",  "a ",   "to ",
                                       "entry ",     "process ", "is ",     "\n"};
  u32 state = 99, at = 0;
  while (at < kText) {
    for (const char* word = kWords[next_random(&state) >> 28]; *word && at < kText; ++word)
      text[at++] = (u8)*word;
  }
}

static u32 hash_at(const u8* p) {
  return (p[0] * 2654435761u ^ p[1] * 40503u ^ p[2] * 2246822519u) >> 20;
}

static u32 match_length(u32 earlier, u32 at) {
  u32 length = 0;
  while (length < kLongest && at + length < kText && text[earlier + length] == text[at + length]) ++length;
  return length;
}

static NOINLINE u32 compress(void) {
  u32 out = 0, at = 0;
  for (u32 i = 0; i < kHashes; ++i) latest[i] = ~0u;
  while (at < kText) {
    u32 length = 0, earlier = ~0u;
    if (at + kShortest <= kText) {
      u32* slot = &latest[hash_at(text + at)];
      earlier = *slot;
      *slot = at;
      if (earlier != ~0u && at - earlier <= kWindow) length = match_length(earlier, at);
    }
    if (length >= kShortest) {  // a reference: length, distance
      packed[out++] = (u8)(128 | (length - kShortest));
      packed[out++] = (u8)(at - earlier);
      packed[out++] = (u8)((at - earlier) >> 8);
      at += length;
    } else {  // text is below 128
      packed[out++] = text[at++];
    }
  }
  return out;
}

static NOINLINE u32 unpack(u32 size) {
  u32 out = 0;
  for (u32 in = 0; in < size;) {
    u8 code = packed[in++];
    if (code < 128) {
      unpacked[out++] = code;
      continue;
    }
    u32 distance = packed[in] | (u32)packed[in + 1] << 8;
    in += 2;
    for (u32 left = (code & 127u) + kShortest; left; --left, ++out) unpacked[out] = unpacked[out - distance];
  }
  return out;
}

static u32 one(void) {
  u32 size = compress(), sum = size;
  if (unpack(size) != kText) give_up("another length comes out");
  for (u32 i = 0; i < kText; ++i) {
    if (text[i] != unpacked[i]) give_up("another text comes out");
  }
  for (u32 i = 0; i < size; i += 3) sum = fold(sum, packed[i]);
  return sum;
}

u32 work(u32 count) {
  make_text();
  return repeat(count, one);
}

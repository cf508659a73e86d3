// Reads or writes a block device past the kernel's cache, 64 KiB at a time: `disk COUNT read|write DEVICE`.
// `count` is the number of such pieces, from a region of 16 MiB. What is read must be the pattern that the
// host has put there: every 32-bit word holds its own offset; and that is what is written.
#include "runtime.h"

u32 work(u32 count) {
  enum { kPiece = 64 << 10, kRegion = 16 << 20, kReadWrite = 2, kDirect = 040000 };
  int writing = arguments[0][0] == 'w';
  int device = checked(CALL2(kOpen, arguments[1], kReadWrite | kDirect), "open");
  u32* piece = fresh_memory(kPiece);
  for (u32 i = 0; i < count; ++i) {
    u32 offset = i * kPiece % kRegion;
    checked(CALL3(kSeek, device, offset, 0), "lseek");
    if (writing) {
      for (u32 word = 0; word < kPiece / 4; word += 128) piece[word] = offset + word * 4;
      if (CALL3(kWrite, device, piece, kPiece) != kPiece) give_up("write");
    } else {
      if (CALL3(kRead, device, piece, kPiece) != kPiece) give_up("read");
      for (u32 word = 0; word < kPiece / 4; word += 128) {
        if (piece[word] != offset + word * 4) give_up("wrong data");
      }
    }
  }
  CALL1(kClose, device);
  return 1;
}

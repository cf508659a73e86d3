/* The container of the example: a title, then packets of MPEG-1 video. Numbers in the order of x86.
 *
 *   "FILM"   4 bytes
 *   width, height                    4 bytes each
 *   size of the title, the title     4 bytes, so many bytes
 *   as often as there are packets:   size, 4 bytes; the packet
 */
#ifndef FILM_H
#define FILM_H

#include <stdint.h>

enum { kLargestWidth = 640, kLargestHeight = 480, kLargestPacket = 1 << 20 };

struct film_header {
  char magic[4];
  uint32_t width;
  uint32_t height;
  uint32_t title_size;
};

#endif

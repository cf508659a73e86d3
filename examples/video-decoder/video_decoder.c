/* video-decoder: reads a film from standard input (film.h), writes its images to standard output (PPM). FFmpeg's libavcodec
 * decodes. The program confines itself before it reads the first byte: EnterSandbox() leaves it nothing but reading its input
 * and writing its output.
 *
 * THE BUG is deliberate, and it is in read_film(): the title is read with the length that the file gives. What lies behind the
 * title is overwritten, among it a pointer to a function and its arguments. docs/video-decoder.md shows what an attacker makes
 * of that, with and without the sandbox.
 *
 * Strict mode forbids brk and mmap, so all memory is there before EnterSandbox(); and futex, so FFmpeg has one thread. */
#include <libavcodec/avcodec.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "film.h"
#include "vitrine/sandbox.h"

enum { kHeap = 96 << 20 };

static void write_image(int output, const uint8_t *pixels, size_t width, size_t height);

/* One object at a fixed address. */
static struct {
  char title[64];
  /* Where images go. */
  void (*write_image)(int output, const uint8_t *pixels, size_t width, size_t height);
  int output;
  const uint8_t *pixels;
  size_t width;
  size_t height;
  /* Where packets come to. */
  uint8_t *packet;
} film;

static uint8_t packet_buffer[kLargestPacket + AV_INPUT_BUFFER_PADDING_SIZE];
static uint8_t pixel_buffer[kLargestWidth * kLargestHeight * 3];

static AVCodecContext *decoder;
static AVPacket *packet;
static AVFrame *frame;

/* 0: all of it; 1: the input ends here; -1: it ends in the middle. */
static int read_exactly(void *to, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(0, (char *)to + done, size - done);
    if (count <= 0) return done == 0 && count == 0 ? 1 : -1;
    done += (size_t)count;
  }
  return 0;
}

static void write_exactly(int output, const void *from, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = write(output, (const char *)from + done, size - done);
    if (count <= 0) LeaveSandbox(1);
    done += (size_t)count;
  }
}

static size_t append_number(char *to, size_t value) {
  char digits[24];
  size_t count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  for (size_t i = 0; i < count; ++i) to[i] = digits[count - 1 - i];
  return count;
}

static void write_image(int output, const uint8_t *pixels, size_t width, size_t height) {
  char header[64] = "P6\n";
  size_t size = 3;
  size += append_number(header + size, width);
  header[size++] = ' ';
  size += append_number(header + size, height);
  memcpy(header + size, "\n255\n", 5);
  write_exactly(output, header, size + 5);
  write_exactly(output, pixels, width * height * 3);
}

static int read_film(void) {
  struct film_header header;
  if (read_exactly(&header, sizeof header) != 0 || memcmp(header.magic, "FILM", 4) != 0) return -1;
  if (header.width == 0 || header.width > kLargestWidth || header.height == 0 || header.height > kLargestHeight) return -1;
  film.write_image = write_image;
  film.output = 1;
  film.pixels = pixel_buffer;
  film.width = header.width;
  film.height = header.height;
  film.packet = packet_buffer;
  /* THE BUG: title_size may be more than sizeof film.title. */
  return read_exactly(film.title, header.title_size);
}

/* Takes every image that the decoder has. */
static void take_images(void) {
  while (avcodec_receive_frame(decoder, frame) == 0) {
    if ((size_t)frame->width != film.width || (size_t)frame->height != film.height) continue;
    static struct SwsContext *scaler;
    scaler = sws_getCachedContext(scaler, frame->width, frame->height, frame->format, frame->width, frame->height,
                                  AV_PIX_FMT_RGB24, SWS_POINT, NULL, NULL, NULL);
    uint8_t *const planes[] = {pixel_buffer};
    const int strides[] = {frame->width * 3};
    if (scaler == NULL) LeaveSandbox(1);
    sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, strides);
    film.write_image(film.output, film.pixels, film.width, film.height);
  }
}

static int decode_film(void) {
  while (1) {
    uint32_t size = 0;
    const int state = read_exactly(&size, sizeof size);
    if (state != 0) return state;
    if (size > kLargestPacket || read_exactly(film.packet, size) != 0) return -1;
    packet->data = film.packet;
    packet->size = (int)size;
    if (avcodec_send_packet(decoder, packet) == 0) {
      take_images();
    } else {
      /* A packet that cannot be decoded: the last image stands. */
      film.write_image(film.output, film.pixels, film.width, film.height);
    }
  }
}

/* Everything that takes memory, or another system call, from the kernel. */
static int prepare(void) {
  av_log_set_level(AV_LOG_QUIET);
  /* malloc takes all from one heap that has its size now, and never gives any back. */
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kHeap * 2);
  mallopt(M_TOP_PAD, kHeap);
  void *heap = malloc(kHeap);
  if (heap == NULL) return -1;
  memset(heap, 1, kHeap);
  free(heap);

  const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_MPEG1VIDEO);
  if (codec == NULL) return -1;
  decoder = avcodec_alloc_context3(codec);
  packet = av_packet_alloc();
  frame = av_frame_alloc();
  if (decoder == NULL || packet == NULL || frame == NULL) return -1;
  decoder->thread_count = 1;
  /* What libswscale sets up once and for all, it sets up now: pthread_once wakes waiters, with futex. */
  struct SwsContext *once = sws_getContext(16, 16, AV_PIX_FMT_YUV420P, 16, 16, AV_PIX_FMT_RGB24, SWS_POINT, NULL, NULL, NULL);
  if (once == NULL) return -1;
  sws_freeContext(once);
  return avcodec_open2(decoder, codec, NULL);
}

int main(int argc, char **argv) {
  const int confined = argc < 2 || strcmp(argv[1], "--no-sandbox") != 0;
  if (prepare() != 0) return 2;
  if (confined && EnterSandbox() != 0) return 3;

  int state = read_film();
  if (state == 0) state = decode_film();
  if (state == 1) {
    avcodec_send_packet(decoder, NULL);
    take_images();
  }
  LeaveSandbox(state == 1 ? 0 : 1);
}

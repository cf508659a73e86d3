/* make-film FILE: makes the film of the example, 24 images of 160 by 128 that FFmpeg's MPEG-1 encoder compresses. A square moves
 * over a ramp, so that one can tell that the images are right. */
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <string.h>

#include "film.h"

enum { kWidth = 160, kHeight = 128, kImages = 24 };

static void draw(AVFrame *frame, int image) {
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const int inside = x >= 4 * image && x < 4 * image + 32 && y >= 48 && y < 80;
      frame->data[0][y * frame->linesize[0] + x] = (uint8_t)(inside ? 235 : 16 + x);
    }
  }
  for (int plane = 1; plane < 3; ++plane) {
    for (int y = 0; y < kHeight / 2; ++y) memset(frame->data[plane] + y * frame->linesize[plane], 128, kWidth / 2);
  }
}

static int write_packets(AVCodecContext *encoder, AVPacket *packet, FILE *file) {
  int state = 0;
  while ((state = avcodec_receive_packet(encoder, packet)) == 0) {
    const uint32_t size = (uint32_t)packet->size;
    fwrite(&size, sizeof size, 1, file);
    fwrite(packet->data, size, 1, file);
    av_packet_unref(packet);
  }
  return state == AVERROR(EAGAIN) || state == AVERROR_EOF ? 0 : -1;
}

static int encode(AVCodecContext *encoder, FILE *file) {
  AVFrame *frame = av_frame_alloc();
  AVPacket *packet = av_packet_alloc();
  if (frame == NULL || packet == NULL) return -1;
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = kWidth;
  frame->height = kHeight;
  if (av_frame_get_buffer(frame, 0) != 0) return -1;
  for (int image = 0; image < kImages; ++image) {
    if (av_frame_make_writable(frame) != 0) return -1;
    draw(frame, image);
    frame->pts = image;
    if (avcodec_send_frame(encoder, frame) != 0 || write_packets(encoder, packet, file) != 0) return -1;
  }
  if (avcodec_send_frame(encoder, NULL) != 0 || write_packets(encoder, packet, file) != 0) return -1;
  av_packet_free(&packet);
  av_frame_free(&frame);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: make-film FILE\n");
    return 2;
  }
  const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MPEG1VIDEO);
  AVCodecContext *encoder = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
  FILE *file = fopen(argv[1], "wb");
  if (encoder == NULL || file == NULL) {
    fprintf(stderr, "make-film: no MPEG-1 encoder, or '%s' cannot be written\n", argv[1]);
    return 1;
  }
  encoder->width = kWidth;
  encoder->height = kHeight;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = (AVRational){1, 25};
  encoder->bit_rate = 2000000;
  encoder->thread_count = 1;
  const char title[] = "a square on a ramp";
  const struct film_header header = {{'F', 'I', 'L', 'M'}, kWidth, kHeight, sizeof title};
  fwrite(&header, sizeof header, 1, file);
  fwrite(title, sizeof title, 1, file);
  const int failed = avcodec_open2(encoder, codec, NULL) != 0 || encode(encoder, file) != 0 || fclose(file) != 0;
  avcodec_free_context(&encoder);
  return failed;
}

/* play-film DECODER FILM DIRECTORY|- [OPTION-OF-THE-DECODER]: has a decoder turn a film into images. The decoder runs in a box and
 * gets the film through its stream, not by name; what comes back is believed as little as the film: images are taken only if
 * they look like images (with "-" everything comes out as it is). Says how the decoder ended. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vitrine/sandbox.h"

enum { kLargest = 4096 };

struct feeding {
  FILE *film;
  FILE *decoder;
};

/* Film and images travel at the same time: this thread writes. By descriptor, since a stream has one lock. */
static void *feed(void *argument) {
  const struct feeding *feeding = argument;
  char part[4096];
  size_t size = 0;
  while ((size = fread(part, 1, sizeof part, feeding->film)) > 0) {
    for (size_t done = 0; done < size;) {
      const ssize_t count = write(fileno(feeding->decoder), part + done, size - done);
      if (count <= 0) return NULL; /* The decoder has ended. */
      done += (size_t)count;
    }
  }
  FinishInput(feeding->decoder);
  return NULL;
}

/* One image to a file. 0; 1: there are no more; -1: that is none. */
static int take_image(FILE *decoder, const char *directory, int number) {
  unsigned width = 0;
  unsigned height = 0;
  const int fields = fscanf(decoder, "P6 %5u %5u 255", &width, &height);
  if (fields == EOF) return 1;
  if (fields != 2 || fgetc(decoder) != '\n' || width == 0 || width > kLargest || height == 0 || height > kLargest) return -1;
  const size_t size = (size_t)width * height * 3;
  uint8_t *pixels = malloc(size);
  char path[4096];
  snprintf(path, sizeof path, "%s/image-%03d.ppm", directory, number);
  FILE *file = pixels != NULL && fread(pixels, 1, size, decoder) == size ? fopen(path, "wb") : NULL;
  int failed = file == NULL;
  if (!failed) {
    fprintf(file, "P6\n%u %u\n255\n", width, height);
    failed = fwrite(pixels, 1, size, file) != size;
    failed |= fclose(file) != 0;
  }
  free(pixels);
  return failed ? -1 : 0;
}

/* Everything that the decoder writes to standard output, whatever it is. */
static void pass_on(FILE *decoder) {
  char part[4096];
  ssize_t size = 0;
  while ((size = read(fileno(decoder), part, sizeof part)) > 0) fwrite(part, 1, (size_t)size, stdout);
}

static const char *name_of(enum ProgramEndKind kind) {
  switch (kind) {
    case PROGRAM_EXITED: return "exited with status";
    case PROGRAM_SIGNALLED: return "was ended by signal";
    case PROGRAM_VIOLATION: return "was ended by the box";
    case PROGRAM_LIMIT: return "was ended by a limit";
    case PROGRAM_KILLED: return "was killed";
  }
  return "?";
}

int main(int argc, char **argv) {
  FILE *film = argc == 4 || argc == 5 ? fopen(argv[2], "rb") : NULL;
  if (film == NULL) {
    fprintf(stderr, "usage: play-film DECODER FILM DIRECTORY|- [OPTION-OF-THE-DECODER]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const char *const decoder_arguments[] = {argv[1], argv[4], NULL};
  FILE *decoder = argc == 4 ? RunProgramAndGetFileHandle(argv[1]) : RunProgramWithArguments(decoder_arguments);
  if (decoder == NULL) {
    fprintf(stderr, "play-film: %s\n", SandboxError());
    return 1;
  }
  struct feeding feeding = {film, decoder};
  pthread_t feeder;
  if (pthread_create(&feeder, NULL, feed, &feeding) != 0) return 1;
  int images = 0;
  int state = 0;
  if (strcmp(argv[3], "-") == 0) {
    pass_on(decoder);
    state = 1;
  }
  while (state == 0 && (state = take_image(decoder, argv[3], images)) == 0) ++images;
  if (state < 0) KillProgram(decoder);
  pthread_join(feeder, NULL);

  struct ProgramEnd end;
  if (CloseProgram(decoder, &end) != 0) {
    fprintf(stderr, "play-film: %s\n", SandboxError());
    return 1;
  }
  fprintf(stderr, "%d images; the decoder %s %d; %lu calls denied%s%s\n", images, name_of(end.kind), end.status, end.violations,
         end.violation[0] != 0 ? ", first " : "", end.violation);
  fclose(film);
  return end.kind == PROGRAM_EXITED && end.status == 0 && state == 1 ? 0 : 1;
}

// Five bodies that attract each other, 400 steps in the type `Number`. The checksum is coarse: the x87 and
// SSE round differently, but a wrong result is far off; each build has a checksum of its own.
#pragma once

#include "runtime.h"

enum { kBodies = 5, kSteps = 400 };
typedef struct {
  Number x, y, z, vx, vy, vz, mass;
} Body;
static Body bodies[kBodies];

static Number square_root(Number value) {
  if (sizeof(Number) == sizeof(float)) return (Number)__builtin_sqrtf((float)value);
  return (Number)__builtin_sqrt((double)value);
}

static void place_bodies(void) {
  for (int i = 0; i < kBodies; ++i) {
    bodies[i] = (Body){(Number)(i * 3 - 6), (Number)(i * i - 4),  (Number)(i % 3), (Number)(i % 2) / 4,
                       (Number)(2 - i) / 8, (Number)(i - 1) / 16, (Number)(i + 1)};
  }
}

static NOINLINE void step(Number time) {
  for (int i = 0; i < kBodies; ++i) {
    for (int j = i + 1; j < kBodies; ++j) {
      Body *a = &bodies[i], *b = &bodies[j];
      Number dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
      Number squared = dx * dx + dy * dy + dz * dz + (Number)0.5;
      Number pull = time / (squared * square_root(squared));
      a->vx -= dx * b->mass * pull, a->vy -= dy * b->mass * pull, a->vz -= dz * b->mass * pull;
      b->vx += dx * a->mass * pull, b->vy += dy * a->mass * pull, b->vz += dz * a->mass * pull;
    }
  }
  for (int i = 0; i < kBodies; ++i) {
    bodies[i].x += time * bodies[i].vx, bodies[i].y += time * bodies[i].vy,
        bodies[i].z += time * bodies[i].vz;
  }
}

static u32 one(void) {
  place_bodies();
  for (int i = 0; i < kSteps; ++i) step((Number)0.0009765625);
  Number sum = 0;
  for (int i = 0; i < kBodies; ++i) sum += bodies[i].x * (Number)(i + 1) + bodies[i].vy;
  return (u32)(int)(sum * 1000);
}

u32 work(u32 count) {
  return repeat(count, one);
}

// The x87 unit: planets that attract each other, in double precision.
#include "rows.h"

enum { kBodies = 5 };

struct Body {
  double position[3], velocity[3], mass;
};

static struct Body bodies[kBodies];

static void set_up(void) {
  for (int i = 0; i < kBodies; ++i) {
    for (int axis = 0; axis < 3; ++axis) {
      bodies[i].position[axis] = 1.5 * i + 0.25 * axis * (i - 2);
      bodies[i].velocity[axis] = 0.125 * (axis - 1) * (i + 1);
    }
    bodies[i].mass = 1.0 / (1 + i);
  }
}

static double square_root(double value) {
  __asm__("fsqrt" : "+t"(value));
  return value;
}

static void advance(double step) {
  for (int i = 0; i < kBodies; ++i) {
    for (int j = i + 1; j < kBodies; ++j) {
      double difference[3], square = 0.01;
      for (int axis = 0; axis < 3; ++axis) {
        difference[axis] = bodies[i].position[axis] - bodies[j].position[axis];
        square += difference[axis] * difference[axis];
      }
      const double magnitude = step / (square * square_root(square));
      for (int axis = 0; axis < 3; ++axis) {
        bodies[i].velocity[axis] -= difference[axis] * bodies[j].mass * magnitude;
        bodies[j].velocity[axis] += difference[axis] * bodies[i].mass * magnitude;
      }
    }
  }
  for (int i = 0; i < kBodies; ++i) {
    for (int axis = 0; axis < 3; ++axis) bodies[i].position[axis] += step * bodies[i].velocity[axis];
  }
}

uint32_t n_body_x87(uint32_t times) {
  set_up();
  while (times-- > 0) advance(0.001);
  return (uint32_t)(int32_t)(bodies[0].position[0] * 1000) ^
         (uint32_t)(int32_t)(bodies[4].velocity[2] * 1000);
}

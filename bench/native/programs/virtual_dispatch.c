// Objects with tables of functions, as a compiler makes of virtual calls: four classes in random order.
#include "runtime.h"

enum { kObjects = 4096, kRounds = 30 };
typedef struct Object Object;
typedef struct {
  u32 (*area)(const Object*);
  void (*grow)(Object*, u32);
} Class;
struct Object {
  const Class* class;
  u32 width, height;
};
static Object objects[kObjects];

static u32 area_of_rectangle(const Object* o) {
  return o->width * o->height;
}
static u32 area_of_square(const Object* o) {
  return o->width * o->width;
}
static u32 area_of_triangle(const Object* o) {
  return o->width * o->height / 2;
}
static u32 area_of_frame(const Object* o) {
  return 2 * (o->width + o->height);
}
static void grow_both(Object* o, u32 by) {
  o->width += by, o->height += by;
}
static void grow_width(Object* o, u32 by) {
  o->width += by;
}
static void grow_height(Object* o, u32 by) {
  o->height ^= by;
}
static void grow_not(Object* o, u32 by) {
  o->height = o->width - by;
}
static const Class kClasses[4] = {{area_of_rectangle, grow_both},
                                  {area_of_square, grow_width},
                                  {area_of_triangle, grow_height},
                                  {area_of_frame, grow_not}};

static NOINLINE u32 one(void) {
  u32 state = 3, sum = 0;
  for (u32 i = 0; i < kObjects; ++i) {
    u32 random = next_random(&state);
    objects[i] = (Object){&kClasses[random >> 30], random & 255, random >> 8 & 255};
  }
  for (u32 round = 0; round < kRounds; ++round) {
    for (u32 i = 0; i < kObjects; ++i) {
      Object* object = &objects[i];
      object->class->grow(object, round);
      sum = sum * 31 + object->class->area(object);
    }
  }
  return sum;
}

u32 work(u32 count) {
  return repeat(count, one);
}

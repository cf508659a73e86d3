#include "inspect/activity_sampler.h"

#include <gtest/gtest.h>

#include <numeric>

namespace vitrine::inspect {
namespace {

Nanoseconds of(const ActivitySampler::Times& times, Activity activity) {
  return times[static_cast<size_t>(activity)].time;
}

Nanoseconds sum(const ActivitySampler::Times& times) {
  return std::accumulate(times.begin(), times.end(), Nanoseconds{0},
                         [](Nanoseconds all, const Spent& spent) { return all + spent.time; });
}

TEST(ActivitySampler, BooksTimeToWhatItSawBefore) {
  ActivityCell cell(Activity::Guest), other(Activity::Idle);
  ActivitySampler sampler;
  sampler.watch(cell);
  sampler.watch(other);
  sampler.sample(100);  // Time begins.
  EXPECT_EQ(sampler.snapshot().elapsed, 0u);
  cell.set(Activity::Fill);
  sampler.sample(130);
  cell.set(Activity::Guest);
  sampler.sample(150);
  sampler.sample(157);
  EXPECT_EQ(of(sampler.snapshot().times[0], Activity::Guest), 30u + 7u);
  EXPECT_EQ(of(sampler.snapshot().times[0], Activity::Fill), 20u);
  EXPECT_EQ(sampler.snapshot().times[0][static_cast<size_t>(Activity::Guest)].samples, 2u);
  EXPECT_EQ(of(sampler.snapshot().times[1], Activity::Idle), 57u);
  EXPECT_EQ(sampler.snapshot().elapsed, 57u);
  for (const size_t n : {0, 1}) EXPECT_EQ(sum(sampler.snapshot().times[n]), sampler.snapshot().elapsed);
}

TEST(ActivitySampler, KnowsWhichDeviceTheInterpreterIsAt) {
  ActivityCell cell(Activity::Interpreter), guest(Activity::Guest);
  DeviceCounters ports, memory;
  DeviceCounter& device = memory.of(&cell, "device");
  ActivitySampler sampler;
  sampler.watch(cell);
  sampler.watch(guest);
  sampler.add_devices(ports);
  sampler.add_devices(memory);
  sampler.sample(0);
  {
    const DeviceAccess access(memory, device);
    sampler.sample(10);
  }
  sampler.sample(15);
  EXPECT_EQ(of(sampler.snapshot().times[0], Activity::Interpreter), 10u);
  EXPECT_EQ(of(sampler.snapshot().times[0], Activity::Device), 5u);
  EXPECT_EQ(device.nanoseconds, 5u);
  EXPECT_EQ(device.samples, 1u);
  EXPECT_EQ(of(sampler.snapshot().times[1], Activity::Guest), 15u) << "who runs guest code is at no device";
}

TEST(ActivitySampler, AThreadTakesSamplesAndWritesWhatItIsTold) {
  ActivityCell cell(Activity::Guest);
  testing::internal::CaptureStderr();
  {
    ActivitySampler sampler;
    sampler.watch(cell);
    ASSERT_TRUE(sampler.start());
    while (sampler.snapshot().times[0][static_cast<size_t>(Activity::Guest)].samples < 3)
      std::this_thread::yield();
    const ActivitySampler::Snapshot now = sampler.snapshot();
    EXPECT_EQ(sum(now.times[0]), now.elapsed);
    sampler.write("one\n");
    sampler.write("two\n");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "one\ntwo\n");
}

TEST(ActivityScope, GivesBackWhatWasBefore) {
  ActivityCell cell(Activity::Guest);
  {
    const ActivityScope outer(cell, Activity::Fill);
    const ActivityScope inner(cell, Activity::Waiting);
    EXPECT_EQ(cell.now(), Activity::Waiting);
  }
  EXPECT_EQ(cell.now(), Activity::Guest);
}

}  // namespace
}  // namespace vitrine::inspect

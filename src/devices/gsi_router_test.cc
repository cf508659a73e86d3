#include "devices/gsi_router.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace vitrine::devices {
namespace {

struct Recorder : IrqSink {
  std::vector<std::pair<unsigned, bool>> events;
  void set_irq_line(unsigned line, bool level) override { events.emplace_back(line, level); }
};
using Events = std::vector<std::pair<unsigned, bool>>;

TEST(GsiRouter, IsaInterruptsReachBothControllers) {
  Recorder pic;
  Recorder apic;
  GsiRouter router(&pic, &apic);
  router.connect(4).raise();
  EXPECT_EQ(pic.events, (Events{{4, true}}));
  EXPECT_EQ(apic.events, (Events{{4, true}}));
}

TEST(GsiRouter, TheTimerIsOnPinTwo) {
  Recorder pic;
  Recorder apic;
  GsiRouter router(&pic, &apic);
  router.connect(0).raise();
  router.connect(2).raise();
  EXPECT_EQ(apic.events, (Events{{2, true}}));
  EXPECT_EQ(pic.events, (Events{{0, true}, {2, true}}));
}

TEST(GsiRouter, HighInterruptsAreTheIoApicsAlone) {
  Recorder pic;
  Recorder apic;
  GsiRouter router(&pic, &apic);
  router.connect(20).raise();
  EXPECT_TRUE(pic.events.empty());
  EXPECT_EQ(apic.events, (Events{{20, true}}));
}

TEST(GsiRouter, SourcesAreOred) {
  Recorder pic;
  GsiRouter router(&pic, nullptr);
  const IrqLine first = router.connect(11);
  const IrqLine second = router.connect_isa()[11];
  first.raise();
  second.raise();
  first.lower();
  EXPECT_TRUE(router.level(11));
  EXPECT_EQ(pic.events.back(), std::pair(11u, true));
  second.lower();
  EXPECT_EQ(pic.events.back(), std::pair(11u, false));
}

TEST(GsiRouter, StateComesBackAndUnknownSourcesAreRefused) {
  Recorder pic;
  GsiRouter two(&pic, nullptr);
  (void)two.connect(5);
  two.connect(5).raise();
  StateArchive saved;
  two.serialize(saved);

  GsiRouter same(&pic, nullptr);
  (void)same.connect(5);
  (void)same.connect(5);
  StateArchive load(saved.data());
  same.serialize(load);
  EXPECT_TRUE(load.status());
  EXPECT_TRUE(same.level(5));

  GsiRouter one(&pic, nullptr);
  (void)one.connect(5);
  StateArchive foreign(saved.data());
  one.serialize(foreign);
  EXPECT_FALSE(foreign.status());
  EXPECT_FALSE(one.level(5));
}

}  // namespace
}  // namespace vitrine::devices

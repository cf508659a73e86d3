// Hostile input: random bytes, and real packets with random damage, in random pieces. Always the same, for
// the seed that each failure prints.
#include <gtest/gtest.h>

#include <random>

#include "debug/debug_target_for_test.h"
#include "debug/gdb_server.h"

namespace vitrine::debug {
namespace {

constexpr uint32_t kSeed = 20240611;

constexpr std::string_view kSamples[] = {
    "?",
    "!",
    "g",
    "p8",
    "P8=78563412",
    "P2b=00000000",
    "Pa=08000000",
    "G00000000",
    "m100000,40",
    "mfffffff0,ffffffffffffffff",
    "M100000,2:abcd",
    "X100000,4:abcd",
    "Z0,100000,1",
    "Z4,100000,ffffffff",
    "z0,100000,1",
    "c",
    "s100",
    "C05;100",
    "S05",
    "vCont?",
    "vCont;s:1;c",
    "vCont;c:-1",
    "vKill;1",
    "Hg2",
    "Hc-1",
    "T2",
    "qC",
    "qfThreadInfo",
    "qThreadExtraInfo,2",
    "qSupported:swbreak+;hwbreak+",
    "qXfer:features:read:target.xml:10,20",
    "qXfer:memory-map:read::0,ffff",
    "qRcmd,68656c70",
    "qqemu.sstep",
    "Qqemu.sstep=5",
    "Qqemu.PhyMemMode:1",
    "QStartNoAckMode",
    "D",
    "k",
    "R00",
};

class Fuzzer {
 public:
  std::string input() {
    switch (pick(8)) {
      case 0: return noise(pick(64));
      case 1: return "\x03";
      case 2: return pick(2) == 0 ? "+" : "-";
      case 3: return frame_packet(noise(pick(200)));
      case 4: return damaged(frame_packet(sample()));
      case 5: return frame_packet(sample());
      default: return frame_packet(damaged(sample()));
    }
  }
  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }

 private:
  std::string sample() { return std::string(kSamples[pick(std::size(kSamples))]); }
  std::string noise(size_t length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(pick(256));
    return bytes;
  }
  std::string damaged(std::string text) {
    for (size_t changes = pick(3) + 1; changes > 0; --changes) {
      const size_t at = pick(text.size() + 1);
      switch (pick(4)) {
        case 0: text.insert(at, 1, static_cast<char>(pick(256))); break;
        case 1: text.insert(at, 1, "0123456789abcdef,;:-"[pick(20)]); break;
        case 2: text.resize(at); break;
        default:
          if (at < text.size()) text[at] = static_cast<char>(pick(256));
      }
    }
    return text;
  }

  std::mt19937 random_{kSeed};
};

TEST(GdbServerFuzz, NothingThatComesDoesHarm) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Fuzzer fuzzer;
  LineForTest line;
  DebugTargetForTest target(3);
  target.monitor_output = "text";
  GdbServer server(line, target);
  line.connect();
  for (unsigned round = 0; round < 50'000; ++round) {
    line.type(fuzzer.input());
    if (fuzzer.pick(16) == 0) {
      server.stopped(static_cast<unsigned>(fuzzer.pick(5)), static_cast<StopReason>(fuzzer.pick(5)),
                     VirtualAddress(0x100000));
    }
    if (fuzzer.pick(64) == 0) line.disconnect();
    if (!line.connected) line.connect();
    // Two bytes of reply for each byte of memory that one packet can ask for, and a frame.
    ASSERT_LE(line.take_sent().size(), 3 * GdbServer::kMaxPacket);
    ASSERT_LE(target.stop_points.breakpoints.size(), StopPointSet::kMaxCount);
    for (const ResumeRequest& request : target.requests) ASSERT_EQ(request.actions.size(), 3u);
    target.requests.clear();
    target.commands.clear();
  }
  // It still serves.
  line.disconnect();
  line.connect();
  line.type(frame_packet("qfThreadInfo"));
  EXPECT_EQ(line.take_sent(), "+" + frame_packet("m1,2,3"));
}

}  // namespace
}  // namespace vitrine::debug

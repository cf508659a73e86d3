#include "memory/port_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace vitrine::memory {
namespace {

struct Recorder : PortDevice {
  struct Access {
    uint16_t port;
    unsigned size;
    uint32_t value;
    bool operator==(const Access&) const = default;
  };
  std::vector<Access> accesses;
  uint32_t answer = 0;

  std::string_view name() const override { return "recorder"; }
  uint32_t read_port(uint16_t port, unsigned size) override {
    accesses.push_back({port, size, 0});
    return answer;
  }
  void write_port(uint16_t port, unsigned size, uint32_t value) override {
    accesses.push_back({port, size, value});
  }
};

TEST(PortMap, NobodyAnswersWithOnes) {
  PortMap ports;
  EXPECT_EQ(ports.read(0x123, 1), 0xffu);
  EXPECT_EQ(ports.read(0x123, 2), 0xffffu);
  EXPECT_EQ(ports.read(0xfffe, 4), 0xffffffffu);
  ports.write(0x123, 4, 1);
}

TEST(PortMap, WideAccessToAByteDeviceIsSplit) {
  PortMap ports;
  Recorder device;
  ports.map(0x60, 2, device);
  ports.write(0x60, 4, 0x44332211);
  EXPECT_EQ(device.accesses, (std::vector<Recorder::Access>{{0x60, 1, 0x11}, {0x61, 1, 0x22}}));
  device.answer = 0x5a;
  EXPECT_EQ(ports.read(0x60, 4), 0xffff5a5au);
}

TEST(PortMap, WideDeviceTakesWideAccessWhole) {
  PortMap ports;
  Recorder device;
  ports.map(0xcf8, 8, device, PortWidth::Dword);
  ports.write(0xcf8, 4, 0x80000000);
  ports.write(0xcfe, 2, 0x1234);
  EXPECT_EQ(device.accesses, (std::vector<Recorder::Access>{{0xcf8, 4, 0x80000000}, {0xcfe, 2, 0x1234}}));
}

TEST(PortMap, CountsAccessesByDeviceThroughEveryMapping) {
  PortMap ports;
  Recorder device, other;
  ports.map(0x60, 2, device);
  ports.map(0x70, 1, other);
  (void)ports.read(0x60, 2);  // Two pieces.
  ports.write(0x61, 1, 0);
  ports.unmap(0x60, 2, device);
  (void)ports.read(0x60, 1);
  ports.map(0x80, 1, device);
  (void)ports.read(0x80, 1);
  const auto& all = ports.accesses().all();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "nobody");
  EXPECT_EQ(all[0].reads, 1u);
  EXPECT_EQ(all[1].name, "recorder");
  EXPECT_EQ(all[1].reads, 3u);
  EXPECT_EQ(all[1].writes, 1u);
  EXPECT_EQ(all[2].reads + all[2].writes, 0u);
  EXPECT_EQ(ports.accesses().now(), nullptr);
}

TEST(PortMap, TellsWhatNobodyAnswers) {
  struct Listener : UnmappedListener {
    std::vector<std::string> heard;
    void unmapped_port(uint16_t port, unsigned size, AccessDirection direction, uint32_t value) override {
      heard.push_back((direction == AccessDirection::Read ? "r" : "w") + std::to_string(port) + "/" +
                      std::to_string(size) + "=" + std::to_string(value));
    }
    void unmapped_memory(uint64_t, unsigned, AccessDirection, uint64_t) override {}
  };
  PortMap ports;
  Recorder device;
  Listener listener;
  ports.map(0x60, 1, device);
  ports.set_unmapped_listener(&listener);
  (void)ports.read(0x60, 1);
  ports.write(0x60, 2, 0x1234);
  (void)ports.read(0x70, 2);
  EXPECT_EQ(listener.heard, (std::vector<std::string>{"w97/1=18", "r112/2=0"}));
}

TEST(PortMap, LatestMappingWinsUntilItGoes) {
  PortMap ports;
  Recorder below;
  Recorder above;
  below.answer = 1;
  above.answer = 2;
  ports.map(0x100, 8, below);
  ports.map(0x104, 2, above);
  EXPECT_EQ(ports.read(0x104, 1), 2u);
  EXPECT_EQ(ports.read(0x106, 1), 1u);
  ports.unmap(0x104, 2, above);
  EXPECT_EQ(ports.read(0x104, 1), 1u);
}

struct Streaming : Recorder {
  size_t read_port_block(uint16_t /*port*/, unsigned size, std::span<uint8_t> data) override {
    std::ranges::fill(data, static_cast<uint8_t>(size));
    return data.size();
  }
  size_t write_port_block(uint16_t /*port*/, unsigned /*size*/, std::span<const uint8_t> data) override {
    return data.size();
  }
};

TEST(PortMap, BlocksGoOnlyToADeviceThatTakesTheAccessWhole) {
  PortMap ports;
  Streaming device;
  Recorder plain;
  ports.map(0x1f0, 8, device, PortWidth::Word);
  ports.map(0x60, 1, plain);
  std::vector<uint8_t> data(8);
  EXPECT_EQ(ports.read_block(0x1f0, 2, data), 8u);
  EXPECT_EQ(data[7], 2);
  EXPECT_EQ(ports.write_block(0x1f0, 2, data), 8u);
  EXPECT_EQ(ports.read_block(0x1f0, 4, data), 0u) << "split";
  EXPECT_EQ(ports.write_block(0x1f0, 4, data), 0u);
  EXPECT_EQ(ports.read_block(0x1f7, 2, data), 0u) << "its second half is nobody's";
  EXPECT_EQ(ports.read_block(0x60, 1, data), 0u) << "a device without blocks";
  EXPECT_EQ(ports.write_block(0x60, 1, data), 0u);
  EXPECT_EQ(ports.read_block(0x300, 1, data), 0u) << "nobody";
}

}  // namespace
}  // namespace vitrine::memory

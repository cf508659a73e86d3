// REP INS and REP OUTS with a device that moves blocks: every case runs a second time with the same device
// taking one access at a time, and all that a guest can see must be the same.
#include <algorithm>
#include <functional>

#include "cpu/test_machine.h"

namespace vitrine::cpu {
namespace {

using enum x86::Gpr;

constexpr uint16_t kPort = 0x1f0;
constexpr uint32_t kPage = TestMachine::kData;
constexpr int kPageFault = 14, kGeneralProtection = 13, kInterrupt = 0x40;

enum class Transfer : uint8_t { Single, Blocks };

// Hands out and takes in data in blocks of `block` bytes; `ended` is called after each.
struct Drive : memory::PortDevice {
  Transfer transfer = Transfer::Single;
  uint32_t block = 512;
  uint32_t position = 0;  // in all blocks
  uint32_t limit = 0;     // the position at which there is no more data
  unsigned blocks_moved = 0;
  unsigned block_calls = 0;
  std::vector<uint8_t> written;
  std::function<void()> ended;

  static uint8_t byte_at(uint32_t position) { return static_cast<uint8_t>(position * 7 + (position >> 8)); }
  [[nodiscard]] uint32_t left() const { return std::min(limit, (position / block + 1) * block) - position; }
  void moved(uint32_t bytes) {
    position += bytes;
    if (bytes == 0 || (position % block != 0 && position != limit)) return;
    ++blocks_moved;
    if (ended) ended();
  }

  uint32_t read_port(uint16_t /*port*/, unsigned size) override {
    if (position == limit) return ~0u;
    uint32_t value = 0;
    const uint32_t bytes = std::min<uint32_t>(size, left());
    for (uint32_t n = 0; n < bytes; ++n) value |= uint32_t{byte_at(position + n)} << (8 * n);
    moved(bytes);
    return value;
  }
  void write_port(uint16_t /*port*/, unsigned size, uint32_t value) override {
    const uint32_t bytes = std::min<uint32_t>(size, left());
    for (uint32_t n = 0; n < bytes; ++n) written.push_back(static_cast<uint8_t>(value >> (8 * n)));
    moved(bytes);
  }
  uint32_t block_bytes(unsigned size, size_t room) {
    if (transfer == Transfer::Single || position == limit) return 0;
    const auto bytes = static_cast<uint32_t>(std::min<size_t>(room, left()));
    ++block_calls;
    return bytes - bytes % size;
  }
  size_t read_port_block(uint16_t /*port*/, unsigned size, std::span<uint8_t> data) override {
    const uint32_t bytes = block_bytes(size, data.size());
    for (uint32_t n = 0; n < bytes; ++n) data[n] = byte_at(position + n);
    moved(bytes);
    return bytes;
  }
  size_t write_port_block(uint16_t /*port*/, unsigned size, std::span<const uint8_t> data) override {
    const uint32_t bytes = block_bytes(size, data.size());
    written.insert(written.end(), data.begin(), data.begin() + bytes);
    moved(bytes);
    return bytes;
  }
};

struct Side {
  explicit Side(Transfer transfer, const std::function<void(Side&)>& prepare) {
    drive.transfer = transfer;
    drive.limit = 1 << 20;
    m.ports.map(kPort, 8, drive, memory::PortWidth::Dword);
    m.trap_exceptions();
    for (uint32_t n = 0; n < 0x4000; ++n) m.put<uint8_t>(kPage + n, static_cast<uint8_t>(n * 3));
    m.reg(kEdx) = kPort;
    prepare(*this);
    (void)m.run();
  }
  [[nodiscard]] std::vector<uint8_t> memory() {
    std::vector<uint8_t> bytes(0x4000);
    m.map.read(PhysicalAddress(kPage), bytes);
    return bytes;
  }
  void code(std::initializer_list<uint8_t> bytes) { m.load_code(bytes); }

  TestMachine m;
  Drive drive;
};

class StringIoTest : public testing::Test {
 protected:
  // Runs both ways and compares; gives the one with blocks.
  Side& compare(const std::function<void(Side&)>& prepare) {
    single_ = std::make_unique<Side>(Transfer::Single, prepare);
    blocks_ = std::make_unique<Side>(Transfer::Blocks, prepare);
    for (const auto r : {kEax, kEcx, kEdx, kEbx, kEsp, kEbp, kEsi, kEdi})
      EXPECT_EQ(blocks_->m.reg(r), single_->m.reg(r)) << r;
    EXPECT_EQ(blocks_->m.state().eip, single_->m.state().eip);
    EXPECT_EQ(blocks_->m.state().eflags, single_->m.state().eflags);
    EXPECT_EQ(blocks_->m.state().cr2, single_->m.state().cr2);
    for (unsigned n = 0; n < 4; ++n) EXPECT_EQ(blocks_->m.stacked(n), single_->m.stacked(n)) << n;
    EXPECT_EQ(blocks_->memory(), single_->memory());
    EXPECT_EQ(blocks_->drive.position, single_->drive.position);
    EXPECT_EQ(blocks_->drive.blocks_moved, single_->drive.blocks_moved);
    EXPECT_EQ(blocks_->drive.written, single_->drive.written);
    return *blocks_;
  }

  std::unique_ptr<Side> single_, blocks_;
};

constexpr std::initializer_list<uint8_t> kRepInsb = {0xf3, 0x6c}, kRepInsw = {0x66, 0xf3, 0x6d},
                                         kRepInsd = {0xf3, 0x6d}, kRepOutsb = {0xf3, 0x6e},
                                         kRepOutsw = {0x66, 0xf3, 0x6f}, kRepOutsd = {0xf3, 0x6f};

TEST_F(StringIoTest, WholeAndPartialBlocksOfAllWidths) {
  for (const auto code : {kRepInsb, kRepInsw, kRepInsd, kRepOutsb, kRepOutsw, kRepOutsd}) {
    for (const uint32_t count : {0u, 1u, 100u, 128u, 256u, 300u, 1000u}) {
      Side& side = compare([&](Side& s) {
        s.code(code);
        s.m.reg(kEcx) = count;
        s.m.reg(kEsi) = s.m.reg(kEdi) = kPage;
      });
      EXPECT_EQ(side.m.exception(), -1);
      if (count > 1) {
        EXPECT_GT(side.drive.block_calls, 0u);
        EXPECT_LT(side.drive.block_calls, count);
      }
    }
  }
}

TEST_F(StringIoTest, AddressesAcrossPages) {
  for (const auto code : {kRepInsw, kRepInsd, kRepOutsw, kRepOutsd}) {
    for (const uint32_t offset : {0xff0u, 0xff1u, 0xfffu}) {
      (void)compare([&](Side& s) {
        s.code(code);
        s.m.reg(kEcx) = 600;
        s.m.reg(kEsi) = s.m.reg(kEdi) = kPage + offset;
      });
    }
  }
}

TEST_F(StringIoTest, BlocksThatAreNoMultipleOfTheAccess) {
  for (const auto code : {kRepInsd, kRepOutsd}) {
    Side& side = compare([&](Side& s) {
      s.code(code);
      s.drive.block = 510;
      s.m.reg(kEcx) = 300;
      s.m.reg(kEsi) = s.m.reg(kEdi) = kPage;
    });
    EXPECT_EQ(side.drive.blocks_moved, 2u);
  }
}

TEST_F(StringIoTest, DownwardGoesOneByOne) {
  for (const auto code : {kRepInsw, kRepOutsw}) {
    Side& side = compare([&](Side& s) {
      s.code(code);
      s.m.state().eflags |= x86::kDf;
      s.m.reg(kEcx) = 700;
      s.m.reg(kEsi) = s.m.reg(kEdi) = kPage + 0x1800;
    });
    EXPECT_EQ(side.drive.block_calls, 0u);
    EXPECT_EQ(side.m.reg(kEcx), 0u);
  }
}

TEST_F(StringIoTest, AFaultInTheMiddleHasMovedWhatCameBefore) {
  for (const auto code : {kRepInsw, kRepInsd, kRepOutsw, kRepOutsd}) {
    for (const uint32_t offset : {0xe00u, 0xf01u}) {
      Side& side = compare([&](Side& s) {
        s.code(code);
        s.m.enable_paging();
        s.m.set_page(kPage + 0x1000, 0);
        s.m.reg(kEcx) = 600;
        s.m.reg(kEsi) = s.m.reg(kEdi) = kPage + offset;
      });
      EXPECT_EQ(side.m.exception(), kPageFault);
      EXPECT_EQ(side.m.state().cr2, kPage + 0x1000);
      EXPECT_EQ(side.m.stacked(1), TestMachine::kCode) << "to be started again";
      EXPECT_GT(side.drive.block_calls, 0u);
    }
  }
}

TEST_F(StringIoTest, TheSegmentsLimitHolds) {
  for (const auto code : {kRepInsw, kRepOutsw}) {
    Side& side = compare([&](Side& s) {
      s.code(code);
      for (const auto segment : {x86::kDs, x86::kEs}) s.m.state().segments[segment].limit = kPage + 0x2ff;
      s.m.reg(kEcx) = 600;
      s.m.reg(kEsi) = s.m.reg(kEdi) = kPage;
    });
    EXPECT_EQ(side.m.exception(), kGeneralProtection);
    EXPECT_EQ(side.m.reg(kEcx), 600u - 0x180);
  }
}

TEST_F(StringIoTest, SixteenBitAddressesWrap) {
  for (const auto code : {std::initializer_list<uint8_t>{0x66, 0x67, 0xf3, 0x6d}, {0x66, 0x67, 0xf3, 0x6f}}) {
    (void)compare([&](Side& s) {
      s.code(code);
      for (const auto segment : {x86::kDs, x86::kEs}) s.m.state().segments[segment].base = kPage;
      s.m.reg(kEcx) = 0x120;
      s.m.reg(kEsi) = s.m.reg(kEdi) = 0x1234ff00;
    });
  }
}

TEST_F(StringIoTest, ADeviceThatEndsEarlyIsReadOn) {
  Side& side = compare([&](Side& s) {
    s.code(kRepInsw);
    s.drive.limit = 700;
    s.m.reg(kEcx) = 600;
    s.m.reg(kEdi) = kPage;
  });
  EXPECT_EQ(side.m.at<uint16_t>(kPage + 700), 0xffff);
  EXPECT_EQ(side.drive.position, 700u);
}

TEST_F(StringIoTest, AnInterruptAfterABlockComesInBetween) {
  for (const auto code : {kRepInsw, kRepOutsw}) {
    Side& side = compare([&](Side& s) {
      s.code(code);
      s.m.state().eflags |= x86::kIf;
      s.drive.ended = [&s] {
        s.m.bus.interrupts.push_back(kInterrupt);
        s.m.cpu->set_interrupt_request(true);
      };
      s.m.reg(kEcx) = 600;
      s.m.reg(kEsi) = s.m.reg(kEdi) = kPage;
    });
    EXPECT_EQ(side.m.exception(), kInterrupt);
    EXPECT_EQ(side.m.reg(kEcx), 600u - 256);
    EXPECT_EQ(side.m.stacked(0), TestMachine::kCode);
  }
}

// A task with the port in its map, which lies where the data goes.
void enter_task_with_map(Side& s, uint32_t map) {
  constexpr uint32_t kTss = kPage + 0x2000;
  s.m.enter_user();
  s.m.state().tr = {0x38, 0x8b00, kTss, 0x1fff};
  s.m.put<uint32_t>(kTss + 4, TestMachine::kStack - 0x200);
  s.m.put<uint16_t>(kTss + 8, TestMachine::kData32);
  s.m.put<uint16_t>(kTss + 0x66, static_cast<uint16_t>(map - kTss));
  s.m.put<uint16_t>(map + kPort / 8, 0);
}

TEST_F(StringIoTest, DataThatOverwritesTheMapOfPorts) {
  Side& side = compare([&](Side& s) {
    const uint32_t map = kPage + 0x2100;
    enter_task_with_map(s, map);
    s.code(kRepInsd);
    s.m.reg(kEcx) = 300;
    s.m.reg(kEdi) = map + kPort / 8 - 101;
  });
  EXPECT_EQ(side.m.exception(), kGeneralProtection);
  EXPECT_EQ(side.m.reg(kEcx), 300u - 26) << "the twenty-sixth forbids what follows";
  EXPECT_EQ(side.drive.position, 4u * 26);
}

TEST_F(StringIoTest, AMapOfPortsThatIsNotOverwritten) {
  for (const auto code : {kRepInsw, kRepOutsw}) {
    Side& side = compare([&](Side& s) {
      enter_task_with_map(s, kPage + 0x2100);
      s.code(code);
      s.m.reg(kEcx) = 600;
      s.m.reg(kEsi) = s.m.reg(kEdi) = kPage;
    });
    EXPECT_EQ(side.m.exception(), kGeneralProtection) << "HLT";
    EXPECT_EQ(side.m.reg(kEcx), 0u);
    EXPECT_EQ(side.drive.position, 1200u);
  }
}

TEST_F(StringIoTest, PagesWithCodeAreNoticed) {
  Side& side = compare([&](Side& s) {
    s.code(kRepInsw);
    s.m.reg(kEcx) = 8;
    s.m.reg(kEdi) = TestMachine::kCode + 0x20;
  });
  EXPECT_EQ(side.drive.block_calls, 0u) << "pages with decoded code are written word by word";
  EXPECT_EQ(side.m.at<uint8_t>(TestMachine::kCode + 0x2f), Drive::byte_at(15));
}

}  // namespace
}  // namespace vitrine::cpu

#include "debug/gdb_packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitrine::debug {
namespace {

using Kind = PacketEvent::Kind;
using testing::ElementsAre;

std::vector<PacketEvent> read_all(PacketReader& reader, std::string_view text) {
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  std::span<const uint8_t> rest = bytes;
  std::vector<PacketEvent> events;
  while (auto event = reader.next(rest)) events.push_back(*event);
  EXPECT_TRUE(rest.empty());
  return events;
}

std::vector<Kind> kinds(const std::vector<PacketEvent>& events) {
  std::vector<Kind> result;
  for (const PacketEvent& event : events) result.push_back(event.kind);
  return result;
}

TEST(GdbPacket, AWholePacket) {
  PacketReader reader(100);
  const auto events = read_all(reader, "$qC#b4");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Kind::Packet);
  EXPECT_EQ(events[0].payload, "qC");
}

TEST(GdbPacket, APacketInPiecesAndWithUpperCaseDigits) {
  PacketReader reader(100);
  EXPECT_TRUE(read_all(reader, "+$q").empty());
  EXPECT_TRUE(read_all(reader, "C#").empty());
  EXPECT_TRUE(read_all(reader, "B").empty());
  EXPECT_THAT(kinds(read_all(reader, "4")), ElementsAre(Kind::Packet));
}

TEST(GdbPacket, SeveralEventsAtOnce) {
  PacketReader reader(100);
  EXPECT_THAT(kinds(read_all(reader, "+$g#67-\x03$?#3f")),
              ElementsAre(Kind::Packet, Kind::SendAgain, Kind::Interrupt, Kind::Packet));
}

TEST(GdbPacket, AWrongChecksum) {
  PacketReader reader(100);
  EXPECT_THAT(kinds(read_all(reader, "$g#68$g#zz$g#67")),
              ElementsAre(Kind::BadChecksum, Kind::BadChecksum, Kind::Packet));
}

TEST(GdbPacket, ACutOffPacketIsForgottenWhenTheNextBegins) {
  PacketReader reader(100);
  const auto events = read_all(reader, "$m1000,4$g#67");
  ASSERT_THAT(kinds(events), ElementsAre(Kind::Packet));
  EXPECT_EQ(events[0].payload, "g");
}

TEST(GdbPacket, AnInterruptByteInsideAPacketIsData) {
  PacketReader reader(100);
  const auto events = read_all(reader, "$X\x03#5b");
  ASSERT_THAT(kinds(events), ElementsAre(Kind::Packet));
  EXPECT_EQ(events[0].payload, "X\x03");
}

TEST(GdbPacket, TheLongestPacketAndOneByteMore) {
  PacketReader reader(4);
  EXPECT_THAT(kinds(read_all(reader, frame_packet("abcd"))), ElementsAre(Kind::Packet));
  EXPECT_THAT(kinds(read_all(reader, frame_packet("abcde"))), ElementsAre(Kind::TooLong));
  EXPECT_THAT(kinds(read_all(reader, frame_packet("abcd"))), ElementsAre(Kind::Packet));
}

TEST(GdbPacket, ResetForgetsHalfAPacket) {
  PacketReader reader(100);
  EXPECT_TRUE(read_all(reader, "$g#6").empty());
  reader.reset();
  EXPECT_TRUE(read_all(reader, "7").empty());
}

TEST(GdbPacket, FramesAreEscaped) {
  EXPECT_EQ(frame_packet(""), "$#00");
  EXPECT_EQ(frame_packet("OK"), "$OK#9a");
  EXPECT_EQ(frame_packet("a#b"),
            "$a}\x03"
            "b#43");
  EXPECT_EQ(frame_packet("$*}"), "$}\x04}\x0a}]#e2");
}

TEST(GdbPacket, Unescape) {
  EXPECT_EQ(unescape("a}\x03"
                     "b"),
            (std::vector<uint8_t>{'a', '#', 'b'}));
  EXPECT_EQ(unescape(""), std::vector<uint8_t>());
  EXPECT_EQ(unescape("ab}"), std::nullopt);
}

TEST(GdbPacket, HexadecimalData) {
  EXPECT_EQ(to_hex("\x01\xfe"), "01fe");
  EXPECT_EQ(from_hex("01Fe"), (std::vector<uint8_t>{0x01, 0xfe}));
  EXPECT_EQ(from_hex("012"), std::nullopt);
  EXPECT_EQ(from_hex("0g"), std::nullopt);
  EXPECT_EQ(from_hex(""), std::vector<uint8_t>());
}

TEST(GdbPacket, Numbers) {
  std::string_view text = "c0de,4";
  EXPECT_EQ(take_number(text), 0xc0deu);
  EXPECT_TRUE(take_character(text, ','));
  EXPECT_FALSE(take_character(text, ','));
  EXPECT_EQ(take_number(text), 4u);
  EXPECT_EQ(take_number(text), std::nullopt);
  text = "ffffffffffffffff";
  EXPECT_EQ(take_number(text), UINT64_MAX);
  text = "0000000000000000000000001";
  EXPECT_EQ(take_number(text), 1u);
  text = "10000000000000000";
  EXPECT_EQ(take_number(text), std::nullopt);
}

TEST(GdbPacket, TakeUntil) {
  std::string_view text = "a;;b";
  EXPECT_EQ(take_until(text, ';'), "a");
  EXPECT_EQ(take_until(text, ';'), "");
  EXPECT_EQ(take_until(text, ';'), "b");
  EXPECT_EQ(take_until(text, ';'), "");
}

}  // namespace
}  // namespace vitrine::debug

#include "base/state_archive.h"

#include <gtest/gtest.h>

namespace vitrine {
namespace {

struct Part {
  uint16_t a = 0;
  bool b = false;
  std::array<uint32_t, 3> c{};
  std::vector<uint8_t> d;

  void serialize(StateArchive& archive) {
    archive.section("part", 1);
    archive.fields(a, b, c);
    archive.blob(d, 16);
  }
};

TEST(StateArchive, GivesBackWhatWasSaved) {
  Part part{7, true, {1, 2, 3}, {9, 8}};
  StateArchive out;
  part.serialize(out);
  Part copy;
  StateArchive in(out.data());
  copy.serialize(in);
  ASSERT_TRUE(in.status().has_value());
  EXPECT_EQ(copy.a, 7);
  EXPECT_TRUE(copy.b);
  EXPECT_EQ(copy.c, part.c);
  EXPECT_EQ(copy.d, part.d);
}

TEST(StateArchive, EveryTruncationIsAnError) {
  Part part{7, true, {1, 2, 3}, {9, 8}};
  StateArchive out;
  part.serialize(out);
  for (size_t size = 0; size < out.data().size(); ++size) {
    StateArchive in(std::span(out.data()).first(size));
    Part copy;
    copy.serialize(in);
    EXPECT_FALSE(in.status().has_value()) << "at " << size;
  }
}

TEST(StateArchive, AnotherSectionOrVersionIsAnError) {
  StateArchive out;
  out.section("disk", 2);
  for (auto [name, version] : {std::pair{"disk", 3u}, {"tape", 2u}, {"diskette", 2u}}) {
    StateArchive in(out.data());
    in.section(name, version);
    EXPECT_FALSE(in.status().has_value()) << name << version;
  }
}

}  // namespace
}  // namespace vitrine

#include "devices/post_code.h"

#include <gtest/gtest.h>

namespace vitrine::devices {
namespace {

TEST(PostCode, RemembersTheLastCode) {
  PostCode post;
  post.write_port(0x80, 1, 0x12);
  post.write_port(0x80, 1, 0xa5);
  EXPECT_EQ(post.read_port(0x80, 1), 0xa5u);
  EXPECT_EQ(post.writes(), 2u);
  StateArchive saved;
  post.serialize(saved);
  PostCode other;
  StateArchive loaded(saved.data());
  other.serialize(loaded);
  EXPECT_TRUE(loaded.status().has_value());
  EXPECT_EQ(other.code(), 0xa5);
}

}  // namespace
}  // namespace vitrine::devices

#include "capability/token_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "capability/process.h"
#include "capability/scratch_directory_for_test.h"

namespace vitrine::capability {
namespace {

using enum Right;
using std::chrono::seconds;
constexpr uid_t kAnna = 1001;
constexpr uid_t kBert = 1002;

class TokenTableTest : public ::testing::Test {
 protected:
  explicit TokenTableTest(const TokenLimits& limits = {}) : table_(*TokenTable::create(limits)) {}

  Capability file(Rights rights = Read | Write | Append) {
    auto adopted =
        Capability::adopt(Kind::File, Descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC)), rights);
    CHECK(adopted.has_value());
    return *std::move(adopted);
  }
  Issued mint(std::optional<Time> lifetime = {}) {
    auto issued = table_.mint(file(), kAnna, "file", lifetime, now_);
    CHECK(issued.has_value());
    return *issued;
  }
  Result<Issued> narrow(const Issued& from, Rights rights, std::optional<Time> lifetime = {},
                        uid_t owner = kBert) {
    return table_.narrow(from.token, rights, owner, lifetime, now_);
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.file("file", "contents");
  TokenTable table_;
  Time now_ = seconds(1000);
};

TEST_F(TokenTableTest, FindsAnObjectByItsTokenOnly) {
  const Issued first = mint();
  const Issued second = mint();
  EXPECT_FALSE(first.token.matches(second.token));
  const auto found = table_.find(first.token, now_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->record->number, first.number);
  EXPECT_EQ(found->record->rights, Read | Write | Append);
  EXPECT_FALSE(table_.find(*Token::random(), now_));
}

TEST_F(TokenTableTest, OnlyNarrows) {
  const Issued all = mint();
  const auto reader = narrow(all, Read);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ(table_.find(reader->token, now_)->record->rights, Rights(Read));
  EXPECT_FALSE(narrow(*reader, Read | Write));
  EXPECT_TRUE(narrow(*reader, Read));
}

TEST_F(TokenTableTest, RevokesWithEverythingDerived) {
  const Issued all = mint();
  const Issued other = mint();
  const Issued child = *narrow(all, Read | Write | Append);
  const Issued grandchild = *narrow(child, Read);
  const Issued sibling = *narrow(all, Read);
  EXPECT_EQ(table_.revoke(child.number), 2u);
  EXPECT_FALSE(table_.find(child.token, now_));
  EXPECT_FALSE(table_.find(grandchild.token, now_));
  EXPECT_TRUE(table_.find(sibling.token, now_));
  EXPECT_EQ(table_.revoke(all.number), 2u);
  EXPECT_FALSE(table_.find(sibling.token, now_));
  EXPECT_TRUE(table_.find(other.token, now_));
  EXPECT_EQ(table_.revoke(all.number), 0u);
}

TEST_F(TokenTableTest, ExpiresAndNothingDerivedLivesLonger) {
  const Issued all = mint(seconds(10));
  const Issued longer = *narrow(all, Read, seconds(100));
  const Issued shorter = *narrow(all, Read, seconds(5));
  const Issued unending = mint();
  now_ += seconds(5);
  EXPECT_FALSE(table_.find(shorter.token, now_));
  EXPECT_TRUE(table_.find(longer.token, now_));
  now_ += seconds(5);
  EXPECT_FALSE(table_.find(all.token, now_));
  EXPECT_FALSE(table_.find(longer.token, now_));
  EXPECT_FALSE(narrow(all, Read));
  EXPECT_EQ(table_.expire(now_), 3u);
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_TRUE(table_.find(unending.token, Time::max()));
}

TEST_F(TokenTableTest, DoesNotOverflowWithALongLife) {
  const Issued all = mint(Time::max());
  EXPECT_TRUE(table_.find(all.token, now_));
}

TEST_F(TokenTableTest, GivesNoTokenThatTheKernelCannotEnforce) {
  EXPECT_FALSE(narrow(mint(), Append));  // O_APPEND can be removed
  const auto process = spawn({"/bin/true", {}, {}, {}});
  ASSERT_TRUE(process);
  EXPECT_FALSE(table_.mint(*process->narrowed(Wait), kAnna, "", {}, now_));
  EXPECT_TRUE(table_.mint(*process->narrowed(process->rights()), kAnna, "", {}, now_));
  (void)wait(*process);
}

TEST_F(TokenTableTest, ListsWithoutTellingTokens) {
  for (int i = 0; i < 5; ++i) (void)mint();
  const auto first = table_.list(0, 3);
  ASSERT_EQ(first.size(), 3u);
  const auto rest = table_.list(first.back().number, 3);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].owner, kAnna);
  EXPECT_EQ(rest[0].name, "file");
}

class SmallTokenTable : public TokenTableTest {
 protected:
  SmallTokenTable() : TokenTableTest({.tokens = 8, .of_user = 5, .objects = 3, .depth = 2}) {}
};

TEST_F(SmallTokenTable, HasLimits) {
  const Issued first = mint();
  (void)mint();
  (void)mint();
  EXPECT_FALSE(table_.mint(file(), kAnna, "", {}, now_)) << "objects";
  const Issued child = *narrow(first, Read);
  const Issued grandchild = *narrow(child, Read);
  EXPECT_FALSE(narrow(grandchild, Read)) << "depth";
  ASSERT_TRUE(narrow(first, Read, {}, kAnna));
  ASSERT_TRUE(narrow(first, Read, {}, kAnna));
  EXPECT_FALSE(narrow(first, Read, {}, kAnna)) << "of one user";
  ASSERT_TRUE(narrow(first, Read));
  EXPECT_FALSE(narrow(first, Read)) << "in all";
  table_.revoke(first.number);
  EXPECT_TRUE(table_.mint(file(), kAnna, "", {}, now_));
}

TEST_F(TokenTableTest, FindsEveryOneOfMany) {
  std::vector<Issued> issued = {mint()};
  while (issued.size() < 1000) issued.push_back(*narrow(issued[0], Read, {}, 2000 + issued.size()));
  for (const Issued& each : issued) {
    const auto found = table_.find(each.token, now_);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->record->number, each.number);
  }
}

}  // namespace
}  // namespace vitrine::capability

// Who may what, what is handed out, and what is written down.
#include "capability/token_broker.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "capability/directory.h"
#include "capability/scratch_directory_for_test.h"

namespace vitrine::capability {
namespace {

using enum Right;
using std::chrono::seconds;
constexpr Peer kOwner{100, 1000, 1000};
constexpr Peer kRoot{101, 0, 0};
constexpr Peer kStranger{102, 1234, 1234};
constexpr Peer kOther{103, 1235, 1235};

class TokenBrokerTest : public ::testing::Test {
 protected:
  TokenBrokerTest()
      : broker_(*TokenBroker::create(kOwner.user, [this](std::string_view line) {
          log_ += std::string(line) + "\n";
          return log_works_;
        })) {
    std::filesystem::create_directory(scratch_.path("films"));
    (void)scratch_.file("films/film", "film");
    (void)scratch_.file("secret", "secret");
  }

  TokenReply ask(const TokenRequest& request, const Peer& peer, std::optional<Capability> attached = {}) {
    Message message;
    message.payload = encode(request);
    if (attached) message.capabilities.push_back(*std::move(attached));
    TokenBroker::Answer answer = broker_.answer(std::move(message), peer, now_);
    received_ = std::move(answer.capability);
    auto reply = decode_token_reply(answer.payload);
    CHECK(reply.has_value());
    return *std::move(reply);
  }
  Capability file(Rights rights = Read | Write | Append) {
    return *Capability::adopt(Kind::File, Descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC)), rights);
  }
  Issued mint(std::optional<Capability> object = {}) {
    const auto reply = ask(MintRequest{"film", {}}, kOwner, object ? std::move(object) : file());
    CHECK(std::holds_alternative<IssuedReply>(reply));
    return std::get<IssuedReply>(reply).issued;
  }
  static bool refused(const TokenReply& reply) { return std::holds_alternative<Error>(reply); }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.file("file", "contents");
  std::string log_;
  bool log_works_ = true;
  TokenBroker broker_;
  std::optional<Capability> received_;
  Time now_ = seconds(1000);
};

TEST_F(TokenBrokerTest, LetsTheOwnerAndRootMintAndNobodyElse) {
  EXPECT_FALSE(refused(ask(MintRequest{"", {}}, kOwner, file())));
  EXPECT_FALSE(refused(ask(MintRequest{"", {}}, kRoot, file())));
  EXPECT_TRUE(refused(ask(MintRequest{"", {}}, kStranger, file())));
  EXPECT_TRUE(refused(ask(MintRequest{"", {}}, kOwner)));
  EXPECT_EQ(broker_.table().size(), 2u);
}

TEST_F(TokenBrokerTest, RedeemsForWhoeverKnowsTheToken) {
  const Issued issued = mint();
  ASSERT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
  ASSERT_TRUE(received_);
  EXPECT_EQ(received_->rights(), Read | Write | Append);
  ASSERT_FALSE(refused(ask(RedeemRequest{issued.token, Rights(Read), ""}, kStranger)));
  EXPECT_EQ(::write(received_->descriptor(), "x", 1), -1);
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, Read | Execute, ""}, kStranger)));
  EXPECT_TRUE(refused(ask(RedeemRequest{*Token::random(), {}, ""}, kStranger)));
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, "path"}, kStranger)));
  EXPECT_FALSE(received_);
}

TEST_F(TokenBrokerTest, AnythingDerivedGoesWithItsAncestor) {
  const Issued issued = mint();
  const auto reply = ask(NarrowRequest{issued.token, Read, {}}, kStranger);
  ASSERT_FALSE(refused(reply));
  const Token reader = std::get<IssuedReply>(reply).issued.token;
  ASSERT_FALSE(refused(ask(RedeemRequest{reader, {}, ""}, kOther)));
  EXPECT_EQ(received_->rights(), Rights(Read));
  EXPECT_EQ(::write(received_->descriptor(), "x", 1), -1);
  const auto revoked = ask(RevokeRequest{issued.number}, kOwner);
  ASSERT_FALSE(refused(revoked));
  EXPECT_EQ(std::get<RevokedReply>(revoked).count, 2u);
  EXPECT_TRUE(refused(ask(RedeemRequest{reader, {}, ""}, kOther)));
}

TEST_F(TokenBrokerTest, LetsThoseRevokeWhoMadeIt) {
  const Issued issued = mint();
  const Issued narrowed = std::get<IssuedReply>(ask(NarrowRequest{issued.token, Read, {}}, kStranger)).issued;
  EXPECT_TRUE(refused(ask(RevokeRequest{narrowed.token}, kOther)));
  EXPECT_TRUE(refused(ask(RevokeRequest{narrowed.number}, kOther)));
  EXPECT_TRUE(refused(ask(RevokeRequest{issued.token}, kStranger)));
  EXPECT_FALSE(refused(ask(RevokeRequest{narrowed.token}, kStranger)));
  EXPECT_FALSE(refused(ask(RevokeRequest{issued.token}, kRoot)));
  EXPECT_TRUE(refused(ask(RevokeRequest{TokenNumber{77}}, kRoot)));
  EXPECT_EQ(broker_.table().size(), 0u);
}

TEST_F(TokenBrokerTest, ListsForAdministratorsOnly) {
  (void)mint();
  const auto list = ask(ListRequest{}, kRoot);
  ASSERT_FALSE(refused(list));
  EXPECT_EQ(std::get<ListReply>(list).records.size(), 1u);
  EXPECT_TRUE(refused(ask(ListRequest{}, kStranger)));
}

TEST_F(TokenBrokerTest, OpensBeneathADirectoryAndNowhereElse) {
  const Issued issued = mint(*open_directory(scratch_.path("films"), Lookup | Read));
  ASSERT_FALSE(refused(ask(RedeemRequest{issued.token, {}, "film"}, kStranger)));
  ASSERT_TRUE(received_);
  EXPECT_EQ(received_->kind(), Kind::File);
  EXPECT_EQ(received_->rights(), Rights(Read));
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, "../secret"}, kStranger)));
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, scratch_.path("secret")}, kStranger)));
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, Read | Write, "film"}, kStranger)));

  const Issued whole = mint(*open_directory(scratch_.path("films"), Lookup | Read | Handle));
  ASSERT_FALSE(refused(ask(RedeemRequest{whole.token, {}, ""}, kStranger)));
  EXPECT_EQ(received_->kind(), Kind::Directory);
}

TEST_F(TokenBrokerTest, SlowsDownWhoAsksTooOften) {
  const Issued issued = mint();
  int answered = 0;
  while (!refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger))) ++answered;
  EXPECT_EQ(answered, 200);
  EXPECT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, kOther))) << "others are not held up";
  now_ += seconds(1);
  EXPECT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
}

TEST_F(TokenBrokerTest, SlowsDownWhoGuesses) {
  const Issued issued = mint();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(refused(ask(RedeemRequest{*Token::random(), {}, ""}, kStranger)));
  const auto reply = ask(RedeemRequest{issued.token, {}, ""}, kStranger);
  ASSERT_TRUE(refused(reply));
  EXPECT_EQ(std::get<Error>(reply).errno_value, EAGAIN);
  now_ += seconds(1);
  EXPECT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
}

TEST_F(TokenBrokerTest, KeepsAccountsOfSoManyUsersOnly) {
  const Issued issued = mint();
  for (uid_t user = 5000; user < 8000; ++user)
    EXPECT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, Peer{1, user, user})));
}

TEST_F(TokenBrokerTest, WritesDownWhatHappenedButNoToken) {
  const Issued issued = mint();
  (void)ask(RedeemRequest{issued.token, {}, ""}, kStranger);
  const Token wrong = *Token::random();
  (void)ask(RedeemRequest{wrong, {}, ""}, kStranger);
  EXPECT_THAT(log_, ::testing::HasSubstr(R"("user":1000,"process":100,"operation":"mint","token":1)"));
  EXPECT_THAT(log_, ::testing::HasSubstr(R"("user":1234,"process":102,"operation":"redeem","token":1)"));
  EXPECT_THAT(log_, ::testing::HasSubstr(R"("outcome":"refused","why":"there is no such token)"));
  EXPECT_THAT(log_, ::testing::Not(::testing::HasSubstr(issued.token.text())));
  EXPECT_THAT(log_, ::testing::Not(::testing::HasSubstr(wrong.text())));
}

TEST_F(TokenBrokerTest, RefusesWhatItCannotWriteDown) {
  const Issued issued = mint();
  log_works_ = false;
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
  EXPECT_FALSE(received_);
  EXPECT_TRUE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
  log_works_ = true;
  EXPECT_TRUE(
      refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));  // the first that is written again
  EXPECT_FALSE(refused(ask(RedeemRequest{issued.token, {}, ""}, kStranger)));
}

TEST_F(TokenBrokerTest, WritesOneLineWhateverANameHolds) {
  (void)ask(MintRequest{"a\"b\nc\\\xff", {}}, kOwner, file());
  EXPECT_THAT(log_, ::testing::HasSubstr(R"("name":"a\"b\u000ac\\\u00ff")"));
  EXPECT_EQ(std::ranges::count(log_, '\n'), 1);
}

}  // namespace
}  // namespace vitrine::capability

// The service over its socket, with a client in the same process.
#include "capability/token_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "capability/scratch_directory_for_test.h"
#include "capability/token_client.h"

namespace vitrine::capability {
namespace {

using enum Right;

class TokenServerTest : public ::testing::Test {
 protected:
  TokenServerTest() {
    auto listener = listen_for_channels(socket_, 0600);
    CHECK(listener.has_value());
    int ends[2];
    CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    stop_read_.reset(ends[0]);
    stop_write_.reset(ends[1]);
    thread_ = std::thread([this, socket = std::move(*listener)]() mutable {
      TokenServer server(std::move(socket),
                         *TokenBroker::create(::getuid(), [](std::string_view) { return true; }),
                         {.connections = 8, .connections_of_user = 4});
      EXPECT_TRUE(server.run(stop_read_.get()));
    });
  }
  ~TokenServerTest() override {
    stop_write_.reset();
    thread_.join();
  }
  TokenClient client() {
    auto connected = TokenClient::connect(socket_);
    CHECK(connected.has_value());
    return *std::move(connected);
  }
  Capability file() {
    return *Capability::adopt(Kind::File, Descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC)),
                              Read | Write);
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.file("file", "contents");
  std::string socket_ = scratch_.path("tokens");
  Descriptor stop_read_;
  Descriptor stop_write_;
  std::thread thread_;
};

TEST_F(TokenServerTest, MintsNarrowsRedeemsListsAndRevokes) {
  TokenClient client = this->client();
  const auto all = client.mint(file(), "the file", {});
  ASSERT_TRUE(all) << all.error().message();
  const auto reader = client.narrow(all->token, Read, {});
  ASSERT_TRUE(reader) << reader.error().message();
  const auto redeemed = client.redeem(reader->token);
  ASSERT_TRUE(redeemed) << redeemed.error().message();
  char text[8];
  EXPECT_EQ(::read(redeemed->descriptor(), text, 8), 8);
  EXPECT_EQ(::write(redeemed->descriptor(), "x", 1), -1);
  const auto list = client.list();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->records.size(), 2u);
  EXPECT_EQ(list->records[1].parent, all->number);
  EXPECT_EQ(list->records[1].redeemed, 1u);
  EXPECT_EQ(client.revoke({all->token}).value_or(0), 2u);
  EXPECT_FALSE(client.redeem(reader->token));
}

TEST_F(TokenServerTest, ListsMoreThanFitIntoOneReply) {
  TokenClient client = this->client();
  const auto all = client.mint(*file().narrowed(Read), "", {});
  ASSERT_TRUE(all);
  for (size_t i = 0; i < kRecordsInReply + 10; ++i) ASSERT_TRUE(client.narrow(all->token, Read, {}));
  EXPECT_EQ(client.list()->records.size(), kRecordsInReply + 11);
}

TEST_F(TokenServerTest, ServesOthersBesideOneWhoSendsNonsense) {
  TokenClient client = this->client();
  const auto all = client.mint(*file().narrowed(Read), "", {});
  ASSERT_TRUE(all);
  auto hostile = Channel::connect(socket_);
  ASSERT_TRUE(hostile);
  ASSERT_EQ(::send(hostile->descriptor(), "nonsense", 8, MSG_NOSIGNAL), 8);
  const auto reply = hostile->receive();
  EXPECT_TRUE(!reply || !*reply) << "the connection is closed";
  EXPECT_TRUE(client.redeem(all->token));
}

TEST_F(TokenServerTest, TakesSoManyConnectionsOfAUserOnly) {
  std::vector<TokenClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back().list());
  }
  TokenClient one_too_many = client();
  EXPECT_FALSE(one_too_many.list());
  clients.pop_back();
  // The service notices at its next turn.
  bool served = false;
  for (int i = 0; i < 1000 && !served; ++i) served = client().list().has_value();
  EXPECT_TRUE(served);
}

TEST_F(TokenServerTest, DoesNotWaitForAClientThatTakesNoAnswers) {
  auto silent = Channel::connect(socket_);
  ASSERT_TRUE(silent);
  for (int i = 0; i < 5000; ++i) {
    if (!silent->send(encode(TokenRequest(ListRequest{})))) break;  // closed, as it should be
  }
  TokenClient client = this->client();
  // The rate of this user is used up; the service is there all the same.
  const auto list = client.list();
  EXPECT_TRUE(list || list.error().errno_value == EAGAIN) << list.error().message();
}

}  // namespace
}  // namespace vitrine::capability

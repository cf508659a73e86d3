// Capabilities over a socket, and peers that do not keep to the rules.
#include "capability/channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "capability/process.h"
#include "capability/scratch_directory_for_test.h"
#include "capability/send_raw_for_test.h"
#include "capability/shared_memory.h"

namespace vitrine::capability {
namespace {

using enum Right;

size_t open_descriptors() {
  size_t count = 0;
  for (int number = 0; number < 512; ++number) count += ::fcntl(number, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

Capability reader_of(const std::string& path) {
  auto adopted = Capability::adopt(Kind::File, Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), Read);
  CHECK(adopted.has_value());
  return *std::move(adopted);
}

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() : ends_(*Channel::pair()), file_(reader_of(scratch_.file("file", "contents"))) {}

  void expect_refused(std::string bytes, const std::vector<int>& descriptors, const char* why) {
    const size_t before = open_descriptors();
    ASSERT_TRUE(send_raw(ends_.first.descriptor(), std::move(bytes), descriptors));
    const auto received = ends_.second.receive();
    ASSERT_FALSE(received) << why;
    EXPECT_NE(received.error().message().find(why), std::string::npos) << received.error().message();
    EXPECT_EQ(open_descriptors(), before) << why;
  }
  std::string labelled(std::vector<Label> labels) { return encode_message(labels, "payload"); }

  ScratchDirectory scratch_;
  std::pair<Channel, Channel> ends_;
  Capability file_;
};

TEST_F(ChannelTest, CarriesCapabilitiesWithTheirRights) {
  auto memory = create_shared_memory(4096, "test");
  ASSERT_TRUE(memory);
  const Outgoing both[] = {{&file_}, {&*memory}};
  ASSERT_TRUE(ends_.first.send("hello", both));
  auto received = ends_.second.receive();
  ASSERT_TRUE(received && *received) << received.error().message();
  EXPECT_EQ((*received)->payload, "hello");
  ASSERT_EQ((*received)->capabilities.size(), 2u);
  EXPECT_EQ((*received)->capabilities[0].kind(), Kind::File);
  EXPECT_EQ((*received)->capabilities[0].rights(), Rights(Read));
  EXPECT_EQ((*received)->capabilities[1].kind(), Kind::SharedMemory);
  char text[8];
  EXPECT_EQ(::pread((*received)->capabilities[0].descriptor(), text, 8, 0), 8);
  EXPECT_NE(::fcntl((*received)->capabilities[0].descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ChannelTest, SendsNothingThatAllowsMoreThanItsRightsUnasked) {
  const auto process = spawn({"/bin/true", {}, {}, {}});
  ASSERT_TRUE(process);
  const auto waiter = process->narrowed(Wait);
  ASSERT_TRUE(waiter);
  const Outgoing refused[] = {{&*waiter}};
  EXPECT_FALSE(ends_.first.send("", refused));
  const Outgoing accepted[] = {{&*waiter, Excess::Accepted}};
  ASSERT_TRUE(ends_.first.send("", accepted));
  const auto received = ends_.second.receive();
  ASSERT_TRUE(received && *received) << received.error().message();
  EXPECT_EQ((*received)->capabilities.at(0).rights(), Rights(Wait));
  EXPECT_EQ((*received)->capabilities.at(0).excess(), Signal | Inspect);
  (void)wait(*process);
}

TEST_F(ChannelTest, RefusesWhatDoesNotMatch) {
  const int file = file_.descriptor();
  expect_refused(labelled({{Kind::File, Read}}), {}, "1 in its header, 0 attached");
  expect_refused(labelled({}), {file}, "0 in its header, 1 attached");
  expect_refused(labelled({{Kind::File, Read}}), {file, file}, "1 in its header, 2 attached");
  expect_refused(labelled({{Kind::Directory, Lookup}}), {file}, "not a directory");
  expect_refused(labelled({{Kind::Process, Signal}}), {file}, "not a process");
  expect_refused(labelled({{Kind::File, Read | Write}}), {file}, "has not the rights 'write");
  expect_refused("VCAP", {file}, "too short");
  expect_refused(std::string(8, 'X'), {file}, "does not begin");
  expect_refused(labelled({{Kind::File, Read}, {Kind::File, Read}}).substr(0, 20), {file, file},
                 "ends within");
}

TEST_F(ChannelTest, TakesAnEmptyPacketForTheEnd) {
  const size_t before = open_descriptors();
  ASSERT_TRUE(send_raw(ends_.first.descriptor(), "", {file_.descriptor()}));
  const auto received = ends_.second.receive();
  ASSERT_TRUE(received);
  EXPECT_FALSE(*received);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ChannelTest, RefusesTooManyDescriptorsAndClosesThem) {
  for (const size_t count : {kMaximumCapabilities + 1, kMaximumCapabilities + 2, size_t{100}, size_t{253}})
    expect_refused(labelled({{Kind::File, Read}}), std::vector<int>(count, file_.descriptor()),
                   "without some");
}

TEST_F(ChannelTest, RefusesMessagesThatAreTooLong) {
  expect_refused(
      encode_message({}, std::string(kMaximumPayload, 'x')) + std::string(8 * kMaximumCapabilities + 1, 'x'),
      {file_.descriptor()}, "too long");
  EXPECT_FALSE(ends_.first.send(std::string(kMaximumPayload + 1, 'x')));
  const std::vector<Outgoing> many(kMaximumCapabilities + 1, Outgoing{&file_});
  EXPECT_FALSE(ends_.first.send("", many));
}

TEST_F(ChannelTest, NoticesThatTheProcessHasNoDescriptorsLeft) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Outgoing outgoing[] = {{&file_}, {&file_}, {&file_}};
  ASSERT_TRUE(ends_.first.send("", outgoing));
  const Descriptor probe(::dup(file_.descriptor()));
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(probe.get()) + 2;  // room for one or two of the three
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const size_t open_before = open_descriptors();
  const auto received = ends_.second.receive();
  const size_t open_after = open_descriptors();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(received);
  EXPECT_NE(received.error().message().find("limit of open files"), std::string::npos);
  EXPECT_EQ(open_after, open_before);
}

TEST_F(ChannelTest, EndsWhenThePeerCloses) {
  { const Channel gone = std::move(ends_.first); }
  const auto received = ends_.second.receive();
  ASSERT_TRUE(received);
  EXPECT_FALSE(*received);
  EXPECT_FALSE(ends_.second.send("anybody?"));
}

TEST_F(ChannelTest, KnowsWhoIsThere) {
  const std::string path = scratch_.path("socket");
  const auto listener = listen_for_channels(path, 0600);
  ASSERT_TRUE(listener) << listener.error().message();
  auto client = Channel::connect(path);
  ASSERT_TRUE(client) << client.error().message();
  const Channel server(Descriptor(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC)));
  const auto peer = server.peer();
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->user, ::getuid());
  EXPECT_EQ(peer->process, ::getpid());
  EXPECT_FALSE(listen_for_channels(path, 0600));  // somebody listens
}

TEST_F(ChannelTest, TakesThePlaceOfAnAbandonedSocketOnly) {
  const std::string path = scratch_.path("socket");
  { const auto abandoned = listen_for_channels(path, 0600); }
  EXPECT_FALSE(Channel::connect(path));
  EXPECT_TRUE(listen_for_channels(path, 0600));
  EXPECT_FALSE(listen_for_channels(scratch_.file("file", ""), 0600));
  EXPECT_FALSE(listen_for_channels(std::string(200, 'x'), 0600));
}

}  // namespace
}  // namespace vitrine::capability

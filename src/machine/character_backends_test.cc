// Tests of the character backends over descriptors and sockets, and of what builds them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "machine/character_devices.h"
#include "machine/fd_character_backend.h"
#include "machine/socket_character_backend.h"

namespace vitrine::machine {
namespace {

/// Takes up to `capacity` bytes.
class Receiver : public devices::CharacterReceiver {
 public:
  [[nodiscard]] size_t receive_capacity() const override { return capacity; }
  void receive(std::span<const uint8_t> data) override {
    EXPECT_LE(data.size(), capacity);
    capacity -= data.size();
    received.append(data.begin(), data.end());
  }
  void carrier_changed(bool present) override { carrier.push_back(present); }

  size_t capacity = 1000;
  std::string received;
  std::vector<bool> carrier;
};

std::span<const uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::pair<Descriptor, Descriptor> make_pipe(int flags = O_NONBLOCK) {
  std::array<int, 2> fds{};
  EXPECT_EQ(::pipe2(fds.data(), flags | O_CLOEXEC), 0);
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

void put(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

std::string take(int fd) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  return count > 0 ? std::string(buffer.data(), static_cast<size_t>(count)) : std::string();
}

class CharacterBackendTest : public testing::Test {
 protected:
  void SetUp() override { ::signal(SIGPIPE, SIG_IGN); }
  std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
  Receiver receiver_;
};

TEST_F(CharacterBackendTest, OffersNoMoreThanTheReceiverTakes) {
  auto [input, writer] = make_pipe();
  FdCharacterBackend backend(*loop_, {std::move(input), {}, {}}, WhenFull::Drop, "test");
  put(writer.get(), "hello world");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);  // nobody receives
  receiver_.capacity = 5;
  backend.set_receiver(&receiver_);
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(receiver_.received, "hello");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);  // full: not asked again
  receiver_.capacity = 100;
  backend.receiver_ready();
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(receiver_.received, "hello world");
}

TEST_F(CharacterBackendTest, InputAtItsEndIsNoLongerWatched) {
  FdCharacterBackend backend(*loop_, {Descriptor(::open("/dev/null", O_RDONLY)), {}, {}}, WhenFull::Drop,
                             "test");
  backend.set_receiver(&receiver_);
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_FALSE(backend.input_open());
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
  backend.receiver_ready();
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
}

TEST_F(CharacterBackendTest, AFullPipeStallsTheGuestAndLosesNothing) {
  auto [reader, output] = make_pipe();
  FdCharacterBackend backend(*loop_, {{}, std::move(output), {}}, WhenFull::Stall, "test");
  std::string sent;
  for (int i = 0; !loop_->congested(); ++i) {
    ASSERT_LT(i, 10'000);
    const std::string line = "line " + std::to_string(i) + " of a long output\n";
    sent += line;
    backend.send(bytes(line));
  }
  std::string arrived;
  for (int i = 0; arrived.size() < sent.size(); ++i) {
    ASSERT_LT(i, 1000);
    arrived += take(reader.get());
    loop_->wait(Nanoseconds{0});
  }
  EXPECT_EQ(arrived, sent);
  EXPECT_FALSE(loop_->congested());
  EXPECT_EQ(backend.queue().dropped(), 0u);
}

TEST_F(CharacterBackendTest, AnUnreadPtyDropsWhatDoesNotFit) {
  auto [reader, output] = make_pipe();
  FdCharacterBackend backend(*loop_, {{}, std::move(output), {}}, WhenFull::Drop, "test");
  const std::string block(65536, 'x');
  for (int i = 0; i < 4; ++i) backend.send(bytes(block));
  EXPECT_FALSE(loop_->congested());
  EXPECT_GE(backend.queue().dropped(), 65536u);
  EXPECT_LE(backend.queue().size(), OutputQueue::kSoftLimit);
}

TEST_F(CharacterBackendTest, AReaderThatIsGoneIsForgotten) {
  auto [reader, output] = make_pipe();
  FdCharacterBackend backend(*loop_, {{}, std::move(output), {}}, WhenFull::Stall, "test");
  reader.reset();
  backend.send(bytes("nobody hears this"));
  EXPECT_EQ(backend.queue().dropped(), 17u);
  backend.send(bytes("nor this"));
  EXPECT_EQ(backend.queue().dropped(), 25u);
  EXPECT_FALSE(loop_->congested());
}

TEST_F(CharacterBackendTest, WhatIsQueuedIsWrittenAtTheEnd) {
  auto [reader, output] = make_pipe();
  const std::string block(60'000, 'x');
  size_t arrived = 0;
  {
    FdCharacterBackend backend(*loop_, {{}, std::move(output), {}}, WhenFull::Stall, "test");
    backend.send(bytes(block));
    backend.send(bytes(block));
    EXPECT_GT(backend.queue().size(), 0u);
    arrived = take(reader.get()).size();
    EXPECT_LT(arrived, 2 * block.size());
  }
  EXPECT_EQ(arrived + take(reader.get()).size(), 2 * block.size());
}

TEST_F(CharacterBackendTest, APtyCarriesBothDirectionsAndSurvivesItsReader) {
  Descriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
  ASSERT_TRUE(master);
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  std::array<char, 64> name{};
  ASSERT_EQ(::ptsname_r(master.get(), name.data(), name.size()), 0);
  Descriptor keep(::open(name.data(), O_RDWR | O_NOCTTY));
  termios raw{};
  ASSERT_EQ(::tcgetattr(keep.get(), &raw), 0);
  ::cfmakeraw(&raw);
  ASSERT_EQ(::tcsetattr(keep.get(), TCSANOW, &raw), 0);
  Descriptor output(::dup(master.get()));
  FdCharacterBackend backend(*loop_, {std::move(master), std::move(output), std::move(keep)}, WhenFull::Drop,
                             "pty");
  backend.set_receiver(&receiver_);
  for (int round = 0; round < 2; ++round) {
    const Descriptor reader(::open(name.data(), O_RDWR | O_NOCTTY));
    ASSERT_TRUE(reader);
    put(reader.get(), "in\n");
    EXPECT_EQ(loop_->wait(std::nullopt), 1u);
    backend.send(bytes("out\n"));
    EXPECT_EQ(take(reader.get()), "out\n");
  }
  EXPECT_EQ(receiver_.received, "in\nin\n");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);  // nobody is there, and that is not reported without end
  EXPECT_TRUE(backend.input_open());
}

Descriptor listen_locally(sockaddr_in& address) {
  Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return listener;
}

Descriptor connect_locally(const sockaddr_in& address) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return socket;
}

TEST_F(CharacterBackendTest, AServerTakesOnePeerAfterTheOther) {
  sockaddr_in address;
  SocketCharacterBackend backend(*loop_, listen_locally(address), {}, WhenFull::Drop);
  backend.set_receiver(&receiver_);
  EXPECT_FALSE(backend.carrier());
  backend.send(bytes("nobody hears this"));

  Descriptor first = connect_locally(address);
  loop_->wait(std::nullopt);
  EXPECT_TRUE(backend.carrier());
  Descriptor second = connect_locally(address);
  put(first.get(), "one");
  loop_->wait(std::nullopt);
  EXPECT_EQ(receiver_.received, "one");
  backend.send(bytes("to first"));
  EXPECT_EQ(take(first.get()), "to first");

  first.reset();
  loop_->wait(std::nullopt);
  EXPECT_FALSE(backend.carrier());
  loop_->wait(std::nullopt);
  EXPECT_TRUE(backend.carrier());
  backend.send(bytes("to second"));
  EXPECT_EQ(take(second.get()), "to second");
  EXPECT_EQ(receiver_.carrier, (std::vector<bool>{true, false, true}));
}

TEST_F(CharacterBackendTest, APeerThatResetsIsNoticedThoughTheReceiverIsFull) {
  sockaddr_in address;
  SocketCharacterBackend backend(*loop_, listen_locally(address), {}, WhenFull::Drop);
  receiver_.capacity = 0;
  backend.set_receiver(&receiver_);
  Descriptor peer = connect_locally(address);
  loop_->wait(std::nullopt);
  const linger abrupt{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt), 0);
  peer.reset();
  for (int i = 0; i < 100 && backend.carrier(); ++i) {
    backend.send(bytes("x"));
    loop_->wait(Nanoseconds{0});
  }
  EXPECT_FALSE(backend.carrier());
}

TEST_F(CharacterBackendTest, AClientThatLosesItsServerStaysAlone) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
  Descriptor peer(fds[0]);
  SocketCharacterBackend backend(*loop_, {}, Descriptor(fds[1]), WhenFull::Drop);
  backend.set_receiver(&receiver_);
  EXPECT_TRUE(backend.carrier());
  peer.reset();
  EXPECT_EQ(loop_->wait(std::nullopt), 1u);
  EXPECT_FALSE(backend.carrier());
  backend.send(bytes("lost"));
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 0u);
}

TEST_F(CharacterBackendTest, DevicesAreBuiltFromEndpointsAndDescribed) {
  auto [input, writer] = make_pipe();
  std::vector<CharacterEndpoint> endpoints(2);
  endpoints[0].label = "serial0";
  endpoints[0].description = "mon:stdio";
  endpoints[0].sharing = Sharing::Multiplexed;
  endpoints[0].connection = StreamEndpoint{std::move(input), {}, {}};
  endpoints[1].label = "serial1";
  endpoints[1].description = "null";
  unsigned quits = 0;
  CharacterDevices devices(*loop_, std::move(endpoints), {[&] { ++quits; }, [] {}});
  devices::CharacterBackend& serial = devices.attach(0);
  devices::CharacterBackend& monitor = devices.attach(0, FrontEndRole::Monitor);
  Receiver monitor_receiver;
  serial.set_receiver(&receiver_);
  monitor.set_receiver(&monitor_receiver);
  put(writer.get(),
      "a\x01"
      "cb\x01x");
  EXPECT_EQ(loop_->wait(Nanoseconds{0}), 1u);
  EXPECT_EQ(receiver_.received, "a");
  EXPECT_EQ(monitor_receiver.received, "b");
  EXPECT_EQ(quits, 1u);
  devices.attach(1).send(bytes("swallowed"));
  EXPECT_NE(devices.describe().find("serial0: mon:stdio, shared"), std::string::npos);
  EXPECT_NE(devices.describe().find("serial1: null\n"), std::string::npos);
}

}  // namespace
}  // namespace vitrine::machine

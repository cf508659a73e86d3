// Packets between the machine process and its supervisor: what is sent arrives, and what no machine sends is
// an Error or closed.
#include "cli/machine_channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace vitrine::cli {
namespace {

using machine::FileContents;

std::pair<Descriptor, Descriptor> pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

bool is_open(int descriptor) {
  return ::fcntl(descriptor, F_GETFD) >= 0;
}

std::string packet(std::initializer_list<uint32_t> numbers, std::string_view rest = "") {
  std::string text(numbers.size() * sizeof(uint32_t), '\0');
  std::memcpy(text.data(), std::data(numbers), text.size());
  return text + std::string(rest);
}

constexpr uint32_t kMagic = 0x51524d56;

TEST(MachineChannel, ARequestComesBack) {
  const auto request = decode_request(
      encode(MachineRequest{MachineRequest::Kind::CreateFile, FileContents::Memory, "a/b c.bin"}));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->kind, MachineRequest::Kind::CreateFile);
  EXPECT_EQ(request->contents, FileContents::Memory);
  EXPECT_EQ(request->path, "a/b c.bin");
  EXPECT_TRUE(decode_request(encode(MachineRequest{})).has_value());
  const std::string longest(kLongestPath, 'x');
  EXPECT_TRUE(
      decode_request(encode(MachineRequest{MachineRequest::Kind::CreateFile, FileContents::Picture, longest}))
          .has_value());
}

TEST(MachineChannel, AnAnswerComesBack) {
  const auto answer = decode_answer(encode(MachineAnswer{false, std::string(5000, 'x')}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->granted);
  EXPECT_EQ(answer->text, std::string(kLongestText, 'x'));
}

TEST(MachineChannel, WhatNoMachineSendsIsAnError) {
  const std::string path(kLongestPath + 1, 'x');
  const std::vector<std::string> packets = {
      "",
      "x",
      packet({kMagic, 2, 0}),                                    // the size is missing
      packet({kMagic + 1, 2, 0, 1}, "x"),                        // something else
      packet({kMagic, 3, 0, 1}, "x"),                            // no such kind
      packet({kMagic, 2, 2, 1}, "x"),                            // no such contents
      packet({kMagic, 2, 0, 0}),                                 // no path
      packet({kMagic, 2, 0, 2}, "x"),                            // half a path
      packet({kMagic, 2, 0, 1}, "xy"),                           // more than was said
      packet({kMagic, 2, 0, 0xffffffff}, "x"),                   // a huge one
      packet({kMagic, 2, 0, uint32_t{kLongestPath} + 1}, path),  // one too many
      packet({kMagic, 2, 0, 3}, std::string_view("x\0y", 3)),    // a name that ends early
      packet({kMagic, 1, 0, 1}, "x"),                            // ready, with a path
      packet({kMagic, 1, 1, 0}),                                 // ready, with contents
  };
  for (size_t i = 0; i < packets.size(); ++i) EXPECT_FALSE(decode_request(packets[i]).has_value()) << i;
  EXPECT_FALSE(decode_answer("").has_value());
  EXPECT_FALSE(decode_answer(packet({kMagic, 1, 0})).has_value());
}

TEST(MachineChannel, ADescriptorTravels) {
  const auto [here, there] = pair();
  ASSERT_TRUE(send_packet(here.get(), "hello", STDERR_FILENO, 0));
  std::array<char, 16> buffer;
  const Received received = receive_packet(there.get(), buffer, Attached::MayBeOne, 0);
  EXPECT_EQ(received.size, 5);
  EXPECT_FALSE(received.excess);
  EXPECT_TRUE(is_open(received.descriptor.get()));
}

TEST(MachineChannel, DescriptorsThatNobodyAskedForAreClosed) {
  const auto [here, there] = pair();
  ASSERT_TRUE(send_packet(here.get(), "hello", STDERR_FILENO, 0));
  std::array<char, 16> buffer;
  const int next = ::dup(STDERR_FILENO);
  ::close(next);
  const Received received = receive_packet(there.get(), buffer, Attached::None, 0);
  EXPECT_TRUE(received.excess);
  EXPECT_FALSE(received.descriptor.valid());
  EXPECT_FALSE(is_open(next));
}

TEST(MachineChannel, OfTwoDescriptorsOneIsKeptAndTold) {
  const auto [here, there] = pair();
  std::array<int, 2> two = {STDERR_FILENO, STDERR_FILENO};
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof two)> control{};
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof two);
  std::memcpy(CMSG_DATA(rights), two.data(), sizeof two);
  ASSERT_EQ(::sendmsg(here.get(), &header, 0), 1);
  std::array<char, 16> buffer;
  const Received received = receive_packet(there.get(), buffer, Attached::MayBeOne, 0);
  EXPECT_TRUE(received.excess);
}

TEST(MachineChannel, TooLongIsTold) {
  const auto [here, there] = pair();
  ASSERT_TRUE(send_packet(here.get(), std::string(100, 'x'), -1, 0));
  std::array<char, 16> buffer;
  EXPECT_TRUE(receive_packet(there.get(), buffer, Attached::None, 0).excess);
}

TEST(MachineChannel, TheOtherEndIsSeenToBeClosed) {
  auto [here, there] = pair();
  here.reset();
  std::array<char, 16> buffer;
  EXPECT_EQ(receive_packet(there.get(), buffer, Attached::None, 0).size, 0);
  EXPECT_FALSE(send_packet(there.get(), "x", -1, 0));
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace vitrine::cli

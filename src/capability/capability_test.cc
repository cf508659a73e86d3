// Rights only narrow, and what the kernel can enforce it does: each test tries the thing itself on the bare
// descriptor, as a holder would who does not care for our rights.
#include "capability/capability.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "capability/scratch_directory_for_test.h"
#include "capability/shared_memory.h"

namespace vitrine::capability {
namespace {

using enum Right;

Capability adopt(Kind kind, int descriptor, Rights rights) {
  auto adopted = Capability::adopt(kind, Descriptor(descriptor), rights);
  EXPECT_TRUE(adopted) << adopted.error().message();
  return *std::move(adopted);
}

class FileCapability : public ::testing::Test {
 protected:
  Capability open_file(Rights rights, mode_t mode = 0600) {
    return adopt(Kind::File, ::open(scratch_.file("file", "contents", mode).c_str(), O_RDWR | O_CLOEXEC),
                 rights);
  }
  ScratchDirectory scratch_;
};

TEST_F(FileCapability, OpenedForReadingOnlyCannotBeWrittenByAnyMeans) {
  const Capability whole = open_file(Read | Write | Append);
  EXPECT_TRUE(whole.kernel_enforced());
  const auto reader = whole.narrowed(Read);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_TRUE(reader->kernel_enforced());
  EXPECT_EQ(::write(reader->descriptor(), "x", 1), -1);
  EXPECT_EQ(::ftruncate(reader->descriptor(), 0), -1);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, reader->descriptor(), 0), MAP_FAILED);
  EXPECT_EQ(::write(whole.descriptor(), "x", 1), 1);
}

TEST_F(FileCapability, RightsNeverGrow) {
  const auto reader = open_file(Read | Write).narrowed(Read);
  ASSERT_TRUE(reader);
  EXPECT_FALSE(reader->narrowed(Read | Write));
  EXPECT_FALSE(reader->require(Write, "cannot write"));
  EXPECT_FALSE(Capability::adopt(Kind::File, Descriptor(::dup(reader->descriptor())), Read | Write));
  auto moved = open_file(Read).narrow(Read | Write);
  EXPECT_FALSE(moved);
}

TEST_F(FileCapability, SaysWhatTheKernelCannotTakeAway) {
  const Capability whole = open_file(Read | Write | Append | Execute, 0700);
  const auto reader = whole.narrowed(Read);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->excess(), Rights(Execute));  // its mode says that it may be executed
  const auto appender = whole.narrowed(Append);
  ASSERT_TRUE(appender);
  EXPECT_TRUE(appender->excess().has(Write));  // F_SETFL removes O_APPEND
  EXPECT_FALSE(appender->excess().has(Read));
}

TEST_F(FileCapability, HasAnOffsetOfItsOwnWhenNarrowed) {
  const Capability whole = open_file(Read | Write);
  const auto reader = whole.narrowed(Read);
  ASSERT_TRUE(reader);
  char text[3] = {};
  ASSERT_EQ(::read(reader->descriptor(), text, 3), 3);
  EXPECT_EQ(::lseek(whole.descriptor(), 0, SEEK_CUR), 0);
}

TEST(Capability, OfNoRightsToAFileCannotRead) {
  ScratchDirectory scratch;
  const auto named = adopt(Kind::File, ::open(scratch.file("f", "x").c_str(), O_RDONLY), Read).narrowed({});
  ASSERT_TRUE(named) << named.error().message();
  char byte = 0;
  EXPECT_EQ(::read(named->descriptor(), &byte, 1), -1);
}

TEST(Capability, IsOfTheKindThatItSays) {
  ScratchDirectory scratch;
  const std::string file = scratch.file("file", "");
  EXPECT_FALSE(Capability::adopt(Kind::Directory, Descriptor(::open(file.c_str(), O_RDONLY)), {}));
  EXPECT_FALSE(Capability::adopt(Kind::File, Descriptor(::open(scratch.path().c_str(), O_RDONLY)), {}));
  EXPECT_FALSE(Capability::adopt(Kind::SharedMemory, Descriptor(::open(file.c_str(), O_RDONLY)), {}));
  EXPECT_FALSE(Capability::adopt(Kind::Process, Descriptor(::open(file.c_str(), O_RDONLY)), {}));
  EXPECT_FALSE(Capability::adopt(Kind::Socket, Descriptor(::open(file.c_str(), O_RDONLY)), {}));
  EXPECT_FALSE(Capability::adopt(Kind::File, Descriptor(-1), {}));
  EXPECT_FALSE(Capability::adopt(Kind::File, Descriptor(::open(file.c_str(), O_RDONLY)), Read | Signal));
}

TEST(Capability, MovesAndLeavesNothingBehind) {
  ScratchDirectory scratch;
  Capability first = adopt(Kind::File, ::open(scratch.file("f", "x").c_str(), O_RDONLY), Read);
  const int number = first.descriptor();
  const Capability second = std::move(first);
  EXPECT_EQ(second.descriptor(), number);
  EXPECT_EQ(first.descriptor(), -1);  // NOLINT(bugprone-use-after-move): that is the test
}

TEST(SocketCapability, GivenUpIsShutDown) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Descriptor peer(ends[1]);
  auto receiver = adopt(Kind::Socket, ends[0], Send | Receive).narrow(Receive);
  ASSERT_TRUE(receiver) << receiver.error().message();
  EXPECT_TRUE(receiver->kernel_enforced());
  EXPECT_EQ(::send(receiver->descriptor(), "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(::send(peer.get(), "y", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(receiver->descriptor(), &byte, 1, 0), 1);
}

TEST(SocketCapability, NarrowedBesideAnotherHolderSaysThatItIsNotEnforced) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Descriptor peer(ends[1]);
  const Capability whole = adopt(Kind::Socket, ends[0], Send | Receive);
  const auto receiver = whole.narrowed(Receive);
  ASSERT_TRUE(receiver);
  EXPECT_EQ(receiver->excess(), Rights(Send));
  EXPECT_EQ(::send(whole.descriptor(), "x", 1, MSG_NOSIGNAL), 1);
}

TEST(SharedMemoryCapability, HasAFixedSizeAndReadersThatCannotWrite) {
  const auto memory = create_shared_memory(8192, "test");
  ASSERT_TRUE(memory) << memory.error().message();
  EXPECT_TRUE(memory->kernel_enforced());
  EXPECT_EQ(::ftruncate(memory->descriptor(), 4096), -1);
  EXPECT_EQ(::ftruncate(memory->descriptor(), 16384), -1);
  const auto reader = memory->narrowed(Read);
  ASSERT_TRUE(reader);
  EXPECT_TRUE(reader->kernel_enforced());
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, reader->descriptor(), 0), MAP_FAILED);
  const auto written = map(*memory);
  const auto seen = map(*reader);
  ASSERT_TRUE(written && seen);
  written->data()[100] = 7;
  EXPECT_EQ(seen->data()[100], 7);
}

TEST(SharedMemoryCapability, FrozenIsWrittenByNobodyEvenIfOpenedAgain) {
  auto memory = create_shared_memory(4096, "test");
  ASSERT_TRUE(memory);
  const Descriptor other(::dup(memory->descriptor()));
  auto frozen = freeze(*std::move(memory));
  ASSERT_TRUE(frozen) << frozen.error().message();
  EXPECT_EQ(frozen->rights(), Rights(Read));
  EXPECT_EQ(::write(other.get(), "x", 1), -1);
  const auto again = reopen(frozen->descriptor(), Read | Write);
  if (again) {
    EXPECT_EQ(::write(again->get(), "x", 1), -1);
  }
}

TEST(SharedMemoryCapability, MappedWritableCannotBeFrozen) {
  auto memory = create_shared_memory(4096, "test");
  ASSERT_TRUE(memory);
  const auto mapped = map(*memory);
  const auto frozen = freeze(*std::move(memory));
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().errno_value, EBUSY);
}

TEST(RightsText, IsReadAsItIsWritten) {
  const Rights some = Read | Append | Call;
  EXPECT_EQ(to_string(some), "read,append,call");
  EXPECT_EQ(parse_rights("read,append,call"), some);
  EXPECT_EQ(parse_rights("none"), Rights());
  for (const char* wrong : {"", "rea", "read,", ",read", "read write", "all"})
    EXPECT_FALSE(parse_rights(wrong));
}

}  // namespace
}  // namespace vitrine::capability

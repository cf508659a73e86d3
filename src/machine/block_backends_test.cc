// Tests of ImageFile, SnapshotOverlay and create_drive_backend.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "machine/drive_backend.h"
#include "machine/image_file.h"
#include "machine/memory_block_backend.h"
#include "machine/snapshot_overlay.h"

namespace vitrine::machine {
namespace {

Descriptor memory_file(size_t size) {
  Descriptor file(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
  return file;
}

std::vector<uint8_t> read(devices::BlockBackend& backend, uint64_t offset, size_t size) {
  std::vector<uint8_t> data(size, 0xcc);
  EXPECT_TRUE(backend.read(offset, data));
  return data;
}

TEST(ImageFile, ReadsWhatWasWritten) {
  auto image = ImageFile::create(memory_file(4096), "test", ImageFile::Access::ReadWrite).value();
  EXPECT_EQ(image->size(), 4096u);
  const std::array<uint8_t, 3> data = {1, 2, 3};
  EXPECT_TRUE(image->write(510, data));
  EXPECT_TRUE(image->flush());
  EXPECT_EQ(read(*image, 509, 5), (std::vector<uint8_t>{0, 1, 2, 3, 0}));
}

TEST(ImageFile, PastTheEndReadsAsZerosAndCannotBeWritten) {
  auto image = ImageFile::create(memory_file(700), "test", ImageFile::Access::ReadWrite).value();
  const std::vector<uint8_t> ones(200, 1);
  EXPECT_TRUE(image->write(500, ones));
  EXPECT_FALSE(image->write(501, ones));
  EXPECT_FALSE(image->write(~uint64_t{0}, ones));
  const auto data = read(*image, 600, 400);
  EXPECT_EQ(data[99], 1);
  EXPECT_EQ(data[100], 0);
  EXPECT_EQ(data[399], 0);
  EXPECT_EQ(read(*image, ~uint64_t{0} - 100, 4), (std::vector<uint8_t>{0, 0, 0, 0}));
}

TEST(ImageFile, ManyPiecesInOneGo) {
  constexpr size_t kPieces = 600;
  auto image = ImageFile::create(memory_file(kPieces * 8), "test", ImageFile::Access::ReadWrite).value();
  std::vector<uint8_t> bytes(kPieces * 10 + 16);  // The last piece reaches a little further.
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  std::vector<std::span<const uint8_t>> from;
  for (size_t i = 0; i < kPieces; ++i) from.push_back(std::span(bytes).subspan(i * 10, i % 3 * 8));
  EXPECT_TRUE(image->write_pieces(0, from));
  EXPECT_FALSE(image->write_pieces(1, from)) << "past the end";
  EXPECT_TRUE(image->write_pieces(0, from));
  // Read in other pieces, the last of which is beyond the end.
  std::vector<uint8_t> data(kPieces * 8 + 100, 0xee);
  std::vector<std::span<uint8_t>> to;
  for (size_t at = 0; at < data.size(); at += 50) {
    to.push_back(std::span(data).subspan(at, std::min<size_t>(50, data.size() - at)));
  }
  EXPECT_TRUE(image->read_pieces(0, to));
  size_t at = 0;
  for (const auto& piece : from) {
    EXPECT_TRUE(std::equal(piece.begin(), piece.end(), data.begin() + static_cast<std::ptrdiff_t>(at)));
    at += piece.size();
  }
  EXPECT_EQ(at, kPieces * 8);
  EXPECT_EQ(data.back(), 0);
  EXPECT_EQ(data[at], 0);
}

TEST(ImageFile, ReadOnlyRefusesWrites) {
  auto image = ImageFile::create(memory_file(512), "cd.iso", ImageFile::Access::ReadOnly).value();
  const std::array<uint8_t, 1> data = {1};
  const auto written = image->write(0, data);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message().find("cd.iso"), std::string::npos);
  EXPECT_TRUE(image->flush());
}

TEST(ImageFile, AHostThatCannotStoreTheDataIsAnError) {
  // /dev/full cannot be an image; a file size limit makes the same kind of failure for a regular file.
  Descriptor file = memory_file(1 << 20);
  auto image = ImageFile::create(std::move(file), "test", ImageFile::Access::ReadWrite).value();
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::array<uint8_t, 512> data{};
  const auto inside = image->write(0, data);
  const auto outside = image->write(65536, data);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_TRUE(inside);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().errno_value, EFBIG);
}

TEST(ImageFile, OnlyFilesAndBlockDevices) {
  EXPECT_FALSE(ImageFile::create(Descriptor(::open("/dev/null", O_RDWR)), "x", ImageFile::Access::ReadWrite));
  EXPECT_FALSE(ImageFile::create(Descriptor(::open("/", O_RDONLY)), "x", ImageFile::Access::ReadOnly));
}

TEST(SnapshotOverlay, TheImageBelowIsNeverWritten) {
  std::vector<uint8_t> contents(200'000);
  for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<uint8_t>(i * 7);
  auto base = std::make_unique<MemoryBlockBackend>(contents, MemoryBlockBackend::Access::ReadOnly);
  const MemoryBlockBackend& below = *base;
  SnapshotOverlay overlay(std::move(base), memory_file(0), "test");
  EXPECT_FALSE(overlay.read_only());

  // Across a cluster boundary, and in the last, short cluster.
  const std::vector<uint8_t> patch(1000, 0xaa);
  std::vector<uint8_t> expected = contents;
  for (const uint64_t offset : {SnapshotOverlay::kClusterSize - 500, uint64_t{199'000}}) {
    ASSERT_TRUE(overlay.write(offset, patch));
    std::ranges::copy(patch, expected.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  EXPECT_EQ(read(overlay, 0, expected.size()), expected);
  EXPECT_EQ(read(overlay, 199'999, 3), (std::vector<uint8_t>{0xaa, 0, 0}));
  EXPECT_EQ(below.contents(), contents);
  EXPECT_EQ(overlay.clusters_written(), 3u);
  EXPECT_FALSE(overlay.write(199'001, patch));
  EXPECT_TRUE(overlay.flush());
}

TEST(SnapshotOverlay, FailuresBelowAreReported) {
  auto base = std::make_unique<MemoryBlockBackend>(std::vector<uint8_t>(1024));
  base->set_failing(true);
  SnapshotOverlay overlay(std::move(base), memory_file(0), "test");
  std::array<uint8_t, 16> data{};
  EXPECT_FALSE(overlay.read(0, data));
  EXPECT_FALSE(overlay.write(0, data));
  EXPECT_EQ(overlay.clusters_written(), 0u);
}

TEST(DriveBackend, FollowsTheConfiguration) {
  DriveConfig empty;
  EXPECT_EQ(create_drive_backend(empty).value(), nullptr);

  DriveConfig plain;
  plain.image = memory_file(1024);
  EXPECT_FALSE(create_drive_backend(plain).value()->read_only());

  DriveConfig refused;
  refused.image = memory_file(1024);
  refused.writes = Writes::Refused;
  EXPECT_TRUE(create_drive_backend(refused).value()->read_only());

  DriveConfig snapshot;
  snapshot.image = memory_file(1024);
  const Descriptor copy(::dup(snapshot.image.get()));
  snapshot.overlay = memory_file(0);
  snapshot.writes = Writes::ToOverlay;
  const std::array<uint8_t, 2> data = {1, 2};
  EXPECT_TRUE(create_drive_backend(snapshot).value()->write(0, data));
  std::array<uint8_t, 2> below{};
  EXPECT_EQ(::pread(copy.get(), below.data(), 2, 0), 2);
  EXPECT_EQ(below[0], 0);
}

}  // namespace
}  // namespace vitrine::machine

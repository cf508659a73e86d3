#include "machine/image_file.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vitrine::machine {
namespace {

Result<uint64_t> image_size(int fd, const std::string& name) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return std::unexpected(error_from_errno("cannot examine the disk image", name));
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  if (!S_ISBLK(status.st_mode)) {
    return std::unexpected(
        Error{"cannot use as a disk image", name, 0, "it is neither a file nor a block device"});
  }
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0) {
    return std::unexpected(error_from_errno("cannot find the size of the block device", name));
  }
  return size;
}

}  // namespace

Result<std::unique_ptr<ImageFile>> ImageFile::create(Descriptor file, std::string name, Access access) {
  const uint64_t size = TRY(image_size(file.get(), name));
  return std::unique_ptr<ImageFile>(new ImageFile(std::move(file), std::move(name), access, size));
}

Result<void> ImageFile::read(uint64_t offset, std::span<uint8_t> data) {
  const uint64_t available = offset < size_ ? std::min<uint64_t>(size_ - offset, data.size()) : 0;
  size_t done = 0;
  while (done < available) {
    const ssize_t count =
        ::pread(file_.get(), data.data() + done, available - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(error_from_errno("cannot read from the disk image", name_));
    if (count == 0) break;  // the file has shrunk
    done += static_cast<size_t>(count);
  }
  std::ranges::fill(data.subspan(done), uint8_t{0});
  return {};
}

Result<void> ImageFile::write(uint64_t offset, std::span<const uint8_t> data) {
  if (read_only()) return std::unexpected(Error{"cannot write to the read-only disk image", name_});
  if (offset > size_ || data.size() > size_ - offset) {
    return std::unexpected(Error{"cannot write past the end of the disk image", name_});
  }
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t count =
        ::pwrite(file_.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return std::unexpected(error_from_errno("cannot write to the disk image", name_,
                                              errno == ENOSPC ? "make room on the host's disk" : ""));
    }
    done += static_cast<size_t>(count);
  }
  return {};
}

namespace {

// What goes into one system call; Linux takes 1024 (IOV_MAX).
constexpr size_t kMostPieces = 256;

/// Calls `move(offset, vector)` with as many pieces at a time as a system call takes, and `move_piece` for
/// each of those that the call has not moved to the end.
template <typename Piece, typename Move, typename MovePiece>
Result<void> move_pieces(uint64_t offset, std::span<const Piece> pieces, Move move, MovePiece move_piece) {
  std::array<iovec, kMostPieces> vector{};
  while (!pieces.empty()) {
    const size_t count = std::min(pieces.size(), kMostPieces);
    for (size_t i = 0; i < count; ++i) {
      vector[i] = {const_cast<uint8_t*>(pieces[i].data()), pieces[i].size()};
    }
    uint64_t moved = move(offset, std::span(vector).first(count));
    for (const Piece& piece : pieces.first(count)) {
      if (moved >= piece.size()) {
        moved -= piece.size();
      } else {
        if (auto done = move_piece(offset + moved, piece.subspan(moved)); !done) return done;
        moved = 0;
      }
      offset += piece.size();
    }
    pieces = pieces.subspan(count);
  }
  return {};
}

}  // namespace

Result<void> ImageFile::read_pieces(uint64_t offset, std::span<const std::span<uint8_t>> pieces) {
  const auto move = [this](uint64_t at, std::span<const iovec> vector) {
    const ssize_t count =
        ::preadv(file_.get(), vector.data(), static_cast<int>(vector.size()), static_cast<off_t>(at));
    return static_cast<uint64_t>(std::max<ssize_t>(count, 0));
  };
  return move_pieces(offset, pieces, move,
                     [this](uint64_t at, std::span<uint8_t> piece) { return read(at, piece); });
}

Result<void> ImageFile::write_pieces(uint64_t offset, std::span<const std::span<const uint8_t>> pieces) {
  uint64_t bytes = 0;
  for (const auto& piece : pieces) bytes += piece.size();
  const bool inside = !read_only() && offset <= size_ && bytes <= size_ - offset;
  const auto move = [this, inside](uint64_t at, std::span<const iovec> vector) -> uint64_t {
    // What write() refuses, it says why.
    if (!inside) return 0;
    const ssize_t count =
        ::pwritev(file_.get(), vector.data(), static_cast<int>(vector.size()), static_cast<off_t>(at));
    return static_cast<uint64_t>(std::max<ssize_t>(count, 0));
  };
  return move_pieces(offset, pieces, move,
                     [this](uint64_t at, std::span<const uint8_t> piece) { return write(at, piece); });
}

Result<void> ImageFile::flush() {
  if (read_only()) return {};
  if (::fdatasync(file_.get()) == 0) return {};
  return std::unexpected(error_from_errno("cannot make the writes to the disk image durable", name_));
}

}  // namespace vitrine::machine

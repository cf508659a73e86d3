#include "machine/image_file.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

Result<void> ImageFile::flush() {
  if (read_only()) return {};
  if (::fdatasync(file_.get()) == 0) return {};
  return std::unexpected(error_from_errno("cannot make the writes to the disk image durable", name_));
}

}  // namespace vitrine::machine

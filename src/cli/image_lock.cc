#include "cli/image_lock.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

namespace vitrine::cli {
namespace {

/// The process that holds a conflicting classic lock; open-file-description locks do not say whose they are.
std::string holder(const Descriptor& file, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
    return fmt::format("process {} holds it", lock.l_pid);
  }
  return "another Vitrine or QEMU has it open";
}

}  // namespace

Result<LockOutcome> lock_image(const Descriptor& file, const std::string& name, LockKind kind) {
  struct flock lock {};
  lock.l_type = kind == LockKind::Exclusive ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;  // from the start, length 0: to the end, wherever it moves
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return LockOutcome::Locked;
  if (errno != EAGAIN && errno != EACCES) return LockOutcome::NotSupported;
  return std::unexpected(Error{
      kind == LockKind::Exclusive ? "cannot lock the disk image for writing"
                                  : "cannot lock the disk image for reading",
      name, 0,
      fmt::format("{}; {}", holder(file, lock.l_type),
                  kind == LockKind::Exclusive ? "end it, or use readonly=on or -snapshot if it only reads"
                                              : "end it, or work on a copy")});
}

}  // namespace vitrine::cli

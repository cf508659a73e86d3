#include "capability/capability.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace vitrine::capability {
namespace {

std::string object_name(int descriptor) {
  return fmt::format("descriptor {}", descriptor);
}

Result<struct stat> status_of(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) == 0) return status;
  return std::unexpected(error_from_errno("cannot examine", object_name(descriptor)));
}

/// fcntl(2), "File Sealing": only memory files have seals.
bool is_memory_file(int descriptor) {
  return ::fcntl(descriptor, F_GET_SEALS) >= 0;
}

/// proc(5), /proc/pid/fdinfo: a process descriptor has a line "Pid:", no other descriptor has.
bool is_process(int descriptor) {
  const Descriptor file(
      ::open(fmt::format("/proc/self/fdinfo/{}", descriptor).c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t count = file ? ::read(file.get(), text, sizeof text) : 0;
  return count > 0 &&
         std::string_view(text, static_cast<size_t>(count)).find("\nPid:\t") != std::string::npos;
}

int option_of(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : 0;
}

Rights allowed_on_file(int flags, const struct stat& status) {
  Rights rights = rights_of_access(flags);
  // O_APPEND is no limit: its holder removes it with F_SETFL.
  if (rights.has(Right::Write)) rights = rights | Right::Append;
  // execveat(2) with AT_EMPTY_PATH asks the file's mode, not how it was opened.
  if (S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0) rights = rights | Right::Execute;
  return rights;
}

Rights allowed_on_memory(int descriptor, int flags) {
  Rights rights = rights_of_access(flags);
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (rights.has(Right::Write) && (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
    rights = rights | Right::Resize;
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) rights = rights.without(Right::Write);
  return rights;
}

Error wrong_kind(Kind kind, int descriptor, Result<Kind> actual) {
  return Error{fmt::format("not a {}:", name_of(kind)), object_name(descriptor), 0,
               actual ? fmt::format("it is a {}", name_of(*actual)) : actual.error().message()};
}

Result<void> check_kind(Kind kind, int descriptor) {
  const auto actual = kind_of(descriptor);
  const bool fits = actual && (*actual == kind || (kind == Kind::Service && *actual == Kind::Socket));
  if (fits) return {};
  return std::unexpected(wrong_kind(kind, descriptor, actual));
}

Error not_within(std::string_view whose, Rights rights, Rights limit) {
  return Error{fmt::format("{} not the rights", whose), to_string(rights.without(limit)), 0,
               fmt::format("there are {}", to_string(limit))};
}

Result<Descriptor> duplicate(int descriptor) {
  Descriptor copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  if (copy) return copy;
  return std::unexpected(error_from_errno("cannot duplicate", object_name(descriptor)));
}

/// Where opening again changes nothing but the access: a terminal or a FIFO would notice.
bool can_be_reopened(Kind kind, int descriptor, Rights rights) {
  // With O_PATH it would no longer be known for shared memory.
  if (kind == Kind::SharedMemory) return !rights.empty();
  struct stat status {};
  return kind == Kind::File && ::fstat(descriptor, &status) == 0 &&
         (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/// Shuts down what is not in `kept`, for every descriptor of the connection, and returns what is left of
/// `allowed`. A socket that is not connected has no directions to shut down.
Result<Rights> shut_down(int socket, Rights allowed, Rights kept) {
  for (const auto& [right, how] : {std::pair{Right::Receive, SHUT_RD}, std::pair{Right::Send, SHUT_WR}}) {
    if (kept.has(right) || !allowed.has(right)) continue;
    if (::shutdown(socket, how) == 0) {
      allowed = allowed.without(right);
    } else if (errno != ENOTCONN) {
      return std::unexpected(error_from_errno("cannot shut down a direction of", object_name(socket)));
    }
  }
  return allowed;
}

}  // namespace

Result<Kind> kind_of(int descriptor) {
  const struct stat status = TRY(status_of(descriptor));
  if (S_ISDIR(status.st_mode)) return Kind::Directory;
  if (S_ISSOCK(status.st_mode)) return Kind::Socket;
  if (is_memory_file(descriptor)) return Kind::SharedMemory;
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode) ||
      S_ISFIFO(status.st_mode)) {
    // Since Linux 6.9 a process descriptor has a file system of its own and is a regular file there.
    return is_process(descriptor) ? Kind::Process : Kind::File;
  }
  if (is_process(descriptor)) return Kind::Process;
  return std::unexpected(Error{"no object that a capability can name:", object_name(descriptor)});
}

Result<Rights> allowed_by_kernel(Kind kind, int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0) return std::unexpected(error_from_errno("cannot examine", object_name(descriptor)));
  switch (kind) {
    case Kind::File: return allowed_on_file(flags, TRY(status_of(descriptor)));
    case Kind::SharedMemory: return allowed_on_memory(descriptor, flags);
    case Kind::Socket:
      return option_of(descriptor, SO_ACCEPTCONN) != 0 ? Rights(Right::Accept) : Right::Send | Right::Receive;
    // openat(2) relative to the descriptor goes wherever the user may; pidfd_send_signal(2) asks for the
    // user.
    case Kind::Directory:
    case Kind::Process:
    case Kind::Service: return rights_of(kind);
  }
  return Rights();
}

Rights rights_of_access(int flags) {
  if ((flags & O_PATH) != 0) return {};
  switch (flags & O_ACCMODE) {
    case O_RDONLY: return Right::Read;
    case O_WRONLY: return Right::Write;
    default: return Right::Read | Right::Write;
  }
}

int access_mode(Rights rights) {
  const bool reads = rights.has(Right::Read);
  const bool writes = rights.has(Right::Write) || rights.has(Right::Append) || rights.has(Right::Resize);
  const int append = rights.has(Right::Append) && !rights.has(Right::Write) ? O_APPEND : 0;
  if (reads && writes) return O_RDWR | append;
  if (writes) return O_WRONLY | append;
  return reads ? O_RDONLY : O_PATH;
}

Result<Descriptor> reopen(int descriptor, Rights rights) {
  // proc(5): opening /proc/self/fd/N opens the object itself, whatever has become of its name.
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
  Descriptor again(::open(path.c_str(), access_mode(rights) | O_CLOEXEC | O_NOCTTY));
  if (again) return again;
  return std::unexpected(error_from_errno("cannot open again", object_name(descriptor),
                                          errno == ENOENT ? "this needs /proc" : ""));
}

Result<Capability> Capability::adopt(Kind kind, Descriptor descriptor, Rights rights) {
  if (auto checked = check_kind(kind, descriptor.get()); !checked) return std::unexpected(checked.error());
  if (!rights_of(kind).covers(rights))
    return std::unexpected(not_within(fmt::format("a {} has", name_of(kind)), rights, rights_of(kind)));
  const Rights allowed = TRY(allowed_by_kernel(kind, descriptor.get()));
  rights = with_implied(kind, rights);
  if (!allowed.covers(rights)) return std::unexpected(not_within("the descriptor has", rights, allowed));
  return Capability(kind, std::move(descriptor), rights, allowed.without(rights));
}

Result<Capability> Capability::adopt(Kind kind, Descriptor descriptor) {
  if (auto checked = check_kind(kind, descriptor.get()); !checked) return std::unexpected(checked.error());
  const Rights allowed = TRY(allowed_by_kernel(kind, descriptor.get()));
  return Capability(kind, std::move(descriptor), allowed, {});
}

Result<Capability> Capability::narrowed(Rights rights) const {
  rights = with_implied(kind_, rights);
  if (!rights_.covers(rights)) return std::unexpected(not_within("the capability has", rights, rights_));
  if (can_be_reopened(kind_, descriptor_.get(), rights)) {
    // Where it cannot be opened again (no /proc, a file of another user's), excess() tells.
    if (auto again = reopen(descriptor_.get(), rights)) return adopt(kind_, *std::move(again), rights);
  }
  Descriptor copy = TRY(duplicate(descriptor_.get()));
  return Capability(kind_, std::move(copy), rights, (rights_ | excess_).without(rights));
}

Result<Capability> Capability::narrow(Rights rights) && {
  if (kind_ != Kind::Socket) {
    Capability narrower = TRY(narrowed(rights));
    descriptor_.reset();
    return narrower;
  }
  if (!rights_.covers(rights)) return std::unexpected(not_within("the capability has", rights, rights_));
  const Rights left = TRY(shut_down(descriptor_.get(), rights_ | excess_, rights));
  return Capability(kind_, std::move(descriptor_), rights, left.without(rights));
}

Result<void> Capability::require(Rights rights, std::string_view doing) const {
  if (rights_.covers(rights)) return {};
  return std::unexpected(Error{std::string(doing), "", 0,
                               fmt::format("the capability to the {} lacks the right {}", name_of(kind_),
                                           to_string(rights.without(rights_)))});
}

}  // namespace vitrine::capability

#include "capability/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

namespace vitrine::capability {
namespace {

/// openat2(2): a rename at the wrong moment makes the kernel give up with EAGAIN rather than follow "..".
constexpr int kTries = 128;

std::string_view advice_for(int reason) {
  switch (reason) {
    case ENOSYS: return "openat2 is needed: Linux 5.6, and a sandbox that allows it";
    case EXDEV: return "it leads out of the directory";
    case ELOOP: return "a symbolic link on the way is not allowed";
    case EAGAIN: return "the tree is being renamed all the time: try again";
    default: return "";
  }
}

Result<Descriptor> resolve(int directory, const std::string& path, uint64_t flags, Symlinks symlinks,
                           mode_t mode = 0) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (symlinks == Symlinks::Refuse) how.resolve |= RESOLVE_NO_SYMLINKS;
  for (int i = 0; i < kTries; ++i) {
    Descriptor opened(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
    if (opened) return opened;
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return std::unexpected(error_from_errno("cannot open beneath the directory", path, advice_for(errno)));
}

Result<void> require_directory(const Capability& directory, Rights rights, std::string_view doing) {
  if (directory.kind() != Kind::Directory)
    return std::unexpected(Error{std::string(doing), "", 0, "the capability is to no directory"});
  return directory.require(rights, doing);
}

Rights needed_for(const OpenRequest& request) {
  Rights needed = request.rights | Right::Lookup;
  // Whoever may write may write at the end.
  if (request.kind == Kind::File && request.rights.has(Right::Append))
    needed = needed.without(Right::Append) | Right::Write;
  if (request.creation != Creation::Never) needed = needed | Right::Create;
  return needed;
}

uint64_t open_flags(const OpenRequest& request) {
  if (request.kind == Kind::Directory) return O_PATH | O_DIRECTORY;
  auto flags = static_cast<uint64_t>(access_mode(request.rights));
  // openat2(2) refuses O_PATH together with these.
  if ((flags & O_PATH) == 0) flags |= O_NOCTTY | O_NONBLOCK;
  if (request.creation != Creation::Never) flags |= O_CREAT;
  if (request.creation == Creation::Exclusive) flags |= O_EXCL;
  return flags;
}

/// O_NONBLOCK kept a FIFO from holding us up; it means nothing for a regular file and need not stay.
Result<void> accept_regular_file(const Descriptor& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(error_from_errno("cannot examine", path));
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(
        Error{"not a regular file:", path, 0,
              S_ISDIR(status.st_mode) ? "it is a directory" : "it is a device, FIFO or socket"});
  }
  const int flags = ::fcntl(file.get(), F_GETFL);
  if ((flags & O_NONBLOCK) != 0) ::fcntl(file.get(), F_SETFL, flags & ~O_NONBLOCK);
  return {};
}

/// Splits off the last component, which is to be a plain name: it is not resolved by openat2.
Result<std::pair<std::string, std::string>> split(const std::string& path) {
  std::string_view text = path;
  while (text.ends_with('/')) text.remove_suffix(1);
  const size_t slash = text.rfind('/');
  std::string name(slash == std::string_view::npos ? text : text.substr(slash + 1));
  if (name.empty() || name == "." || name == "..")
    return std::unexpected(Error{"the path does not end in a name:", path});
  std::string parent(slash == std::string_view::npos ? "." : text.substr(0, slash));
  // "/name": an absolute path stays one, and is refused as such.
  if (parent.empty()) parent = "/";
  return std::pair(std::move(parent), std::move(name));
}

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

}  // namespace

Result<Capability> open_directory(const std::string& path, Rights rights) {
  Descriptor directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return std::unexpected(error_from_errno("cannot open the directory", path));
  return Capability::adopt(Kind::Directory, std::move(directory), rights);
}

Result<Capability> open_beneath(const Capability& directory, const OpenRequest& request) {
  constexpr std::string_view kDoing = "cannot open beneath a directory";
  if (auto checked = require_directory(directory, needed_for(request), kDoing); !checked)
    return std::unexpected(checked.error());
  if (request.kind != Kind::File && request.kind != Kind::Directory)
    return std::unexpected(Error{std::string(kDoing), request.path, 0, "there are files and directories"});
  if (request.creation != Creation::Never && (access_mode(request.rights) & O_PATH) != 0)
    return std::unexpected(Error{"cannot create a file that is neither read nor written:", request.path});
  const mode_t mode = request.creation == Creation::Never ? 0 : request.mode & 0777;
  Descriptor opened =
      TRY(resolve(directory.descriptor(), request.path, open_flags(request), request.symlinks, mode));
  if (request.kind == Kind::File) {
    if (auto accepted = accept_regular_file(opened, request.path); !accepted)
      return std::unexpected(accepted.error());
  }
  return Capability::adopt(request.kind, std::move(opened), request.rights);
}

Result<std::vector<std::string>> list(const Capability& directory) {
  if (auto checked = require_directory(directory, Right::List, "cannot list a directory"); !checked)
    return std::unexpected(checked.error());
  Descriptor opened = TRY(resolve(directory.descriptor(), ".", O_RDONLY | O_DIRECTORY, Symlinks::Refuse));
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(opened.get()));
  if (stream == nullptr) return std::unexpected(error_from_errno("cannot list a directory", ""));
  (void)opened.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Result<void> make_directory(const Capability& directory, const std::string& path, mode_t mode) {
  if (auto checked = require_directory(directory, Right::Lookup | Right::Create, "cannot make a directory");
      !checked) {
    return checked;
  }
  const auto [parent, name] = TRY(split(path));
  const Descriptor at =
      TRY(resolve(directory.descriptor(), parent, O_PATH | O_DIRECTORY, Symlinks::FollowBeneath));
  if (::mkdirat(at.get(), name.c_str(), mode) == 0) return {};
  return std::unexpected(error_from_errno("cannot make the directory", path));
}

Result<void> remove(const Capability& directory, const std::string& path, Kind kind) {
  if (auto checked = require_directory(directory, Right::Lookup | Right::Remove, "cannot remove"); !checked)
    return checked;
  const auto [parent, name] = TRY(split(path));
  const Descriptor at =
      TRY(resolve(directory.descriptor(), parent, O_PATH | O_DIRECTORY, Symlinks::FollowBeneath));
  // unlinkat(2) does not follow a symbolic link in the last place: the link itself goes.
  if (::unlinkat(at.get(), name.c_str(), kind == Kind::Directory ? AT_REMOVEDIR : 0) == 0) return {};
  return std::unexpected(error_from_errno("cannot remove", path));
}

}  // namespace vitrine::capability

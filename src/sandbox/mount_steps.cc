#include "sandbox/mount_steps.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

constexpr size_t kMostSteps = 512;
constexpr mode_t kDirectoryMode = 0755;

/// Directories of every system; one of them is covered by the new root until that becomes the root.
constexpr const char* kMountPoints[] = {"/tmp", "/usr", "/var", "/etc"};

/// With those above it. Relative to the present directory. `path` is written to, and is then as it was.
bool make_directory(char* path) {
  if (::mkdir(path, kDirectoryMode) == 0 || errno == EEXIST) return true;
  char* const slash = std::strrchr(path, '/');
  if (errno != ENOENT || slash == nullptr) return false;
  *slash = '\0';
  const bool made = make_directory(path);
  *slash = '/';
  return made && (::mkdir(path, kDirectoryMode) == 0 || errno == EEXIST);
}

bool make_directories(const char* path) {
  char copy[PATH_MAX];
  const size_t size = std::strlen(path);
  if (size >= sizeof copy) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(copy, path, size + 1);
  return make_directory(copy);
}

/// What `make` makes at `path`; where there is no directory for it yet, with that.
template <typename Make>
bool make_with_parents(const char* path, Make make) {
  if (make(path)) return true;
  const char* const slash = std::strrchr(path, '/');
  if (errno != ENOENT || slash == nullptr) return false;
  char parent[PATH_MAX];
  const auto size = static_cast<size_t>(slash - path);
  if (size >= sizeof parent) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(parent, path, size);
  parent[size] = '\0';
  return make_directory(parent) && make(path);
}

/// A place for a mount. Beneath another grant, read-only, it is there already.
bool make_file(const char* path) {
  return make_with_parents(
      path, [](const char* name) { return ::mknod(name, S_IFREG | 0444, 0) == 0 || errno == EEXIST; });
}

bool make_link(const char* path, const char* text) {
  return make_with_parents(path, [&](const char* name) {
    return ::symlink(text, name) == 0 || errno == EEXIST || errno == EROFS;
  });
}

/// A copy of the mount, detached; the file must be the one that was planned for.
int open_source(const MountStep& step) {
  const int tree = open_tree(AT_FDCWD, step.source.c_str(), kOpenTreeClone | kRecursive | O_CLOEXEC);
  struct stat status {};
  if (tree < 0 || ::fstat(tree, &status) != 0) return -1;
  if (status.st_dev != step.device || status.st_ino != step.inode) {
    errno = ESTALE;
    return -1;
  }
  const MountAttributes attributes{step.attributes, 0, MS_PRIVATE, 0};
  return mount_setattr(tree, "", AT_EMPTY_PATH | kRecursive, attributes) == 0 ? tree : -1;
}

bool attach(const MountStep& step, int tree) {
  const char* target = step.target.c_str();
  if (!(step.is_directory ? make_directories(target) : make_file(target))) return false;
  return move_mount(tree, "", AT_FDCWD, target, kMoveMountEmptyPath) == 0;
}

unsigned long mount_flags(uint64_t attributes) {
  // The bits of mount_setattr and of mount(2) for these four are the same.
  return static_cast<unsigned long>(attributes &
                                    (kMountReadOnly | kMountNoSetuid | kMountNoDevices | kMountNoExec));
}

bool take(const MountStep& step, int tree) {
  const char* target = step.target.c_str();
  switch (step.kind) {
    case MountStep::Kind::Directory: return make_directories(target);
    case MountStep::Kind::Link: return make_link(target, step.source.c_str());
    case MountStep::Kind::Bind: return attach(step, tree);
    case MountStep::Kind::TemporaryFiles:
      return make_directories(target) &&
             ::mount("tmpfs", target, "tmpfs", mount_flags(step.attributes), step.options.c_str()) == 0;
    case MountStep::Kind::Processes:
      return make_directories(target) &&
             ::mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
                     "hidepid=2,subset=pid") == 0;
  }
  return false;
}

bool allow_by_landlock(int landlock, int abi, const char* path, PathAccess access) {
  if (landlock < 0) return true;
  const int file = ::open(path, O_PATH | O_CLOEXEC);
  return file >= 0 && LandlockRuleset::allow(landlock, abi, file, true, access) == 0 && ::close(file) == 0;
}

bool enter_new_file_system() {
  for (const char* point : kMountPoints) {
    if (::mount("tmpfs", point, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=4m") == 0) {
      return ::chdir(point) == 0;
    }
  }
  return false;
}

}  // namespace

MountFailure enter_new_root(const std::vector<MountStep>& steps, int landlock, int landlock_abi) {
  int trees[kMostSteps] = {};
  if (steps.size() > kMostSteps) return {E2BIG, -1, false};
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return {errno, -1, false};
  // All sources before anything is covered.
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind != MountStep::Kind::Bind) continue;
    trees[i] = open_source(steps[i]);
    if (trees[i] < 0) return {errno, static_cast<int>(i), false};
  }
  if (!enter_new_file_system()) return {errno, -1, false};
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!take(steps[i], trees[i])) {
      return {errno, static_cast<int>(i), steps[i].kind == MountStep::Kind::Processes};
    }
  }
  if (!allow_by_landlock(landlock, landlock_abi, ".", PathAccess::List)) return {errno, -1, false};
  for (size_t i = 0; i < steps.size(); ++i) {
    const bool proc = steps[i].kind == MountStep::Kind::Processes;
    if (!proc && !steps[i].access) continue;
    if (!allow_by_landlock(landlock, landlock_abi, steps[i].target.c_str(),
                           steps[i].access.value_or(PathAccess::Read))) {
      return {errno, static_cast<int>(i), proc};
    }
  }
  if (pivot_root(".", ".") != 0) return {errno, -1, false};
  return {};
}

MountFailure leave_old_root() {
  // By its name the root is the new one, whatever lies on top of it.
  const bool left = ::chdir("/") == 0 && mount_setattr(AT_FDCWD, "/", 0, {kMountReadOnly, 0, 0, 0}) == 0 &&
                    ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
  return left ? MountFailure{} : MountFailure{errno, -1, false};
}

bool is_old_root_left() {
  // path_resolution(7): ".." of the root is the root, and a mount on top of that is followed. The new root is
  // a file system of its own.
  struct stat root {
  }, above{};
  return ::stat("/", &root) == 0 && ::stat("/..", &above) == 0 && root.st_dev == above.st_dev;
}

}  // namespace vitrine::sandbox

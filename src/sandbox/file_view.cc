#include "sandbox/file_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <map>

#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

/// Where a dynamically linked program's loader looks (ld.so(8)).
constexpr const char* kLibraryPaths[] = {"/lib",       "/lib64",         "/usr/lib",
                                         "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"};
/// Files of /dev that give nothing away.
constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

/// Finds real paths, as realpath(3) does, and remembers the symbolic links on the way; asks for each only
/// once.
class Resolver {
 public:
  Result<std::string> resolve(const std::string& path) {
    std::string rest = path;
    if (!path.starts_with('/')) {
      std::error_code error;
      rest = std::filesystem::current_path(error).string() + "/" + path;
    }
    std::string done;
    for (unsigned followed = 0; !rest.empty();) {
      const size_t slash = rest.find('/');
      const std::string name = rest.substr(0, slash);
      rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        done.resize(done.empty() ? 0 : done.rfind('/'));
        continue;
      }
      std::string next = done;
      next.append("/").append(name);
      const Answer& answer = ask(next);
      if (answer.error != 0) return std::unexpected(Error{"cannot grant the path", path, answer.error});
      if (answer.target.empty()) {
        done = std::move(next);
        continue;
      }
      constexpr unsigned kMostLinks = 40;  // path_resolution(7)
      if (++followed > kMostLinks) return std::unexpected(Error{"cannot grant the path", path, ELOOP});
      if (answer.target.starts_with('/')) done.clear();
      rest.insert(0, "/").insert(0, answer.target);
    }
    return done.empty() ? "/" : done;
  }

  /// The links that were met, with what they say.
  [[nodiscard]] std::map<std::string, std::string> links() const {
    std::map<std::string, std::string> links;
    for (const auto& [path, answer] : answers_) {
      if (!answer.target.empty()) links.emplace(path, answer.target);
    }
    return links;
  }

 private:
  struct Answer {
    int error = 0;
    std::string target;  ///< Empty: no link.
  };

  const Answer& ask(const std::string& path) {
    const auto [it, added] = answers_.try_emplace(path);
    if (!added) return it->second;
    char target[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size >= 0) it->second.target.assign(target, static_cast<size_t>(size));
    // readlink(2): EINVAL says that it is there, and no link.
    else if (errno != EINVAL)
      it->second.error = errno;
    return it->second;
  }

  std::map<std::string, Answer> answers_;
};

class Planner {
 public:
  Planner(const Policy& policy, const ProgramFile& program, bool own_processes)
      : policy_(policy), program_(program), own_processes_(own_processes) {}

  Result<FileView> plan(const std::string& working_directory) {
    if (auto granted = grant_all(); !granted) return std::unexpected(granted.error());
    // What lies beneath comes after: it is mounted over its parent's.
    for (auto& [path, grant] : grants_) view_.grants.push_back(grant);
    temporary_files();
    if (auto bound = bind_all(); !bound) return std::unexpected(bound.error());
    devices();
    if (own_processes_) view_.steps.push_back({MountStep::Kind::Processes, "proc"});
    for (const auto& [path, target] : resolver_.links())
      view_.steps.push_back({MountStep::Kind::Link, path.substr(1), target});
    for (const auto& [path, grant] : grants_) {
      if (is_beneath(working_directory, path)) view_.working_directory = working_directory;
    }
    return std::move(view_);
  }

 private:
  Result<void> grant_all() {
    if (auto granted = grant(program_.path, PathRights::Read, true, "the program"); !granted) return granted;
    if (!program_.script.empty()) {
      if (auto granted = grant(program_.script, PathRights::Read, false, "the script"); !granted)
        return granted;
    }
    if (!program_.loader.empty()) {
      if (auto granted = grant(program_.loader, PathRights::Read, true, "its loader"); !granted)
        return granted;
      for (const char* path : kLibraryPaths) {
        if (!policy_.has_system_libraries()) break;
        const auto granted = grant(path, PathRights::Read, true, "libraries");
        if (!granted && granted.error().errno_value != ENOENT) return granted;
      }
    }
    for (const PathGrant& named : policy_.paths()) {
      if (named.directory >= 0) continue;
      if (auto granted = grant(named.path, named.rights, policy_.may_start_programs(), ""); !granted)
        return granted;
    }
    for (const PathGrant& named : policy_.paths()) {
      if (named.directory < 0) continue;
      if (auto placed = place(named); !placed) return placed;
    }
    return {};
  }

  /// An open directory, at a place that no other grant has.
  Result<void> place(PathGrant grant) {
    const std::filesystem::path normal = std::filesystem::path(grant.path).lexically_normal();
    if (!normal.is_absolute() || normal != grant.path || !normal.has_filename()) {
      return std::unexpected(
          Error{"not a place for a directory in the box:", grant.path, 0, "an absolute path such as /data"});
    }
    grant.execute = policy_.may_start_programs();
    if (!grants_.try_emplace(grant.path, grant).second)
      return std::unexpected(Error{"two grants have the place", grant.path});
    return {};
  }

  Result<void> grant(const std::string& path, PathRights rights, bool execute, const char* reason) {
    const std::string resolved = TRY(resolver_.resolve(path));
    // Named and implicit at once: both rights.
    const auto [it, added] = grants_.try_emplace(resolved, PathGrant{resolved, rights, execute, reason});
    if (added) return {};
    if (rights == PathRights::ReadWrite) it->second.rights = rights;
    it->second.execute |= execute;
    if (*reason == '\0') it->second.reason.clear();
    return {};
  }

  Result<void> bind_all() {
    for (const PathGrant& grant : view_.grants) {
      if (covered(grant)) continue;
      uint64_t attributes = kMountNoSetuid | kMountNoDevices;
      if (grant.rights == PathRights::Read) attributes |= kMountReadOnly;
      if (!grant.execute) attributes |= kMountNoExec;
      const auto bound =
          grant.directory < 0 ? bind(grant.path, attributes) : bind_directory(grant, attributes);
      if (!bound) return bound;
    }
    return {};
  }

  /// Beneath another grant with the same rights: the outer one shows it.
  [[nodiscard]] bool covered(const PathGrant& inner) const {
    const PathGrant* nearest = nullptr;
    for (const PathGrant& outer : view_.grants) {
      if (&outer == &inner || !is_beneath(inner.path, outer.path)) continue;
      if (nearest == nullptr || outer.path.size() > nearest->path.size()) nearest = &outer;
    }
    return nearest != nullptr && nearest->directory < 0 && inner.directory < 0 &&
           nearest->rights == inner.rights && nearest->execute == inner.execute;
  }

  Result<void> bind(const std::string& path, uint64_t attributes) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
      return std::unexpected(error_from_errno("cannot grant the path", path));
    if (path == "/")
      return std::unexpected(Error{"cannot grant the path", "/", 0, "name the directories in it"});
    add_bind(path, path, status, attributes);
    return {};
  }

  /// A mount is made of a name: the descriptor's, which must still lead to it when the child opens it.
  Result<void> bind_directory(const PathGrant& grant, uint64_t attributes) {
    struct stat status {};
    if (::fstat(grant.directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
      return std::unexpected(Error{"not an open directory, for the place", grant.path, ENOTDIR});
    }
    const std::string link = fmt::format("/proc/self/fd/{}", grant.directory);
    char source[PATH_MAX];
    const ssize_t size = ::readlink(link.c_str(), source, sizeof source);
    if (size <= 0 || static_cast<size_t>(size) == sizeof source)
      return std::unexpected(error_from_errno("cannot find the directory for", grant.path));
    const std::string path(source, static_cast<size_t>(size));
    struct stat named {};
    if (::stat(path.c_str(), &named) != 0 || named.st_dev != status.st_dev || named.st_ino != status.st_ino) {
      return std::unexpected(Error{"the directory cannot be reached by its path, to be mounted at",
                                   grant.path, errno == 0 ? ESTALE : errno,
                                   "this user must be allowed to reach it"});
    }
    add_bind(grant.path, path, status, attributes);
    return {};
  }

  void add_bind(const std::string& target, const std::string& source, const struct stat& status,
                uint64_t attributes) {
    MountStep step{MountStep::Kind::Bind, target.substr(1), source};
    step.attributes = attributes;
    step.is_directory = S_ISDIR(status.st_mode);
    step.device = status.st_dev;
    step.inode = status.st_ino;
    view_.steps.push_back(std::move(step));
  }

  void devices() {
    for (const char* path : kDevices) {
      struct stat status {};
      if (::stat(path, &status) != 0 || !S_ISCHR(status.st_mode)) continue;
      MountStep step{MountStep::Kind::Bind, path + 1, path};
      step.attributes = kMountNoSetuid | kMountNoExec;
      step.is_directory = false;
      step.device = status.st_dev;
      step.inode = status.st_ino;
      view_.steps.push_back(std::move(step));
    }
    if (!own_processes_) return;
    for (const auto& [name, target] :
         {std::pair{"dev/fd", "/proc/self/fd"}, std::pair{"dev/stdin", "/proc/self/fd/0"},
          std::pair{"dev/stdout", "/proc/self/fd/1"}, std::pair{"dev/stderr", "/proc/self/fd/2"}}) {
      view_.steps.push_back({MountStep::Kind::Link, name, target});
    }
  }

  void temporary_files() {
    if (!policy_.temporary_bytes()) return;
    MountStep step{MountStep::Kind::TemporaryFiles, "tmp"};
    // A file costs memory even when it is empty.
    step.options = fmt::format("mode=1777,size={},nr_inodes={}", *policy_.temporary_bytes(),
                               std::clamp<uint64_t>(*policy_.temporary_bytes() / 4096, 64, 65536));
    step.attributes = kMountNoSetuid | kMountNoDevices | (policy_.may_start_programs() ? 0 : kMountNoExec);
    step.access = policy_.may_start_programs() ? PathAccess::ReadWriteExecute : PathAccess::ReadWrite;
    view_.steps.push_back(std::move(step));
  }

  const Policy& policy_;
  const ProgramFile& program_;
  bool own_processes_;
  std::map<std::string, PathGrant> grants_;
  Resolver resolver_;  ///< /lib64 stays a link to usr/lib64.
  FileView view_;
};

PathAccess access_of(const PathGrant& grant) {
  if (grant.rights == PathRights::ReadWrite) {
    return grant.execute ? PathAccess::ReadWriteExecute : PathAccess::ReadWrite;
  }
  return grant.execute ? PathAccess::ReadExecute : PathAccess::Read;
}

Result<void> add_rule(const LandlockRuleset& ruleset, int abi, const std::string& path, int descriptor,
                      PathAccess access) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0)
    return std::unexpected(error_from_errno("cannot grant the path", path));
  if (LandlockRuleset::allow(ruleset.get(), abi, descriptor, S_ISDIR(status.st_mode), access) != 0) {
    return std::unexpected(error_from_errno("cannot make a Landlock rule for", path));
  }
  return {};
}

Result<void> add_rule(const LandlockRuleset& ruleset, int abi, const std::string& path, PathAccess access) {
  const Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file) return std::unexpected(error_from_errno("cannot grant the path", path));
  return add_rule(ruleset, abi, path, file.get(), access);
}

}  // namespace

bool is_beneath(const std::string& path, const std::string& directory) {
  return path == directory || directory == "/" || path.starts_with(directory + "/");
}

Result<FileView> plan_file_view(const Policy& policy, const ProgramFile& program,
                                const std::string& working_directory, bool own_processes) {
  return Planner(policy, program, own_processes).plan(working_directory);
}

Result<void> add_landlock_rules(const LandlockRuleset& ruleset, int abi, const FileView& view) {
  for (const PathGrant& grant : view.grants) {
    const auto added = grant.directory < 0
                           ? add_rule(ruleset, abi, grant.path, access_of(grant))
                           : add_rule(ruleset, abi, grant.path, grant.directory, access_of(grant));
    if (!added) return added;
  }
  for (const char* path : kDevices) {
    const Descriptor file(::open(path, O_PATH | O_CLOEXEC));
    if (!file) continue;
    if (LandlockRuleset::allow(ruleset.get(), abi, file.get(), false, PathAccess::Device) != 0)
      return std::unexpected(error_from_errno("cannot make a Landlock rule for", path));
  }
  return {};
}

}  // namespace vitrine::sandbox

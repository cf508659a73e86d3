#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

bool has_word(std::string_view list, std::string_view word, char separator) {
  while (!list.empty()) {
    const size_t end = list.find(separator);
    if (list.substr(0, end) == word) return true;
    if (end == std::string_view::npos) break;
    list.remove_prefix(end + 1);
  }
  return false;
}

/// Our own group in the hierarchy of a controller ("" is version 2).
std::string own_group(std::string_view controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const bool same = controller.empty() ? controllers.empty() : has_word(controllers, controller, ',');
    if (same) return line.substr(second + 1);
  }
  return {};
}

/// proc_pid_mountinfo(5): number, parent, device, root, mount point, options, tags…, "-", type, source, super
/// options.
std::string own_directory(std::string_view controller) {
  const std::string group = own_group(controller);
  if (group.empty()) return {};
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skip, root, point, type, source, options;
    words >> skip >> skip >> skip >> root >> point;
    while (words >> skip && skip != "-") {
    }
    words >> type >> source >> options;
    const bool fits =
        controller.empty() ? type == "cgroup2" : type == "cgroup" && has_word(options, controller, ',');
    if (!fits) continue;
    if (root == "/") return point + (group == "/" ? "" : group);
    if (group == root || group.starts_with(root + "/")) return point + group.substr(root.size());
  }
  return {};
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::optional<std::string> read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

/// The value of a line "key value".
std::optional<uint64_t> read_entry(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  for (uint64_t value = 0; file >> word >> value;) {
    if (word == key) return value;
  }
  return std::nullopt;
}

Result<void> write_value(const std::string& path, const std::string& value) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return std::unexpected(error_from_errno("cannot set", path));
  }
  return {};
}

/// Whether groups below `directory` have a controller of version 2. Where they could have, they get it.
bool passes_controller(const std::string& directory, std::string_view controller) {
  const std::string path = directory + "/cgroup.subtree_control";
  if (has_word(read_line(path).value_or(""), controller, ' ')) return true;
  if (!has_word(read_line(directory + "/cgroup.controllers").value_or(""), controller, ' ')) return false;
  return write_value(path, fmt::format("+{}", controller)).has_value();
}

/// Controllers of version 2.
struct Controllers {
  bool memory = false;
  bool processes = false;
};

/// The group of version 2 below which these work: our own, or its parent if that is ours, too.
std::string unified_place(const CgroupPlaces& places, Controllers wanted) {
  for (const std::string& directory : {places.unified, places.unified_parent}) {
    if (directory.empty() || ::access(directory.c_str(), W_OK) != 0) continue;
    if (!wanted.memory && !wanted.processes) return directory;
    // cgroups(7), "no internal processes": a group that has processes in it, as ours has us, passes none on.
    // The root may; it has no type. (pids could be passed on, but what is below could then not be entered.)
    if (directory == places.unified && ::access((directory + "/cgroup.type").c_str(), F_OK) == 0) continue;
    if (wanted.memory && !passes_controller(directory, "memory")) continue;
    if (wanted.processes && !passes_controller(directory, "pids")) continue;
    return directory;
  }
  return {};
}

constexpr std::string_view kNamePrefix = "vitrine-";

/// Who was killed could not remove its groups. An empty one whose maker is gone is nobody's.
void remove_abandoned(const std::string& parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kNamePrefix)) continue;
    const std::string maker = name.substr(kNamePrefix.size(), name.rfind('-') - kNamePrefix.size());
    if (::access(fmt::format("/proc/{}", maker).c_str(), F_OK) != 0) ::rmdir(entry.path().c_str());
  }
}

/// That it can be made does not say that it can be entered.
ProbeOutcome enter(const Cgroup& cgroup) {
  const std::vector<int> entrances = cgroup.entrances();
  const long pid = clone_process(SIGCHLD, nullptr);
  if (pid < 0) return failed_probe("clone");
  if (pid == 0) {
    for (const int entrance : entrances) {
      if (::write(entrance, "0", 1) != 1) ::_exit(errno);
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  return failed_probe("entering the control group");
}

ProbeOutcome outcome_of(const CgroupLimits& limits) {
  const auto cgroup = Cgroup::create(limits);
  if (cgroup) return enter(*cgroup);
  ProbeOutcome outcome{cgroup.error().errno_value != 0 ? cgroup.error().errno_value : ENOENT, 0, {}};
  const std::string step = cgroup.error().what + " " + cgroup.error().object;
  std::strncpy(outcome.step, step.c_str(), sizeof outcome.step - 1);
  return outcome;
}

}  // namespace

CgroupPlaces find_cgroup_places() {
  CgroupPlaces places{own_directory(""), {}, own_directory("memory"), own_directory("pids")};
  if (!places.unified.empty() && own_group("") != "/") places.unified_parent = parent_of(places.unified);
  return places;
}

CgroupSupport probe_cgroups() {
  constexpr uint64_t kProbeMemory = uint64_t{64} << 20;
  constexpr uint64_t kProbeProcesses = 64;
  return {outcome_of({kProbeMemory, std::nullopt, false}), outcome_of({std::nullopt, kProbeProcesses, false}),
          outcome_of({std::nullopt, std::nullopt, true})};
}

Result<const Cgroup::Group*> Cgroup::add(const std::string& parent) {
  // The number makes names of one process different; a name left behind by another is not taken over.
  static std::atomic<unsigned> counter = 0;
  remove_abandoned(parent);
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string path = fmt::format("{}/{}{}-{}", parent, kNamePrefix, ::getpid(), counter++);
    if (::mkdir(path.c_str(), 0755) != 0) {
      if (errno == EEXIST) continue;
      return std::unexpected(error_from_errno("cannot make the control group", path));
    }
    groups_.push_back({path, Descriptor(::open((path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC))});
    if (!groups_.back().processes)
      return std::unexpected(error_from_errno("cannot open the control group", path));
    return &groups_.back();
  }
  return std::unexpected(Error{"cannot make a control group in", parent});
}

Result<Cgroup> Cgroup::create(const CgroupLimits& limits, const CgroupPlaces& places) {
  Cgroup cgroup;
  cgroup.groups_.reserve(3);
  // One group of version 2 for everything that it can do; version 1 for the rest.
  Controllers here;
  std::string unified;
  for (const Controllers some : {Controllers{true, true}, {true, false}, {false, true}, {false, false}}) {
    here = {some.memory && limits.memory, some.processes && limits.processes};
    unified = unified_place(places, here);
    if (!unified.empty()) break;
  }
  if (!unified.empty() && (limits.kill || here.memory || here.processes)) {
    auto added = cgroup.add(unified);
    if (added) {
      cgroup.unified_ = (*added)->path;
    } else if (limits.kill) {
      return std::unexpected(added.error());
    }
  } else if (limits.kill) {
    return std::unexpected(
        Error{"no control group of version 2 that may be divided", places.unified, EACCES});
  }
  if (limits.memory) {
    if (!cgroup.unified_.empty() && here.memory) {
      cgroup.memory_ = cgroup.unified_;
      cgroup.memory_is_unified_ = true;
      if (auto set = write_value(cgroup.memory_ + "/memory.max", fmt::to_string(*limits.memory)); !set)
        return std::unexpected(set.error());
      (void)write_value(cgroup.memory_ + "/memory.swap.max", "0");  // Absent where the kernel has no swap.
    } else if (!places.memory.empty()) {
      cgroup.memory_ = TRY(cgroup.add(places.memory))->path;
      if (auto set = write_value(cgroup.memory_ + "/memory.limit_in_bytes", fmt::to_string(*limits.memory));
          !set)
        return std::unexpected(set.error());
    } else {
      return std::unexpected(Error{"no memory controller", "", ENOENT});
    }
  }
  if (limits.processes) {
    if (!cgroup.unified_.empty() && here.processes) {
      cgroup.process_ = cgroup.unified_;
    } else if (!places.processes.empty()) {
      cgroup.process_ = TRY(cgroup.add(places.processes))->path;
    } else {
      return std::unexpected(Error{"no pids controller", "", ENOENT});
    }
    if (auto set = write_value(cgroup.process_ + "/pids.max", fmt::to_string(*limits.processes)); !set)
      return std::unexpected(set.error());
  }
  return cgroup;
}

Cgroup& Cgroup::operator=(Cgroup&& other) noexcept {
  if (this == &other) return *this;
  remove();
  groups_ = std::move(other.groups_);
  other.groups_.clear();
  unified_ = std::move(other.unified_);
  memory_ = std::move(other.memory_);
  process_ = std::move(other.process_);
  memory_is_unified_ = other.memory_is_unified_;
  return *this;
}

Cgroup::~Cgroup() {
  remove();
}

void Cgroup::remove() {
  // The kernel lets a group go a moment after its last process was reaped.
  constexpr int kAttempts = 100;
  constexpr useconds_t kPause = 1'000;  // microseconds
  for (Group& group : groups_) {
    group.processes.reset();
    for (int i = 0; i < kAttempts && ::rmdir(group.path.c_str()) != 0 && errno == EBUSY; ++i)
      ::usleep(kPause);
  }
  groups_.clear();
}

std::vector<int> Cgroup::entrances() const {
  std::vector<int> descriptors;
  descriptors.reserve(groups_.size());
  for (const Group& group : groups_) descriptors.push_back(group.processes.get());
  return descriptors;
}

bool Cgroup::kill() const {
  return !unified_.empty() && write_value(unified_ + "/cgroup.kill", "1").has_value();
}

std::optional<uint64_t> Cgroup::peak_memory() const {
  if (memory_.empty()) return std::nullopt;
  return read_number(memory_ + (memory_is_unified_ ? "/memory.peak" : "/memory.max_usage_in_bytes"));
}

uint64_t Cgroup::memory_kills() const {
  if (memory_.empty()) return 0;
  return read_entry(memory_ + (memory_is_unified_ ? "/memory.events" : "/memory.oom_control"), "oom_kill")
      .value_or(0);
}

uint64_t Cgroup::refused_processes() const {
  return process_.empty() ? 0 : read_entry(process_ + "/pids.events", "max").value_or(0);
}

std::optional<uint64_t> Cgroup::processor_nanoseconds() const {
  if (unified_.empty()) return std::nullopt;
  const auto microseconds = read_entry(unified_ + "/cpu.stat", "usage_usec");
  return microseconds ? std::optional(*microseconds * 1000) : std::nullopt;
}

}  // namespace vitrine::sandbox

// A control group for one box: limits that hold for all its processes together. Version 2 where this
// process's group may be divided; the controllers of version 1 where the host has those and we are allowed
// (root).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "sandbox/mechanism_probes.h"

namespace vitrine::sandbox {

struct CgroupSupport {
  ProbeOutcome memory;
  ProbeOutcome processes;
  ProbeOutcome kill;
};

/// Tries by making, entering and removing groups.
[[nodiscard]] CgroupSupport probe_cgroups();

/// Directories in which groups can be made. Empty: nowhere.
struct CgroupPlaces {
  std::string unified;         ///< Version 2: our own group.
  std::string unified_parent;  ///< What it is in, if that is not the root.
  std::string memory;          ///< Version 1.
  std::string processes;       ///< Version 1.
};
/// This process's, by proc_pid_cgroup(5) and proc_pid_mountinfo(5).
[[nodiscard]] CgroupPlaces find_cgroup_places();

struct CgroupLimits {
  std::optional<uint64_t> memory;     ///< Bytes. Asking for it fails where there is no memory controller.
  std::optional<uint64_t> processes;  ///< Processes and threads.
  bool kill = false;                  ///< Wants cgroup v2's kill and its exact count of processor time.
};

/// Removed when it goes; by then every process in it must have been reaped.
class Cgroup {
 public:
  Cgroup() = default;
  Cgroup(Cgroup&&) noexcept = default;
  Cgroup& operator=(Cgroup&& other) noexcept;
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  ~Cgroup();

  [[nodiscard]] static Result<Cgroup> create(const CgroupLimits& limits,
                                             const CgroupPlaces& places = find_cgroup_places());

  /// A process that writes "0" to each of these moves itself in.
  [[nodiscard]] std::vector<int> entrances() const;
  /// Ends every process in it. False where there is no cgroup v2, or nobody in it.
  bool kill() const;
  /// What follows is nothing where the group has no such controller, or the kernel no such file.
  [[nodiscard]] std::optional<uint64_t> peak_memory() const;
  /// How often the kernel ended a process because the memory limit was reached.
  [[nodiscard]] uint64_t memory_kills() const;
  /// How often a process could not be started because of the limit on their number.
  [[nodiscard]] uint64_t refused_processes() const;
  [[nodiscard]] std::optional<uint64_t> processor_nanoseconds() const;

 private:
  struct Group {
    std::string path;
    Descriptor processes;
  };
  Result<const Group*> add(const std::string& parent);
  void remove();

  std::vector<Group> groups_;
  std::string unified_, memory_, process_;  ///< Paths; empty: not there. Version 1 has one for each.
  bool memory_is_unified_ = false;
};

}  // namespace vitrine::sandbox

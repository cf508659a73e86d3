// What a program may do. A policy starts from nothing: it may compute, on the descriptors that it was given,
// until it ends. Everything else is an intent that somebody stated, and each says what it costs. What undoes
// confinement when it is misused is a named type, so that it can be seen, and searched for, at the call.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/guarantee.h"

namespace vitrine::sandbox {

/// May start other programs: whatever executable file is beneath a path that it may read. Costs: all attack
/// surface of those programs and of execve(2); without it the kernel refuses every execve after the first.
struct MayStartPrograms {};

/// May make memory executable that was written before (just-in-time compilers). Costs: a bug in the program
/// is enough to run code that is in no file. Without it code comes from mapped files only.
struct MayMapExecutableMemory {};

/// May open sockets to a loopback interface of its own, on which nobody else listens. Costs: the kernel's
/// network stack as attack surface. Needs a network namespace; nothing else can tell one's own loopback
/// interface from the host's.
struct MayUseLoopback {};

/// May be started without a guarantee that this host cannot give. The report says that it is missing.
struct MayLack {
  Guarantee guarantee;
};

enum class PathRights : uint8_t {
  Read,       ///< Read files, list directories.
  ReadWrite,  ///< Also create, change, rename and remove beneath it.
};

struct PathGrant {
  std::string path;
  PathRights rights = PathRights::Read;
  bool execute = false;  ///< Files beneath it may be executed, and mapped executable.
  std::string reason;    ///< Empty: somebody named it. Otherwise why it is granted: "the program's loader".
  /// At `path` is this open directory, whatever its name outside; -1: what has that name outside.
  int directory = -1;
};

struct Limits {
  /// Processor time of all its processes together.
  std::optional<std::chrono::milliseconds> processor_time = {};
  std::optional<std::chrono::milliseconds> wall_time = {};
  /// Bytes of memory of all its processes together.
  std::optional<uint64_t> memory = {};
  /// Processes and threads at once. 1: fork and threads are no calls that it may make.
  uint64_t processes = 1;
  /// Bytes on the outputs that are counted (SpawnRequest::counted), and in any file that it writes.
  std::optional<uint64_t> output = {};
  /// Descriptors open at once.
  uint64_t open_files = 64;
};

/// What happens when it makes a system call that it may not make.
enum class OnViolation : uint8_t {
  Refuse,  ///< The call fails with EPERM and is recorded (another way into the kernel, such as int 0x80, ends
           ///< it).
  End,     ///< All its processes are killed; the outcome is a violation.
};

class Policy {
 public:
  /// May use memory, time, and the descriptors that it is given. Its own file and what its loader needs are
  /// readable and executable (see system_libraries). Costs: the kernel's memory management and the calls of
  /// system_calls.cc, group Compute, as attack surface.
  [[nodiscard]] static Policy compute_only() { return Policy(); }

  /// May read files beneath `path`. Costs: their contents are known to it, and the kernel's path lookup and
  /// that file system's code become attack surface.
  Policy& read(std::string path);
  /// May also change what is beneath `path`. Costs: whoever reads those files afterwards reads what an
  /// untrusted program wrote. Nothing there can be executed unless it may start programs.
  Policy& read_and_write(std::string path);
  /// The same for an open directory (a capability, say) that is at `place` in the box, an absolute path;
  /// rights as above. The descriptor stays the caller's, open until the start. Needs a mount namespace, and
  /// that the directory's own path can be reached by the caller.
  Policy& directory(int descriptor, std::string place, PathRights rights);
  /// A /tmp of its own of at most `bytes`, gone with it. Costs: that much memory. Needs a mount namespace.
  Policy& temporary_files(uint64_t bytes);
  /// A dynamically linked program may read the system's library directories (default) or only what is named:
  /// it then starts only if its loader and libraries are. Costs: it sees which libraries are installed.
  Policy& system_libraries(bool granted);

  Policy& allow(MayStartPrograms);
  Policy& allow(MayMapExecutableMemory);
  Policy& allow(MayUseLoopback);
  Policy& allow(MayLack lack);
  /// Is not started without it. Some are required unless MayLack says otherwise (Assurance::wanted); the
  /// others only if this says so.
  Policy& require(Guarantee guarantee);

  Policy& limit(const Limits& limits);
  Policy& on_violation(OnViolation action);
  /// Records the paths it asks for (Outcome::paths). Nothing is granted by that.
  Policy& record_paths();

  [[nodiscard]] const std::vector<PathGrant>& paths() const { return paths_; }
  [[nodiscard]] std::optional<uint64_t> temporary_bytes() const { return temporary_bytes_; }
  [[nodiscard]] bool has_system_libraries() const { return system_libraries_; }
  [[nodiscard]] bool may_start_programs() const { return start_programs_; }
  [[nodiscard]] bool may_map_executable() const { return map_executable_; }
  [[nodiscard]] bool may_use_loopback() const { return loopback_; }
  [[nodiscard]] bool may_lack(Guarantee guarantee) const { return lacks_.contains(guarantee); }
  [[nodiscard]] bool requires_guarantee(Guarantee guarantee) const { return required_.contains(guarantee); }
  [[nodiscard]] bool records_paths() const { return record_paths_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] OnViolation on_violation() const { return on_violation_; }

 private:
  Policy() = default;

  std::vector<PathGrant> paths_;
  std::optional<uint64_t> temporary_bytes_;
  bool system_libraries_ = true;
  bool start_programs_ = false;
  bool map_executable_ = false;
  bool loopback_ = false;
  bool record_paths_ = false;
  std::set<Guarantee> lacks_;
  std::set<Guarantee> required_;
  Limits limits_;
  OnViolation on_violation_ = OnViolation::Refuse;
};

}  // namespace vitrine::sandbox

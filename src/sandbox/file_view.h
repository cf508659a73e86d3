// What a box sees of the file system. The grants of a policy, with what the program's start needs, become
// steps that the child takes in a mount namespace of its own, and rules for Landlock; one of the two is
// enough, and where the host has both, both hold. See docs/sandbox.md, "Files".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "sandbox/landlock.h"
#include "sandbox/policy.h"
#include "sandbox/program_file.h"

namespace vitrine::sandbox {

struct MountStep {
  enum class Kind : uint8_t {
    Directory,       ///< `target`: made, with those above it.
    Link,            ///< A symbolic link to `source`.
    Bind,            ///< `source`, with `attributes`; it must be the file `device`, `inode`.
    TemporaryFiles,  ///< `options` for tmpfs.
    Processes,       ///< /proc
  };
  Kind kind{};
  std::string target;  ///< Without the leading slash.
  std::string source = {};
  std::string options = {};
  uint64_t attributes = 0;
  bool is_directory = true;
  dev_t device = 0;
  ino_t inode = 0;
  std::optional<PathAccess> access = {};  ///< Landlock's rule for what is there only after the step.
};

struct FileView {
  /// All that is granted, implicit grants included, with real paths.
  std::vector<PathGrant> grants;
  std::vector<MountStep> steps;
  std::string working_directory = "/";
};

/// `working_directory`: kept where it lies beneath a grant. Errors: a path that does not exist.
[[nodiscard]] Result<FileView> plan_file_view(const Policy& policy, const ProgramFile& program,
                                              const std::string& working_directory, bool own_processes);

/// The rules for what exists already. Pinned: the paths are opened once, here.
[[nodiscard]] Result<void> add_landlock_rules(const LandlockRuleset& ruleset, int abi, const FileView& view);

/// Whether `path` is `directory` or beneath it. Both without links and dots.
[[nodiscard]] bool is_beneath(const std::string& path, const std::string& directory);

}  // namespace vitrine::sandbox

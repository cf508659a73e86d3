// The supervisor's authority to create files for the machine's monitor, and its limits. The monitor's
// commands are read in the machine process, so whoever has taken that over can ask for any path: what is
// granted must do no harm whoever asks. Beneath a few directories, by openat2 without symbolic links; no
// hidden names; a new file, or one of this user's that this machine has made or that is a picture to be
// replaced by one.
#pragma once

#include <sys/types.h>

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "capability/capability.h"
#include "machine/file_service.h"

namespace vitrine::cli {

class GrantedFiles {
 public:
  /// Directories of this program's user: the present one, TMPDIR (or /tmp), and `more`. Error: one of `more`
  /// is none.
  [[nodiscard]] static Result<GrantedFiles> create(std::span<const std::string> more);

  /// Empty, open for writing. Error: for whoever typed the command.
  [[nodiscard]] Result<Descriptor> create_file(std::string_view path, machine::FileContents contents);

 private:
  struct Directory {
    std::string name;  ///< As given, without a slash at the end; "": the present one.
    std::string real;  ///< Without links.
    capability::Capability capability;
  };
  struct Place {
    const Directory* directory;
    std::string path;  ///< Relative to it.
  };

  GrantedFiles() = default;
  [[nodiscard]] Result<void> add(const std::string& directory);
  [[nodiscard]] Result<Place> find(std::string_view path) const;
  [[nodiscard]] Result<Descriptor> replace(const Place& place, machine::FileContents contents);
  [[nodiscard]] Error refusal(std::string_view path, std::string_view why) const;

  std::vector<Directory> directories_;
  std::set<std::pair<dev_t, ino_t>> made_;
};

}  // namespace vitrine::cli

// Directory capabilities: what lies beneath a directory, and nothing else. Every path is resolved by
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, in the kernel and atomically, so that no "..", no
// absolute path, no symbolic link and no rename at the wrong moment leads out. There is no other way to
// resolve a path here: on a kernel without openat2 (before Linux 5.6) every function says so.
//
// The rights are enforced by this code. Whoever gets the bare descriptor of a directory (Right::Handle) can
// open ".." relative to it, as far as his user may.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "capability/capability.h"

namespace vitrine::capability {

/// What a symbolic link on the way does.
enum class Symlinks : uint8_t {
  FollowBeneath,  ///< Followed, as long as it stays beneath; one that leads out is an Error.
  Refuse,         ///< Any is an Error.
};

enum class Creation : uint8_t {
  Never,      ///< It must exist.
  IfMissing,  ///< Needs Right::Create.
  Exclusive,  ///< It must not exist. Needs Right::Create.
};

struct OpenRequest {
  std::string path;        ///< Relative to the directory.
  Rights rights;           ///< Of the new capability. For a file: Read, Write, Append, Execute.
  Kind kind = Kind::File;  ///< File or Directory.
  Symlinks symlinks = Symlinks::FollowBeneath;
  Creation creation = Creation::Never;  ///< Files only.
  mode_t mode = 0600;                   ///< Of a new file, less the umask.
};

/// The one place where a name of the whole system is used: the start of all else.
[[nodiscard]] Result<Capability> open_directory(const std::string& path, Rights rights);

/// Opens beneath `directory`, which needs Lookup and every right that is asked for. Error: also for what is
/// neither a regular file nor a directory (a device, a FIFO): opening it would be an act.
[[nodiscard]] Result<Capability> open_beneath(const Capability& directory, const OpenRequest& request);

/// The names in the directory itself, without "." and "..", sorted. Needs List.
[[nodiscard]] Result<std::vector<std::string>> list(const Capability& directory);

/// Needs Lookup and Create.
[[nodiscard]] Result<void> make_directory(const Capability& directory, const std::string& path,
                                          mode_t mode = 0700);

/// A file, or with Kind::Directory an empty directory. Needs Lookup and Remove.
[[nodiscard]] Result<void> remove(const Capability& directory, const std::string& path,
                                  Kind kind = Kind::File);

}  // namespace vitrine::capability

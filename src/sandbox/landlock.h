// A Landlock ruleset: which paths may be opened for what, which TCP ports, abstract sockets and processes can
// be reached. Made before the child exists; the child only restricts itself with it. Linux, "Landlock:
// unprivileged access control".
#pragma once

#include <cstdint>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::sandbox {

/// What a rule gives beneath a path; each is reduced to what the ABI knows and the file's type allows.
enum class PathAccess : uint8_t {
  List,  ///< A directory's names only.
  Read,
  ReadExecute,
  ReadWrite,
  ReadWriteExecute,
  Device,  ///< Read and write a device's file.
};

class LandlockRuleset {
 public:
  /// Handles all that `abi` knows: what no rule gives is denied.
  [[nodiscard]] static Result<LandlockRuleset> create(int abi, bool tcp_allowed);

  /// Async-signal-safe. 0, or -1 with errno.
  [[nodiscard]] static int allow(int ruleset, int abi, int path, bool is_directory, PathAccess access);

  [[nodiscard]] int get() const { return ruleset_.get(); }

 private:
  Descriptor ruleset_;
};

}  // namespace vitrine::sandbox

#include "sandbox/landlock.h"

#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {
namespace {

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kLandlockTruncate;
// No devices: what is made there could be any.
constexpr uint64_t kChange = kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_SYM | kLandlockRefer;
/// Rights that a rule on a file may have; the kernel refuses the others there.
constexpr uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | kWriteFile | kLandlockDeviceControl;

constexpr uint64_t handled_by(int abi) {
  uint64_t handled = (uint64_t{1} << 13) - 1;
  if (abi >= 2) handled |= kLandlockRefer;
  if (abi >= 3) handled |= kLandlockTruncate;
  if (abi >= 5) handled |= kLandlockDeviceControl;
  return handled;
}

constexpr uint64_t rights_of(PathAccess access) {
  switch (access) {
    case PathAccess::List: return LANDLOCK_ACCESS_FS_READ_DIR;
    case PathAccess::Read: return kRead;
    case PathAccess::ReadExecute: return kRead | LANDLOCK_ACCESS_FS_EXECUTE;
    case PathAccess::ReadWrite: return kRead | kChange;
    case PathAccess::ReadWriteExecute: return kRead | kChange | LANDLOCK_ACCESS_FS_EXECUTE;
    case PathAccess::Device: return LANDLOCK_ACCESS_FS_READ_FILE | kWriteFile;
  }
  return 0;
}

/// The attributes that an ABI knows: a structure that is longer is refused.
constexpr size_t attributes_size(int abi) {
  if (abi < 4) return sizeof(uint64_t);
  return abi < 6 ? 2 * sizeof(uint64_t) : sizeof(LandlockRulesetAttributes);
}

}  // namespace

Result<LandlockRuleset> LandlockRuleset::create(int abi, bool tcp_allowed) {
  LandlockRulesetAttributes attributes{handled_by(abi), 0, 0};
  if (abi >= 4 && !tcp_allowed) attributes.handled_network = kLandlockBindTcp | kLandlockConnectTcp;
  if (abi >= 6) attributes.scoped = kLandlockScopeAbstractSockets | kLandlockScopeSignals;
  LandlockRuleset ruleset;
  ruleset.ruleset_.reset(landlock_create_ruleset(&attributes, attributes_size(abi), 0));
  if (!ruleset.ruleset_) return std::unexpected(error_from_errno("cannot make", "the Landlock ruleset"));
  return ruleset;
}

int LandlockRuleset::allow(int ruleset, int abi, int path, bool is_directory, PathAccess access) {
  uint64_t rights = rights_of(access) & handled_by(abi);
  if (!is_directory) rights &= kOfFiles;
  return rights == 0 ? 0 : landlock_add_path(ruleset, path, rights);
}

}  // namespace vitrine::sandbox

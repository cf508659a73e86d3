// System calls that Debian 12's C library does not wrap, and constants that its kernel headers do not have
// yet. All are async-signal-safe: they run in children of multi-threaded parents.
#pragma once

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace vitrine::sandbox {

// Linux, "Landlock: unprivileged access control": ABI 2 (REFER), 3 (TRUNCATE), 4 (TCP), 5 (IOCTL_DEV), 6
// (scopes).
inline constexpr uint64_t kLandlockRefer = uint64_t{1} << 13;
inline constexpr uint64_t kLandlockTruncate = uint64_t{1} << 14;
inline constexpr uint64_t kLandlockDeviceControl = uint64_t{1} << 15;
inline constexpr uint64_t kLandlockBindTcp = uint64_t{1} << 0;
inline constexpr uint64_t kLandlockConnectTcp = uint64_t{1} << 1;
inline constexpr uint64_t kLandlockScopeAbstractSockets = uint64_t{1} << 0;
inline constexpr uint64_t kLandlockScopeSignals = uint64_t{1} << 1;

/// The kernel's struct landlock_ruleset_attr as of ABI 6; older kernels are given less of it.
struct LandlockRulesetAttributes {
  uint64_t handled_files;
  uint64_t handled_network;
  uint64_t scoped;
};

inline int landlock_create_ruleset(const LandlockRulesetAttributes* attributes, size_t size, uint32_t flags) {
  return static_cast<int>(::syscall(SYS_landlock_create_ruleset, attributes, size, flags));
}
inline int landlock_add_path(int ruleset, int directory, uint64_t access) {
  const landlock_path_beneath_attr rule{access, directory};
  return static_cast<int>(::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
}
inline int landlock_restrict_self(int ruleset) {
  return static_cast<int>(::syscall(SYS_landlock_restrict_self, ruleset, 0));
}

inline constexpr unsigned kMfdNoExecSeal = 8;  // memfd_create(2), Linux 6.3
inline constexpr int kPrSetMdwe = 65;          // prctl(2), Linux 6.3
inline constexpr unsigned long kMdweRefuseExecGain = 1;
inline constexpr unsigned kMoveMountEmptyPath = 4;  // move_mount(2): MOVE_MOUNT_F_EMPTY_PATH

/// struct mount_attr of mount_setattr(2).
struct MountAttributes {
  uint64_t set;
  uint64_t clear;
  uint64_t propagation;
  uint64_t user_namespace;
};
inline constexpr uint64_t kMountReadOnly = 0x1, kMountNoSetuid = 0x2, kMountNoDevices = 0x4,
                          kMountNoExec = 0x8, kMountIdMap = 0x00100000, kMountNoSymbolicLinks = 0x00200000;
inline constexpr unsigned kOpenTreeClone = 1, kRecursive = 0x8000;

inline int open_tree(int directory, const char* path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags));
}
inline int move_mount(int from, const char* from_path, int to, const char* to_path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}
inline int mount_setattr(int directory, const char* path, unsigned flags, const MountAttributes& attributes) {
  return static_cast<int>(
      ::syscall(SYS_mount_setattr, directory, path, flags, &attributes, sizeof attributes));
}
inline int pivot_root(const char* new_root, const char* old_root) {
  return static_cast<int>(::syscall(SYS_pivot_root, new_root, old_root));
}
inline int pidfd_send_signal(int pidfd, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}
inline int pidfd_open(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}
inline int close_range(unsigned first, unsigned last) {
  return static_cast<int>(::syscall(SYS_close_range, first, last, 0));
}

/// fork() without what the C library does at it: no handlers, no locks. In the child only async-signal-safe
/// calls may follow. `flags`: CLONE_NEW…, CLONE_PIDFD; returns as clone(2) does.
inline long clone_process(unsigned long flags, int* pidfd) {
  return ::syscall(SYS_clone, flags, nullptr, pidfd, nullptr, 0);
}

}  // namespace vitrine::sandbox

// A user namespace's maps of users and groups. Async-signal-safe.
#pragma once

namespace vitrine::sandbox {

/// Maps the one user and group `inside` of a process's new user namespace to `outside`. False: errno says
/// why.
[[nodiscard]] bool write_id_maps(int pid, unsigned inside_user, unsigned outside_user, unsigned inside_group,
                                 unsigned outside_group);

/// The namespace itself, as a descriptor; -1: errno says why.
[[nodiscard]] int open_user_namespace(int pid);

}  // namespace vitrine::sandbox

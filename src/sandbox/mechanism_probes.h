// One trial for each mechanism: it does what confinement will do, and says at which step it failed. Each runs
// in a child process that is thrown away, and uses async-signal-safe calls only.
#pragma once

namespace vitrine::sandbox {

struct ProbeOutcome {
  int error = 0;  ///< 0: it works. Otherwise errno.
  int level = 0;
  char step[64] = {};  ///< Which call failed.
};

/// The present errno at a step.
[[nodiscard]] ProbeOutcome failed_probe(const char* step);

ProbeOutcome probe_seccomp_filter();
ProbeOutcome probe_seccomp_strict();
ProbeOutcome probe_seccomp_notification();
ProbeOutcome probe_no_new_privileges();
ProbeOutcome probe_landlock();
ProbeOutcome probe_user_namespace();
ProbeOutcome probe_mount_namespace();
ProbeOutcome probe_pid_namespace();
ProbeOutcome probe_proc_file_system();
ProbeOutcome probe_network_namespace();
ProbeOutcome probe_ipc_namespace();
ProbeOutcome probe_uts_namespace();
ProbeOutcome probe_cgroup_namespace();
ProbeOutcome probe_time_namespace();
ProbeOutcome probe_other_user();
ProbeOutcome probe_id_mapped_mount();
ProbeOutcome probe_resource_limits();
ProbeOutcome probe_close_range();
ProbeOutcome probe_pid_descriptor();
ProbeOutcome probe_subreaper();
ProbeOutcome probe_parent_death_signal();
ProbeOutcome probe_session_keyring();
ProbeOutcome probe_deny_write_execute();
ProbeOutcome probe_terminal_injection_off();
ProbeOutcome probe_ptrace_scope();

}  // namespace vitrine::sandbox

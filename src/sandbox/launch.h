// From a policy to running processes: prepares everything, clones, and hears whether it worked. Of this
// folder only; see child.h.
#pragma once

#include "sandbox/child_setup.h"
#include "sandbox/child_state.h"
#include "sandbox/filter.h"

namespace vitrine::sandbox {

class Launch {
 public:
  Launch(const Policy& policy, const SpawnRequest& request, const HostFeatures& features);

  /// Finds program and paths, and judges the guarantees.
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<Explanation> explain();
  [[nodiscard]] Result<std::unique_ptr<Child::State>> start();

  /// What failed was this mechanism, which the host was taken to have.
  [[nodiscard]] std::optional<Mechanism> missing_mechanism() const { return missing_; }
  /// Namespaces or a control group could not be made: which, only a probe can say.
  [[nodiscard]] bool namespaces_refused() const { return namespaces_refused_; }
  [[nodiscard]] bool cgroups_refused() const { return cgroups_refused_; }

 private:
  [[nodiscard]] bool has(Mechanism mechanism) const { return features_.has(mechanism); }
  void leave_out_what_is_not_used();
  [[nodiscard]] Result<void> refuse_read_only_within_writable() const;
  [[nodiscard]] bool uses_user_namespace() const;
  [[nodiscard]] uint32_t rights() const;
  [[nodiscard]] unsigned long clone_flags() const;
  /// What can be made while the child makes its namespaces; the last that it waits for.
  Result<void> send_rules();
  [[nodiscard]] Filter make_filter() const;
  Result<void> make_landlock();
  Result<void> make_cgroup();
  Result<void> make_descriptors();
  void make_limits();
  void fill_plan();
  Result<void> clone();
  Result<void> hear();
  Error setup_error(const SetupMessage& message);

  const Policy& policy_;
  const SpawnRequest& request_;
  HostFeatures features_;
  ProgramFile program_;
  FileView view_;
  std::vector<Assurance> assurances_;
  LandlockRuleset landlock_;
  std::vector<Descriptor> held_;  ///< Ends that only the child needs.
  SetupPlan plan_;
  std::unique_ptr<Child::State> state_;
  Descriptor setup_;  ///< Closed before state_ goes, which waits for a child that may wait for this.
  std::optional<Mechanism> missing_;
  bool namespaces_refused_ = false;
  bool cgroups_refused_ = false;
};

}  // namespace vitrine::sandbox

// What hardware virtualisation there is. Vitrine does not use it; but who asks what a host can do wants to
// know, and a /dev/kvm that is there need not run what is wanted of it: some cloud hosts offer one on which
// guests with 32-bit paging, which is what 32-bit operating systems are, do not run.
#pragma once

#include <cstdint>
#include <string>

namespace vitrine::doctor {

enum class KvmState : uint8_t {
  Absent,      ///< There is no /dev/kvm.
  NotAllowed,  ///< This user may not open it.
  Broken,      ///< It is there, and a guest with 32-bit paging does not run.
  Works,       ///< Such a guest has run.
};

struct Virtualisation {
  bool processor = false;               ///< VMX or SVM in CPUID.
  bool inside_virtual_machine = false;  ///< CPUID's hypervisor bit.
  KvmState kvm{};
  std::string detail;  ///< Not Works: what failed.
};

/// Runs a guest of two instructions in a process of its own.
[[nodiscard]] Virtualisation probe_virtualisation();

}  // namespace vitrine::doctor

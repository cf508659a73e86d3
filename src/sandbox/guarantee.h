// What confinement promises, and on which mechanisms each promise rests on this host. A guarantee is claimed
// only if one of the ways to hold it is in force; a policy that wants one that is not there does not start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/host_features.h"

namespace vitrine::sandbox {

class Policy;

enum class Guarantee : uint8_t {
  SystemCalls,       ///< Only listed system calls, by the 64-bit entry.
  Privileges,        ///< No capability, no other user's rights, no way to regain any.
  Files,             ///< No file but those granted.
  Network,           ///< No peer but itself.
  LocalSockets,      ///< Reaches no socket of the host's, abstract ones included.
  Processes,         ///< Signals, traces and inspects no process but its own.
  NoSurvivors,       ///< When it ends, or its supervisor does, no process of it is left.
  SharedObjects,     ///< No System V or POSIX object, no keyring of the host's.
  Code,              ///< Executes nothing but files that were granted for it.
  Terminal,          ///< Cannot type into a terminal, has none that controls it.
  Descriptors,       ///< Holds those that it was given and no other.
  ProcessorTime,     ///< Ends soon after its limit.
  WallTime,          ///< The same.
  Memory,            ///< Does not use more than its limit.
  ProcessCount,      ///< Does not have more processes and threads than its limit.
  Output,            ///< Does not write more than its limit.
  ViolationReports,  ///< A denied call is reported with its arguments.
};
inline constexpr size_t kGuaranteeCount = static_cast<size_t>(Guarantee::ViolationReports) + 1;

[[nodiscard]] std::string_view guarantee_name(Guarantee guarantee);
[[nodiscard]] std::string_view guarantee_meaning(Guarantee guarantee);
[[nodiscard]] std::optional<Guarantee> guarantee_from_name(std::string_view name);

/// One guarantee on one host, under one policy.
struct Assurance {
  Guarantee guarantee{};
  bool held = false;
  bool wanted = false;              ///< The policy asks for it: it is not started without.
  std::vector<Mechanism> rests_on;  ///< All of those in force that contribute.
  std::string note;                 ///< How far it goes, or why it is not held.
};

/// For every guarantee, in the order of the enumeration.
[[nodiscard]] std::vector<Assurance> assess(const Policy& policy, const HostFeatures& features);

/// An Error that names the first guarantee that is wanted and not held.
[[nodiscard]] Result<void> require_all(const std::vector<Assurance>& assurances);

}  // namespace vitrine::sandbox

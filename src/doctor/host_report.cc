#include "doctor/host_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "capability/json_string.h"
#include "doctor/kvm_probe.h"
#include "doctor/machine_probes.h"
#include "sandbox/guarantee.h"
#include "sandbox/host_features.h"
#include "sandbox/policy.h"

namespace vitrine::doctor {
namespace {

using sandbox::HostFeatures;
using sandbox::Mechanism;

Verdict verdict(bool good) {
  return good ? Verdict::Yes : Verdict::No;
}

/// A box that asks for everything there is to ask for.
sandbox::Policy strictest_policy() {
  using namespace std::chrono_literals;
  auto policy = sandbox::Policy::compute_only();
  policy.limit({.processor_time = 1s, .wall_time = 1s, .memory = uint64_t{64} << 20, .output = 1 << 20});
  return policy;
}

Section guarantees(const HostFeatures& features) {
  Section section{"guarantees", "What a box (vitrine box) guarantees on this host", {}};
  for (const sandbox::Assurance& each : sandbox::assess(strictest_policy(), features)) {
    std::string detail;
    for (const Mechanism mechanism : each.rests_on) {
      detail += detail.empty() ? "by " : ", ";
      detail += mechanism_name(mechanism);
    }
    if (!each.note.empty()) detail += fmt::format("{}{}", detail.empty() ? "" : "; ", each.note);
    section.rows.push_back({std::string(guarantee_name(each.guarantee)), verdict(each.held),
                            std::string(guarantee_meaning(each.guarantee)), std::move(detail)});
  }
  return section;
}

/// "by seccomp-filter, landlock (not mount-namespace)"
std::string rests_on(const HostFeatures& features, std::initializer_list<Mechanism> mechanisms) {
  std::string there, missing;
  for (const Mechanism mechanism : mechanisms) {
    std::string& names = features.has(mechanism) ? there : missing;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", mechanism_name(mechanism));
  }
  return fmt::format("by {}{}", there, missing.empty() ? "" : fmt::format(" (not by {})", missing));
}

/// All of it rests on the filter; what else there is stands behind. See docs/machine-process.md.
Section machine_process(const HostFeatures& features) {
  using enum Mechanism;
  Section section{"machine-process", "What a machine's process (vitrine run) is kept from on this host", {}};
  const bool possible = features.has(SeccompFilter) && features.has(NoNewPrivileges);
  const auto add = [&](std::string_view name, std::string_view text,
                       std::initializer_list<Mechanism> mechanisms) {
    section.rows.push_back(
        {std::string(name), verdict(possible), std::string(text),
         possible ? rests_on(features, mechanisms) : "without seccomp-filter only --sandbox=off is left"});
  };
  add("machine-files", "opens no file and sees none", {SeccompFilter, Landlock, MountNamespace});
  add("machine-network", "reaches no address and no socket of others",
      {SeccompFilter, Landlock, NetworkNamespace});
  add("machine-processes", "starts, signals and sees no process",
      {SeccompFilter, Landlock, PidNamespace, UserNamespace});
  add("machine-code", "makes no memory executable once the guest runs", {SeccompFilter, DenyWriteExecute});
  const sandbox::Feature& reports = features[SeccompNotification];
  section.rows.push_back({"machine-reports", verdict(reports.available), "a call that is denied is named",
                          reports.available ? rests_on(features, {SeccompNotification}) : reports.detail});
  return section;
}

Section mechanisms(const HostFeatures& features) {
  Section section{"mechanisms", "What the kernel offers for it, each tried", {}};
  for (size_t i = 0; i < sandbox::kMechanismCount; ++i) {
    const auto mechanism = static_cast<Mechanism>(i);
    const sandbox::Feature& feature = features[mechanism];
    std::string detail = feature.detail;
    if (feature.available && feature.level != 0) detail = fmt::format("ABI {}", feature.level);
    section.rows.push_back({std::string(mechanism_name(mechanism)), verdict(feature.available),
                            std::string(mechanism_purpose(mechanism)), std::move(detail)});
  }
  return section;
}

Section virtualisation() {
  const Virtualisation found = probe_virtualisation();
  Section section{"virtualisation", "Hardware virtualisation (Vitrine does without)", {}};
  section.rows.push_back(
      {"processor", verdict(found.processor), "VMX or SVM",
       found.processor ? "" : "CPUID does not show it: it is switched off, or not passed on"});
  section.rows.push_back({"virtual-machine", Verdict::Fact, "this host is a virtual machine itself",
                          found.inside_virtual_machine ? "yes" : "no"});
  std::string detail = found.detail;
  if (found.kvm == KvmState::NotAllowed) detail += ": the group kvm may open it";
  section.rows.push_back({"kvm", verdict(found.kvm == KvmState::Works),
                          "/dev/kvm runs a guest with 32-bit paging", std::move(detail)});
  return section;
}

std::string_view mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::Yes: return "yes";
    case Verdict::No: return "NO";
    case Verdict::Fact: return "-";
  }
  return "?";
}

}  // namespace

HostReport examine_host() {
  const HostFeatures features = HostFeatures::probe();
  HostReport report;
  report.push_back(guarantees(features));
  report.push_back({"machine", "What running guest code natively (vitrine run) takes", machine_rows()});
  report.push_back(machine_process(features));
  report.push_back({"limits", "Limits", limit_rows()});
  report.push_back(mechanisms(features));
  report.push_back({"calls", "Further system calls", call_rows()});
  report.push_back(virtualisation());
  return report;
}

std::string as_text(const HostReport& report) {
  std::string text;
  for (const Section& section : report) {
    text += fmt::format("{}{}\n", text.empty() ? "" : "\n", section.title);
    for (const Row& row : section.rows) {
      text += fmt::format("  {:<4} {:<22} {}\n", mark(row.verdict), row.name, row.text);
      if (!row.detail.empty()) text += fmt::format("       {:<22} {}\n", "", row.detail);
    }
  }
  const auto lacking = missing(report);
  std::string names;
  for (const std::string& name : lacking) names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  text += lacking.empty() ? "\nThis host can give everything.\n" : fmt::format("\nNot here: {}.\n", names);
  return text;
}

std::string as_json(const HostReport& report) {
  std::string text = "{";
  const char* between_sections = "";
  for (const Section& section : report) {
    text += fmt::format("{}\n  \"{}\": {{", between_sections, section.name);
    between_sections = ",";
    const char* between_rows = "";
    for (const Row& row : section.rows) {
      const std::string value = row.verdict == Verdict::Fact  ? "null"
                                : row.verdict == Verdict::Yes ? "true"
                                                              : "false";
      text += fmt::format("{}\n    {}: {{\"available\": {}, \"meaning\": {}, \"detail\": {}}}", between_rows,
                          capability::json_string(row.name), value, capability::json_string(row.text),
                          capability::json_string(row.detail));
      between_rows = ",";
    }
    text += "\n  }";
  }
  return text + "\n}\n";
}

std::vector<std::string> missing(const HostReport& report) {
  std::vector<std::string> names;
  for (const Section& section : report) {
    for (const Row& row : section.rows) {
      const bool promised = section.name == "guarantees" || row.name == kNativeEngine;
      if (promised && row.verdict == Verdict::No) names.push_back(row.name);
    }
  }
  return names;
}

const Row* find(const HostReport& report, std::string_view name) {
  for (const Section& section : report) {
    const auto row = std::ranges::find(section.rows, name, &Row::name);
    if (row != section.rows.end()) return &*row;
  }
  return nullptr;
}

}  // namespace vitrine::doctor

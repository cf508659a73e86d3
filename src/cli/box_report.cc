#include "cli/box_report.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <string.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "sandbox/file_view.h"

namespace vitrine::cli {
namespace {

using nlohmann::ordered_json;
using sandbox::Outcome;
using sandbox::Right;

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::string mechanisms(const sandbox::Assurance& assurance) {
  std::string text;
  for (const sandbox::Mechanism mechanism : assurance.rests_on) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", sandbox::mechanism_name(mechanism));
  }
  return text;
}

std::string text_assurances(const std::vector<sandbox::Assurance>& assurances) {
  std::string text;
  for (const sandbox::Assurance& assurance : assurances) {
    text += fmt::format(
        "  {:<18} {:<4} {}{}\n", guarantee_name(assurance.guarantee), assurance.held ? "yes" : "no",
        mechanisms(assurance),
        assurance.note.empty() ? "" : fmt::format("{}({})", assurance.held ? " " : "", assurance.note));
  }
  return text;
}

ordered_json json_assurances(const std::vector<sandbox::Assurance>& assurances) {
  ordered_json list = ordered_json::array();
  for (const sandbox::Assurance& assurance : assurances) {
    ordered_json names = ordered_json::array();
    for (const sandbox::Mechanism mechanism : assurance.rests_on)
      names.push_back(sandbox::mechanism_name(mechanism));
    list.push_back({{"guarantee", guarantee_name(assurance.guarantee)},
                    {"meaning", guarantee_meaning(assurance.guarantee)},
                    {"held", assurance.held},
                    {"rests_on", names},
                    {"note", assurance.note}});
  }
  return list;
}

std::string text_arguments(const sandbox::Violation& violation) {
  std::string text;
  for (const uint64_t argument : violation.arguments)
    text += fmt::format("{}{:#x}", text.empty() ? "" : ", ", argument);
  return text;
}

std::string text_violations(const Outcome& outcome) {
  std::string text;
  for (const sandbox::Violation& violation : outcome.violations) {
    const std::string_view option = option_granting(violation.missing);
    text += fmt::format(
        "  {} ×{} ({}): it may not {}{}\n", violation.call, violation.count, text_arguments(violation),
        violation.missing == Right::Never ? "make this call, by any policy" : right_name(violation.missing),
        option.empty() ? "" : fmt::format("; {} would grant it", option));
  }
  return text;
}

std::string_view end_name(Outcome::End end) {
  switch (end) {
    case Outcome::End::Exited: return "exited";
    case Outcome::End::Signalled: return "signalled";
    case Outcome::End::LimitExceeded: return "limit-exceeded";
    case Outcome::End::Violation: return "violation";
    case Outcome::End::Killed: return "killed";
  }
  return "";
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                          "_./=:,+@%-") == std::string::npos;
  if (plain) return word;
  std::string text = "'";
  for (const char character : word)
    text += character == '\'' ? std::string("'\\''") : std::string(1, character);
  return text + "'";
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::Ok: return "OK";
    case Verdict::InternalError: return "internal error";
    case Verdict::RuntimeError: return "runtime error";
    case Verdict::TimeLimit: return "time limit";
    case Verdict::MemoryLimit: return "memory limit";
    case Verdict::OutputLimit: return "output limit";
    case Verdict::Violation: return "violation";
  }
  return "";
}

Verdict verdict_of(const Outcome& outcome) {
  switch (outcome.end) {
    case Outcome::End::Exited: return outcome.status == 0 ? Verdict::Ok : Verdict::RuntimeError;
    case Outcome::End::Signalled: return Verdict::RuntimeError;
    case Outcome::End::Violation: return Verdict::Violation;
    case Outcome::End::Killed: return Verdict::InternalError;
    case Outcome::End::LimitExceeded: break;
  }
  switch (outcome.limit.value()) {
    case sandbox::LimitKind::ProcessorTime:
    case sandbox::LimitKind::WallTime: return Verdict::TimeLimit;
    case sandbox::LimitKind::Memory: return Verdict::MemoryLimit;
    case sandbox::LimitKind::Output: return Verdict::OutputLimit;
  }
  return Verdict::InternalError;
}

std::string_view option_granting(Right right) {
  switch (right) {
    case Right::Files: return "--ro PATH";
    case Right::ChangeFiles: return "--rw PATH or --tmp SIZE";
    case Right::MapFiles:
    case Right::ExecutableMemory: return "--jit";
    case Right::Processes: return "--processes N";
    case Right::Programs: return "--exec";
    case Right::Loopback: return "--net loopback";
    case Right::LargeMemory: return "--memory SIZE";
    case Right::Compute:
    case Right::SignalOthers:
    case Right::Sessions:
    case Right::Never: return "";
  }
  return "";
}

std::string one_line(const Outcome& outcome) {
  std::string text(verdict_name(verdict_of(outcome)));
  if (outcome.limit) text += fmt::format(" ({})", limit_name(*outcome.limit));
  if (outcome.end == Outcome::End::Signalled) text += fmt::format(" ({})", signal_name(outcome.signal));
  if (outcome.end == Outcome::End::Exited) text += fmt::format(" (status {})", outcome.status);
  if (outcome.end == Outcome::End::Violation && !outcome.violations.empty()) {
    text += fmt::format(" ({})", outcome.violations.back().call);
  }
  if (outcome.end != Outcome::End::Violation && outcome.violation_count != 0) {
    text += fmt::format(", {} denied calls, the first: {}", outcome.violation_count,
                        outcome.violations.front().call);
  }
  return text;
}

std::string text_report(const Outcome& outcome) {
  const sandbox::Usage& usage = outcome.usage;
  std::string text =
      fmt::format("verdict: {}\ncpu time: {:.3f} s\nwall time: {:.3f} s\npeak memory: {:.1f} MiB\n",
                  one_line(outcome), seconds(usage.processor_time), seconds(usage.wall_time),
                  static_cast<double>(usage.peak_memory) / (1 << 20));
  if (usage.output != 0) text += fmt::format("counted output: {} bytes\n", usage.output);
  text += fmt::format("denied calls: {}\n{}guarantees:\n{}", outcome.violation_count,
                      text_violations(outcome), text_assurances(outcome.assurances));
  return text;
}

std::string json_report(const Outcome& outcome) {
  ordered_json report;
  report["verdict"] = verdict_name(verdict_of(outcome));
  report["end"] = end_name(outcome.end);
  report["exit_status"] = outcome.end == Outcome::End::Exited ? ordered_json(outcome.status) : ordered_json();
  report["signal"] = outcome.signal != 0 ? ordered_json(signal_name(outcome.signal)) : ordered_json();
  report["limit"] = outcome.limit ? ordered_json(limit_name(*outcome.limit)) : ordered_json();
  report["cpu_seconds"] = seconds(outcome.usage.processor_time);
  report["wall_seconds"] = seconds(outcome.usage.wall_time);
  report["peak_memory_bytes"] = outcome.usage.peak_memory;
  report["output_bytes"] = outcome.usage.output;
  report["denied_call_count"] = outcome.violation_count;
  ordered_json& denied = report["denied_calls"] = ordered_json::array();
  for (const sandbox::Violation& violation : outcome.violations) {
    ordered_json arguments = ordered_json::array();
    for (const uint64_t argument : violation.arguments) arguments.push_back(fmt::format("{:#x}", argument));
    const std::string_view option = option_granting(violation.missing);
    denied.push_back({{"call", violation.call},
                      {"arguments", arguments},
                      {"count", violation.count},
                      {"missing_right", right_name(violation.missing)},
                      {"granted_by", option.empty() ? ordered_json() : ordered_json(option)}});
  }
  report["guarantees"] = json_assurances(outcome.assurances);
  // What a program made of no UTF-8 cannot stop a report.
  return report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string json_failure(const Error& error) {
  const ordered_json report = {{"verdict", verdict_name(Verdict::InternalError)}, {"error", error.message()}};
  return report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string text_explanation(const BoxOptions& options, const sandbox::Explanation& explanation) {
  std::string text = fmt::format("program: {}\nfiles:\n", explanation.program);
  for (const sandbox::PathGrant& grant : explanation.grants) {
    text += fmt::format("  {:<10} {}{}\n",
                        fmt::format("{}{}", grant.rights == sandbox::PathRights::Read ? "read" : "read,write",
                                    grant.execute ? ",exec" : ""),
                        grant.path,
                        grant.directory >= 0   ? "  (a directory by token)"
                        : grant.reason.empty() ? ""
                                               : fmt::format("  ({}, not named)", grant.reason));
  }
  text += "  /dev/null, zero, full, random, urandom\n";
  if (options.temporary) text += fmt::format("  read,write /tmp, its own, {} bytes\n", *options.temporary);
  text += fmt::format("network: {}\nother programs: {}\nprocesses and threads: {}\n",
                      options.loopback ? "a loopback interface of its own" : "none",
                      options.exec ? "yes" : "no", options.limits.processes);
  return text + "guarantees, and what each rests on here:\n" + text_assurances(explanation.assurances);
}

std::string json_explanation(const sandbox::Explanation& explanation) {
  ordered_json report;
  report["program"] = explanation.program;
  ordered_json& grants = report["grants"] = ordered_json::array();
  for (const sandbox::PathGrant& grant : explanation.grants) {
    grants.push_back({{"path", grant.path},
                      {"write", grant.rights == sandbox::PathRights::ReadWrite},
                      {"execute", grant.execute},
                      {"implicit", grant.reason.empty() ? ordered_json() : ordered_json(grant.reason)}});
  }
  report["guarantees"] = json_assurances(explanation.assurances);
  return report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string learned_options(const BoxOptions& options, const Outcome& outcome,
                            const std::vector<sandbox::PathGrant>& granted,
                            const std::string& working_directory) {
  std::set<std::string> lacked;
  for (const sandbox::PathRequest& request : outcome.paths) {
    std::filesystem::path path = request.path;
    if (path.is_relative()) path = working_directory / path;
    std::error_code error;
    const bool there = std::filesystem::exists(path, error);
    // Who makes a file needs its directory.
    if (request.write) path = path.parent_path();
    if (!there && !(request.write && std::filesystem::exists(path, error))) continue;
    const std::string real = std::filesystem::canonical(path, error).string();
    if (error || real == "/") continue;
    const bool held = std::ranges::any_of(granted, [&](const sandbox::PathGrant& grant) {
      return sandbox::is_beneath(real, grant.path) &&
             (!request.write || grant.rights == sandbox::PathRights::ReadWrite);
    });
    if (!held && !real.starts_with("/dev/") && !real.starts_with("/proc/")) {
      lacked.insert(fmt::format("--{} {}", request.write ? "rw" : "ro", quoted(real)));
    }
  }
  for (const sandbox::Violation& violation : outcome.violations) {
    switch (violation.missing) {
      case Right::Processes: lacked.insert("--processes 16"); break;
      case Right::Programs: lacked.insert("--exec"); break;
      case Right::MapFiles:
      case Right::ExecutableMemory: lacked.insert("--jit"); break;
      case Right::Loopback: lacked.insert("--net loopback"); break;
      case Right::ChangeFiles: lacked.insert("--tmp 64M"); break;
      case Right::LargeMemory:
        lacked.insert(fmt::format("--memory {}M", std::max<uint64_t>(violation.arguments[1] >> 19, 1)));
        break;
      default: break;
    }
  }
  std::string text = fmt::format("# verdict: {}\n", one_line(outcome));
  for (const sandbox::Violation& violation : outcome.violations) {
    if (option_granting(violation.missing).empty())
      text += fmt::format("# no option grants {}\n", violation.call);
  }
  if (lacked.empty()) return text + "# it lacked nothing that can be granted\n";
  text += "# it lacked (read before you grant):\nvitrine box";
  for (const std::string& option : lacked) text += fmt::format(" {}", option);
  text += " …";
  for (const std::string& word : options.program)
    text += fmt::format(" {}", word == options.program.front() ? "-- " + quoted(word) : quoted(word));
  return text + "\n# … is what you had\n";
}

}  // namespace vitrine::cli

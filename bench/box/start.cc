// What starting a box costs a program that runs already, beside what it is made of: a bare start of the same
// program, its namespaces alone, with nothing set up in them, and with the box's mounts, which is what the
// kernel takes for them however they are asked for. Rounds are interleaved; the median counts.
//
// usage: box_start [ROUNDS] [MECHANISM…]    (behaves as on a host without those mechanisms)
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "sandbox/child.h"
#include "sandbox/file_view.h"
#include "sandbox/kernel_calls.h"
#include "sandbox/mount_steps.h"
#include "sandbox/program_file.h"

namespace {

using namespace vitrine;
using Clock = std::chrono::steady_clock;

constexpr const char* kProgram = "/usr/bin/true";

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

bool wait_for(long pid) {
  int status = 0;
  return pid > 0 && ::waitpid(static_cast<pid_t>(pid), &status, 0) == pid && status == 0;
}

void execute() {
  char* const words[] = {const_cast<char*>(kProgram), nullptr};
  ::execv(kProgram, words);
  ::_exit(127);
}

bool start_bare() {
  const pid_t pid = ::vfork();
  if (pid == 0) execute();
  return wait_for(pid);
}

constexpr unsigned long kNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;

/// The two processes of a box in the namespaces of a box, and nothing else.
bool start_in_namespaces() {
  unsigned long flags = kNamespaces | CLONE_NEWNET;
  if (::geteuid() != 0) flags |= CLONE_NEWUSER;
  const long first = sandbox::clone_process(flags, nullptr);
  if (first == 0) {
    const long program = sandbox::clone_process(SIGCHLD, nullptr);
    if (program == 0) execute();
    ::_exit(wait_for(program) ? 0 : 1);
  }
  return wait_for(first);
}

std::vector<sandbox::MountStep> mounts_of_a_box() {
  const auto program = sandbox::find_program({kProgram}, "");
  if (!program) return {};
  auto view = sandbox::plan_file_view(sandbox::Policy::compute_only(), *program, "/", true);
  return view ? std::move(view->steps) : std::vector<sandbox::MountStep>{};
}

/// And its mounts, made while the network namespace is, as a box makes them. As root.
bool start_with_mounts(const std::vector<sandbox::MountStep>& steps) {
  const long first = sandbox::clone_process(kNamespaces, nullptr);
  if (first == 0) {
    int gate[2];
    if (::pipe2(gate, O_CLOEXEC) != 0) ::_exit(1);
    const long program = sandbox::clone_process(SIGCHLD, nullptr);
    if (program == 0) {
      char byte = 0;
      if (::unshare(CLONE_NEWNET) == 0 && ::read(gate[0], &byte, 1) == 1 && ::chdir("/") == 0) execute();
      ::_exit(126);
    }
    const bool mounted =
        sandbox::enter_new_root(steps, -1, 0).error == 0 && sandbox::leave_old_root().error == 0;
    if (!mounted || ::write(gate[1], "", 1) != 1) ::_exit(1);
    ::_exit(wait_for(program) ? 0 : 1);
  }
  return wait_for(first);
}

struct Row {
  const char* name;
  std::function<bool()> start;
  std::vector<double> taken = {};  ///< Milliseconds.
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** words) {
  const int rounds = count > 1 ? std::max(1, std::atoi(words[1])) : 50;
  std::vector<sandbox::Mechanism> without;
  for (int i = 2; i < count; ++i) {
    const auto mechanism = sandbox::mechanism_from_name(words[i]);
    if (!mechanism) {
      fmt::print(stderr, "box_start: there is no mechanism {}\n", words[i]);
      return 2;
    }
    without.push_back(*mechanism);
  }
  std::vector<double> until_started;
  const auto start_box = [&] {
    const Clock::time_point start = Clock::now();
    auto child =
        sandbox::Child::spawn(sandbox::Policy::compute_only(), {.arguments = {kProgram}, .without = without});
    until_started.push_back(milliseconds(Clock::now() - start));
    if (!child) fmt::print(stderr, "box_start: {}\n", child.error().message());
    return child && child->wait().has_value();
  };
  const auto steps = mounts_of_a_box();
  std::vector<Row> rows = {{"bare fork and exec", start_bare},
                           {"namespaces alone", start_in_namespaces},
                           {"namespaces and mounts", [&] { return start_with_mounts(steps); }},
                           {"Child::spawn and wait", start_box}};
  // A user needs maps for that, which are the box's business.
  if (::geteuid() != 0) rows.erase(rows.begin() + 2);
  for (int round = 0; round < rounds; ++round) {
    for (Row& row : rows) {
      const Clock::time_point start = Clock::now();
      if (!row.start()) {
        fmt::print(stderr, "box_start: {} does not work here\n", row.name);
        return 1;
      }
      row.taken.push_back(milliseconds(Clock::now() - start));
    }
  }
  const double bare = median(rows[0].taken);
  for (const Row& row : rows) {
    const double taken = median(row.taken);
    fmt::print("start {:<22} {:6.2f} ms   +{:.2f} ms   (least {:.2f})\n", row.name, taken, taken - bare,
               std::ranges::min(row.taken));
  }
  fmt::print("start {:<22} {:6.2f} ms\n", "Child::spawn alone", median(until_started));
  return 0;
}

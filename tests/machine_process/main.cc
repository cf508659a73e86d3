// A machine whose guest is replaced by hostile code: `machine_attack [--without MECHANISM]… RUN-OPTION… --
// ATTACK [ARGUMENT…]`. Everything before that is what `vitrine run` does.
#include <cstdio>
#include <span>
#include <string_view>
#include <vector>

#include "attacks.h"
#include "cli/machine_process.h"
#include "sandbox/host_features.h"

int main(int count, char** words) {
  using namespace vitrine;
  std::vector<std::string_view> run;
  cli::MachineProcessOptions options;
  int at = 1;
  for (; at < count && std::string_view(words[at]) != "--"; ++at) {
    if (std::string_view(words[at]) != "--without") {
      run.emplace_back(words[at]);
      continue;
    }
    const auto mechanism = at + 1 < count ? sandbox::mechanism_from_name(words[++at]) : std::nullopt;
    if (!mechanism) return std::fprintf(stderr, "no such mechanism\n"), 98;
    options.without.push_back(*mechanism);
  }
  if (at == count) return std::fprintf(stderr, "no attack\n"), 98;
  const std::span<char*> attack(words + at + 1, words + count);
  options.instead_of_guest = [attack] { return tests::attack(attack); };
  return cli::run_command(run, options);
}

// Random changes of page tables under every shadow policy and view: see page_table_fuzzer.h.
//
//   page_table_fuzz [--processors 1|2] [--steps N] [--seed N] --rounds N | --seconds S
//
// A round is a new guest: page tables with and without PAE, a policy, one or two windows, little or much
// memory for them. Each is a function of its number, so that one that failed can be repeated (--seed).
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "engines/page_table_fuzzer.h"

namespace vitrine::engines {
namespace {

using paging::ShadowPolicy, paging::ShadowViews;

struct Arguments {
  unsigned processors = 1;
  uint64_t rounds = 0, seconds = 0, seed = 1, steps = 1500;
};

bool parse(int count, char** words, Arguments& arguments) {
  const auto number = [&](std::string_view text, auto& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
  };
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = words[i];
    const std::string_view value = words[i + 1];
    const bool known = (name == "--processors" && number(value, arguments.processors)) ||
                       (name == "--rounds" && number(value, arguments.rounds)) ||
                       (name == "--seconds" && number(value, arguments.seconds)) ||
                       (name == "--steps" && number(value, arguments.steps)) ||
                       (name == "--seed" && number(value, arguments.seed));
    if (!known) return false;
  }
  return count % 2 == 1 && (arguments.processors == 1 || arguments.processors == 2) &&
         (arguments.rounds != 0 || arguments.seconds != 0);
}

// Every seventh round is the interpreter's.
struct Round {
  explicit Round(uint64_t number) {
    const auto choice = static_cast<unsigned>(number % 7);
    interpreted = choice == 6;
    shadow.policy = static_cast<ShadowPolicy>(choice / 2 % 3);
    shadow.views = choice % 2 == 1 ? ShadowViews::One : ShadowViews::Two;
    format = number / 7 % 2 == 0 ? TableFormat::Legacy : TableFormat::Pae;
    shadow.most_spaces = number / 14 % 2 == 0 ? 3 : 64;
    shadow.mapping_budget = number / 28 % 4 == 3 ? 40 : 4000;
    shadow.table_patience = 1u << number / 14 % 8;
  }
  [[nodiscard]] std::string name() const {
    constexpr std::array<const char*, 3> kPolicies = {"ondemand", "proactive", "unsync"};
    if (interpreted) return "interpreted";
    return fmt::format("{}, {}, {} spaces, {} mappings", kPolicies[static_cast<size_t>(shadow.policy)],
                       shadow.views == ShadowViews::One ? "one view" : "two views", shadow.most_spaces,
                       shadow.mapping_budget);
  }

  bool interpreted = false;
  TableFormat format = TableFormat::Legacy;
  paging::ShadowSpaces::Options shadow;
};

bool run_round(const Arguments& arguments, uint64_t number, FuzzerCounts& total,
               std::array<uint64_t, 3>& shadow_counts) {
  const Round round(number);
  PagingGuest::Options options{.processors = arguments.processors, .format = round.format};
  if (!round.interpreted) {
    options.engine.emplace();
    options.engine->shadow = round.shadow;
    options.engine->code_size = size_t{1} << 20;
  }
  PageTableFuzzer fuzzer(options, number);
  bool right = true;
  for (uint64_t i = 0; right && i < arguments.steps; ++i) right = fuzzer.step();
  const FuzzerCounts& counts = fuzzer.counts();
  total.steps += counts.steps;
  total.accesses += counts.accesses;
  total.faults += counts.faults;
  total.edits += counts.edits;
  total.stale += counts.stale;
  for (unsigned i = 0; !round.interpreted && i < arguments.processors; ++i) {
    const paging::ShadowCounters& shadow = fuzzer.guest().engine(i)->shadow_counters();
    shadow_counts[0] += shadow.hidden_faults;
    shadow_counts[1] += shadow.table_writes;
    shadow_counts[2] += shadow.tables_released;
  }
  if (!right) {
    fmt::print("round {} ({}, {}): {}\n", number, round.name(),
               round.format == TableFormat::Pae ? "PAE" : "32-bit", fuzzer.complaint());
  }
  return right;
}

int fuzz(const Arguments& arguments) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.seconds);
  FuzzerCounts total;
  std::array<uint64_t, 3> shadow{};
  uint64_t round = 0;
  bool right = true;
  for (;
       right && (arguments.seconds != 0 ? std::chrono::steady_clock::now() < end : round < arguments.rounds);
       ++round)
    right = run_round(arguments, arguments.seed + round, total, shadow);
  fmt::print(
      "{} processors, {} rounds, {} steps: {} edits, {} accesses ({} by stale translations, {} faults)\n",
      arguments.processors, round, total.steps, total.edits, total.accesses, total.stale, total.faults);
  fmt::print("{} fills, {} writes to protected tables, {} tables released\n", shadow[0], shadow[1],
             shadow[2]);
  return right ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace vitrine::engines

int main(int count, char** words) {
  vitrine::engines::Arguments arguments;
  if (!vitrine::engines::parse(count, words, arguments)) {
    fmt::print(stderr, "usage: {} [--processors 1|2] [--steps N] [--seed N] --rounds N | --seconds S\n",
               words[0]);
    return 2;
  }
  return vitrine::engines::fuzz(arguments);
}

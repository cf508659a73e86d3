// Random changes of page tables under every shadow policy and view: see page_table_fuzzer.h.
//
//   page_table_fuzz [--processors 1|2 | --concurrent] [--steps N] [--seed N] --rounds N | --seconds S
//
// Processors take turns; --concurrent: two run at the same time (concurrent_fuzzer.h), N phases instead of
// steps. A round is a new guest: page tables with and without PAE, a policy, one or two windows, little or
// much memory for them. Each is a function of its number, so that one that failed can be repeated (--seed).
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "engines/concurrent_fuzzer.h"
#include "engines/page_table_fuzzer.h"

namespace vitrine::engines {
namespace {

using paging::ShadowPolicy, paging::ShadowViews;

struct Arguments {
  unsigned processors = 1;
  bool concurrent = false;
  uint64_t rounds = 0, seconds = 0, seed = 1, steps = 0;
};

bool parse(int count, char** words, Arguments& arguments) {
  const auto number = [&](std::string_view text, auto& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
  };
  int i = 1;
  for (; i < count; i += 2) {
    const std::string_view name = words[i];
    if (name == "--concurrent") {
      arguments.concurrent = true;
      --i;
      continue;
    }
    const std::string_view value = i + 1 < count ? words[i + 1] : "";
    const bool known = (name == "--processors" && number(value, arguments.processors)) ||
                       (name == "--rounds" && number(value, arguments.rounds)) ||
                       (name == "--seconds" && number(value, arguments.seconds)) ||
                       (name == "--steps" && number(value, arguments.steps)) ||
                       (name == "--seed" && number(value, arguments.seed));
    if (!known) return false;
  }
  if (arguments.steps == 0) arguments.steps = arguments.concurrent ? 150 : 1500;
  return (arguments.processors == 1 || arguments.processors == 2) &&
         (arguments.rounds != 0 || arguments.seconds != 0);
}

// Every seventh round is the interpreter's, which runs one processor at a time.
struct Round {
  Round(uint64_t number, bool concurrent) {
    const auto choice = static_cast<unsigned>(number % 7);
    interpreted = choice == 6 && !concurrent;
    shadow.policy = static_cast<ShadowPolicy>(choice / 2 % 3);
    shadow.views = choice % 2 == 1 ? ShadowViews::One : ShadowViews::Two;
    format = number / 7 % 2 == 0 ? TableFormat::Legacy : TableFormat::Pae;
    shadow.most_spaces = number / 14 % 2 == 0 ? 3 : 64;
    shadow.mapping_budget = number / 28 % 4 == 3 ? 40 : 4000;
    shadow.table_patience = 1u << number / 14 % 8;
    fills = number % 3 == 0 ? paging::ShadowFills::First : paging::ShadowFills::Again;
    faults_to_be_slow = number % 2 == 0 ? 1 : 8;
  }
  [[nodiscard]] std::string name() const {
    constexpr std::array<const char*, 3> kPolicies = {"ondemand", "proactive", "unsync"};
    if (interpreted) return "interpreted";
    return fmt::format("{}, {}, {} spaces, {} mappings, {} fills, slow after {}",
                       kPolicies[static_cast<size_t>(shadow.policy)],
                       shadow.views == ShadowViews::One ? "one view" : "two views", shadow.most_spaces,
                       shadow.mapping_budget, fills == paging::ShadowFills::First ? "first" : "again",
                       faults_to_be_slow);
  }

  bool interpreted = false;
  TableFormat format = TableFormat::Legacy;
  paging::ShadowSpaces::Options shadow;
  paging::ShadowFills fills = paging::ShadowFills::Again;
  uint32_t faults_to_be_slow = 8;
};

PagingGuest::Options options_of(const Round& round, unsigned processors) {
  PagingGuest::Options options{.processors = processors, .format = round.format};
  if (round.interpreted) return options;
  options.engine.emplace();
  options.engine->shadow = round.shadow;
  options.engine->fills = round.fills;
  options.engine->faults_to_be_slow = round.faults_to_be_slow;
  options.engine->code_size = size_t{1} << 20;
  return options;
}

void complain(const Round& round, uint64_t number, const std::string& complaint) {
  fmt::print("round {} ({}, {}): {}\n", number, round.name(),
             round.format == TableFormat::Pae ? "PAE" : "32-bit", complaint);
}

bool run_round(const Arguments& arguments, uint64_t number, FuzzerCounts& total,
               std::array<uint64_t, 3>& shadow_counts) {
  const Round round(number, false);
  PageTableFuzzer fuzzer(options_of(round, arguments.processors), number);
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
  if (!right) complain(round, number, fuzzer.complaint());
  return right;
}

bool run_concurrent_round(const Arguments& arguments, uint64_t number, ConcurrentCounts& total) {
  const Round round(number, true);
  ConcurrentFuzzer fuzzer(options_of(round, 2), number);
  bool right = true;
  for (uint64_t i = 0; right && i < arguments.steps; ++i) right = fuzzer.phase();
  const ConcurrentCounts& counts = fuzzer.counts();
  total.phases += counts.phases;
  total.stores += counts.stores;
  total.accesses += counts.accesses;
  total.faults += counts.faults;
  total.mixed += counts.mixed;
  if (!right) complain(round, number, fuzzer.complaint());
  return right;
}

int fuzz(const Arguments& arguments) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.seconds);
  FuzzerCounts total;
  ConcurrentCounts concurrent;
  std::array<uint64_t, 3> shadow{};
  uint64_t round = 0;
  bool right = true;
  for (;
       right && (arguments.seconds != 0 ? std::chrono::steady_clock::now() < end : round < arguments.rounds);
       ++round) {
    const uint64_t number = arguments.seed + round;
    right = arguments.concurrent ? run_concurrent_round(arguments, number, concurrent)
                                 : run_round(arguments, number, total, shadow);
  }
  if (arguments.concurrent) {
    fmt::print(
        "2 processors at once, {} rounds, {} phases: {} stores to tables, {} accesses ({} with several "
        "right outcomes), {} faults\n",
        round, concurrent.phases, concurrent.stores, concurrent.accesses, concurrent.mixed,
        concurrent.faults);
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
  }
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
    fmt::print(
        stderr,
        "usage: {} [--processors 1|2 | --concurrent] [--steps N] [--seed N] --rounds N | --seconds S\n",
        words[0]);
    return 2;
  }
  return vitrine::engines::fuzz(arguments);
}

#include "sandbox/filter_code.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>

#include "base/check.h"

namespace vitrine::sandbox {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kNoCall = 0xffffffff;  ///< What a tracer puts where a call was taken away (ptrace(2)).
constexpr unsigned kFarthest = 255;       ///< A conditional jump's reach.

/// What is left of a rule once some of its conditions have been looked at. Memory is what takes longest here
/// (each page of it a fault, in every start), so nothing is copied that can be pointed to.
struct Row {
  uint32_t action;
  std::span<const Condition> conditions;  ///< Of the rule, which outlives this.
};

/// A program that is written from its end to its start, so that a jump knows how far its target is. A label
/// is the number of instructions from there to the end.
class Assembler {
 public:
  using Label = size_t;

  Label statement(uint16_t code, uint32_t value) { return add({code, 0, 0, value}); }

  Label answer(uint32_t action) {
    const auto known = std::ranges::find(answers_, action, &Answer::action);
    if (known == answers_.end()) {
      answers_.push_back({action, statement(BPF_RET | BPF_K, action)});
      return answers_.back().label;
    }
    if (here() - known->label >= kFarthest / 2) known->label = statement(BPF_RET | BPF_K, action);
    return known->label;
  }

  Label jump(uint16_t test, uint32_t value, Label yes, Label no) {
    // Two steps in between, at most, are for targets that are out of reach.
    if (distance(yes) > kFarthest - 2)
      yes = statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(yes)));
    if (distance(no) > kFarthest - 2) no = statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(no)));
    return add({static_cast<uint16_t>(BPF_JMP | BPF_K | test), static_cast<uint8_t>(distance(yes)),
                static_cast<uint8_t>(distance(no)), value});
  }

  /// The next instruction that is written goes on at `label`.
  void go_on_at(Label label) {
    if (label != here()) statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(label)));
  }

  Label load(size_t offset) { return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }

  std::vector<sock_filter> finish() && {
    std::ranges::reverse(code_);
    CHECK(code_.size() <= BPF_MAXINSNS);
    return std::move(code_);
  }

 private:
  struct Answer {
    uint32_t action;
    Label label;  ///< The latest.
  };

  [[nodiscard]] Label here() const { return code_.size(); }
  /// From the instruction that is written next.
  [[nodiscard]] size_t distance(Label label) const { return here() - label; }
  Label add(sock_filter instruction) {
    code_.push_back(instruction);
    return here();
  }

  std::vector<sock_filter> code_;
  std::vector<Answer> answers_;
};

using Label = Assembler::Label;

/// Where a value leads: an action answers at once, a label goes on.
struct Way {
  enum class Kind : uint8_t { Answer, GoOn };
  Kind kind;
  uint32_t to;

  static Way answer(uint32_t action) { return {Kind::Answer, action}; }
  static Way go_on(Label label) { return {Kind::GoOn, static_cast<uint32_t>(label)}; }
  bool operator==(const Way&) const = default;
};

/// Values from `first` up to the next leaf's.
struct Leaf {
  uint32_t first;
  uint32_t weight;  ///< How much it matters that the way here is short.
  Way way;
};

size_t offset_of(const Condition& condition, bool high) {
  return offsetof(seccomp_data, args) + condition.argument * sizeof(uint64_t) + (high ? sizeof(uint32_t) : 0);
}

class Generator {
 public:
  Generator(const FilterActions& actions, size_t most_calls) : actions_(actions) {
    calls_.reserve(most_calls);
  }

  /// To be called in the order of their numbers.
  void add_call(uint32_t number, std::span<const Row> rows) {
    // Whatever else there is, one without a condition answers.
    const auto always =
        std::find_if(rows.rbegin(), rows.rend(), [](const Row& row) { return row.conditions.empty(); });
    if (always != rows.rend()) {
      // The kernel remembers these, and runs no filter for them.
      calls_.push_back({number, 1, Way::answer(always->action)});
    } else {
      constexpr uint32_t kConditional = 64;
      calls_.push_back({number, kConditional, Way::go_on(any_of(rows, code_.answer(actions_.otherwise)))});
    }
  }

  std::vector<sock_filter> finish() && {
    const Label tree = search(with_gaps(calls_, Way::answer(actions_.otherwise)));
    const Label x32 =
        code_.jump(BPF_JEQ, kNoCall, code_.answer(actions_.otherwise), code_.answer(actions_.other_entry));
    code_.jump(BPF_JGE, kX32Bit, x32, tree);
    const Label number = code_.load(offsetof(seccomp_data, nr));
    code_.jump(BPF_JEQ, AUDIT_ARCH_X86_64, number, code_.answer(actions_.other_entry));
    code_.load(offsetof(seccomp_data, arch));
    return std::move(code_).finish();
  }

 private:
  /// The accumulator holds nothing that is relied on; the first row that fits answers.
  Label any_of(std::span<const Row> rows, Label otherwise) {
    if (rows.empty()) return otherwise;
    if (rows.front().conditions.empty()) return code_.answer(rows.front().action);
    if (const size_t same = by_one_value(rows); same >= 3) {
      return by_value(rows.first(same), any_of(rows.subspan(same), otherwise));
    }
    const Label next = any_of(rows.subspan(1), otherwise);
    Label yes = code_.answer(rows.front().action);
    const std::span<const Condition> conditions = rows.front().conditions;
    for (auto condition = conditions.rbegin(); condition != conditions.rend(); ++condition) {
      yes = test(*condition, yes, next);
    }
    return yes;
  }

  /// How many rows from the first on ask whether the low half of one argument is some value.
  static size_t by_one_value(std::span<const Row> rows) {
    size_t count = 0;
    for (const Row& row : rows) {
      if (row.conditions.empty()) break;
      const Condition& condition = row.conditions.front();
      if (condition.test != Test::MaskedEqual || condition.mask != 0xffffffff ||
          condition.argument != rows.front().conditions.front().argument) {
        break;
      }
      ++count;
    }
    return count;
  }

  Label by_value(std::span<const Row> rows, Label otherwise) {
    const auto value_of = [](const Row& row) { return static_cast<uint32_t>(row.conditions.front().value); };
    std::vector<Row> sorted(rows.begin(), rows.end());
    std::ranges::stable_sort(sorted, {}, value_of);
    std::vector<Leaf> leaves;
    for (auto row = sorted.begin(); row != sorted.end();) {
      const uint32_t value = value_of(*row);
      const auto end =
          std::find_if(row, sorted.end(), [&](const Row& other) { return value_of(other) != value; });
      std::vector<Row> rest;
      for (; row != end; ++row) rest.push_back({row->action, row->conditions.subspan(1)});
      if (rest.front().conditions.empty()) {
        leaves.push_back({value, 1, Way::answer(rest.front().action)});
      } else {
        leaves.push_back({value, 1, Way::go_on(any_of(rest, otherwise))});
      }
    }
    code_.go_on_at(search(with_gaps(leaves, Way::go_on(otherwise))));
    return code_.load(offset_of(rows.front().conditions.front(), false));
  }

  Label test(const Condition& condition, Label yes, Label no) {
    const auto low = static_cast<uint32_t>(condition.value);
    const auto high = static_cast<uint32_t>(condition.value >> 32);
    if (condition.test == Test::NotAbove) {
      const Label lower = half(condition, false, BPF_JGT, low, no, yes);
      const Label equal = code_.jump(BPF_JEQ, high, lower, yes);
      code_.jump(BPF_JGT, high, no, equal);
      return code_.load(offset_of(condition, true));
    }
    const uint64_t mask = condition.test == Test::Equal ? ~uint64_t{0} : condition.mask;
    CHECK((condition.value & ~mask) == 0);
    if (mask >> 32 != 0) yes = masked(condition, true, static_cast<uint32_t>(mask >> 32), high, yes, no);
    return masked(condition, false, static_cast<uint32_t>(mask), low, yes, no);
  }

  Label masked(const Condition& condition, bool is_high, uint32_t mask, uint32_t value, Label yes, Label no) {
    if (mask == 0xffffffff) return half(condition, is_high, BPF_JEQ, value, yes, no);
    if (value == 0) return half(condition, is_high, BPF_JSET, mask, no, yes);
    if (value == mask && std::has_single_bit(mask)) return half(condition, is_high, BPF_JSET, mask, yes, no);
    code_.jump(BPF_JEQ, value, yes, no);
    code_.statement(BPF_ALU | BPF_AND | BPF_K, mask);
    return code_.load(offset_of(condition, is_high));
  }

  Label half(const Condition& condition, bool is_high, uint16_t test, uint32_t value, Label yes, Label no) {
    code_.jump(test, value, yes, no);
    return code_.load(offset_of(condition, is_high));
  }

  /// With what lies between; neighbours that are answered alike become one.
  static std::vector<Leaf> with_gaps(std::span<const Leaf> leaves, Way gap) {
    std::vector<Leaf> all;
    all.reserve(leaves.size());
    const auto add = [&](const Leaf& leaf) {
      if (all.empty() || all.back().way != leaf.way) all.push_back(leaf);
    };
    uint64_t next = 0;
    for (const Leaf& leaf : leaves) {
      if (leaf.first > next) add({static_cast<uint32_t>(next), 1, gap});
      add(leaf);
      next = uint64_t{leaf.first} + 1;
    }
    if (next <= 0xffffffff) add({static_cast<uint32_t>(next), 1, gap});
    return all;
  }

  /// The accumulator holds the value that is looked for.
  Label search(std::span<const Leaf> leaves) {
    if (const Leaf& leaf = leaves.front(); leaves.size() == 1) {
      return leaf.way.kind == Way::Kind::Answer ? code_.answer(leaf.way.to) : leaf.way.to;
    }
    unsigned total = 0;
    for (const Leaf& leaf : leaves) total += leaf.weight;
    size_t middle = 1;
    for (unsigned before = leaves.front().weight; middle + 1 < leaves.size(); ++middle) {
      if (2 * before + leaves[middle].weight > total) break;
      before += leaves[middle].weight;
    }
    const Label above = search(leaves.subspan(middle));
    const Label below = search(leaves.first(middle));
    return code_.jump(BPF_JGE, leaves[middle].first, above, below);
  }

  const FilterActions actions_;
  std::vector<Leaf> calls_;
  Assembler code_;
};

/// Those that are set.
std::span<const Condition> conditions_of(const FilterRule& rule) {
  const std::span<const Condition> all = rule.conditions;
  const bool first = all[0].test != Test::None, second = all[1].test != Test::None;
  return all.subspan(first ? 0 : 1, (first ? 1 : 0) + (second ? 1 : 0));
}

}  // namespace

std::vector<sock_filter> make_filter_code(std::span<const FilterRule> rules, const FilterActions& actions) {
  // By number, those of one number in their order.
  std::vector<uint16_t> order(rules.size());
  std::iota(order.begin(), order.end(), uint16_t{0});
  std::ranges::sort(order, {},
                    [&](uint16_t i) { return std::pair(static_cast<uint32_t>(rules[i].number), i); });
  Generator generator(actions, rules.size());
  std::vector<Row> rows;
  for (auto i = order.begin(); i != order.end();) {
    const int number = rules[*i].number;
    rows.clear();
    for (; i != order.end() && rules[*i].number == number; ++i)
      rows.push_back({rules[*i].action, conditions_of(rules[*i])});
    generator.add_call(static_cast<uint32_t>(number), rows);
  }
  return std::move(generator).finish();
}

}  // namespace vitrine::sandbox

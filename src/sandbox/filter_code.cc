#include "sandbox/filter_code.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"

namespace vitrine::sandbox {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kNoCall = 0xffffffff;  ///< What a tracer puts where a call was taken away (ptrace(2)).
constexpr unsigned kFarthest = 255;       ///< A conditional jump's reach.

/// What is left of a rule once some of its conditions have been looked at.
struct Row {
  uint32_t action;
  std::vector<Condition> conditions;
};

/// A program that is written from its end to its start, so that a jump knows how far its target is. A label
/// is the number of instructions from there to the end.
class Assembler {
 public:
  using Label = size_t;

  Label statement(uint16_t code, uint32_t value) { return add({code, 0, 0, value}); }

  Label answer(uint32_t action) {
    const auto known = answers_.find(action);
    if (known != answers_.end() && here() - known->second < kFarthest / 2) return known->second;
    return answers_[action] = statement(BPF_RET | BPF_K, action);
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
  [[nodiscard]] Label here() const { return code_.size(); }
  /// From the instruction that is written next.
  [[nodiscard]] size_t distance(Label label) const { return here() - label; }
  Label add(sock_filter instruction) {
    code_.push_back(instruction);
    return here();
  }

  std::vector<sock_filter> code_;
  std::map<uint32_t, Label> answers_;
};

using Label = Assembler::Label;

/// Values from `first` up to the next leaf's.
struct Leaf {
  uint64_t first;
  std::optional<uint32_t> action;  ///< Answered at once; otherwise `target` goes on.
  Label target = 0;
  unsigned weight = 1;  ///< How much it matters that the way here is short.

  [[nodiscard]] bool same_as(const Leaf& other) const {
    return action == other.action && (action || target == other.target);
  }
};

size_t offset_of(const Condition& condition, bool high) {
  return offsetof(seccomp_data, args) + condition.argument * sizeof(uint64_t) + (high ? sizeof(uint32_t) : 0);
}

class Generator {
 public:
  explicit Generator(const FilterActions& actions) : actions_(actions) {}

  std::vector<sock_filter> generate(const std::map<uint32_t, std::vector<Row>>& calls) && {
    std::vector<Leaf> leaves;
    for (const auto& [number, rows] : calls) {
      if (rows.front().conditions.empty()) {
        // The kernel remembers these, and runs no filter for them.
        leaves.push_back({number, rows.front().action});
      } else {
        constexpr unsigned kConditional = 64;
        leaves.push_back({number, {}, any_of(rows, code_.answer(actions_.otherwise)), kConditional});
      }
    }
    const Label tree = search(with_gaps(leaves, {0, actions_.otherwise}));
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
    const std::vector<Condition>& conditions = rows.front().conditions;
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
    std::map<uint32_t, std::vector<Row>> values;
    for (const Row& row : rows) {
      Row rest{row.action, {row.conditions.begin() + 1, row.conditions.end()}};
      values[static_cast<uint32_t>(row.conditions.front().value)].push_back(std::move(rest));
    }
    std::vector<Leaf> leaves;
    for (const auto& [value, rest] : values) {
      if (rest.front().conditions.empty()) {
        leaves.push_back({value, rest.front().action});
      } else {
        leaves.push_back({value, {}, any_of(rest, otherwise)});
      }
    }
    code_.go_on_at(search(with_gaps(leaves, {0, {}, otherwise})));
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
  static std::vector<Leaf> with_gaps(std::span<const Leaf> leaves, Leaf gap) {
    std::vector<Leaf> all;
    const auto add = [&](const Leaf& leaf) {
      if (all.empty() || !all.back().same_as(leaf)) all.push_back(leaf);
    };
    for (const Leaf& leaf : leaves) {
      if (leaf.first > gap.first) add(gap);
      add(leaf);
      gap.first = leaf.first + 1;
    }
    if (gap.first <= 0xffffffff) add(gap);
    return all;
  }

  /// The accumulator holds the value that is looked for.
  Label search(std::span<const Leaf> leaves) {
    if (const Leaf& leaf = leaves.front(); leaves.size() == 1) {
      return leaf.action ? code_.answer(*leaf.action) : leaf.target;
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
    return code_.jump(BPF_JGE, static_cast<uint32_t>(leaves[middle].first), above, below);
  }

  const FilterActions actions_;
  Assembler code_;
};

}  // namespace

std::vector<sock_filter> make_filter_code(std::vector<FilterRule> rules, const FilterActions& actions) {
  std::map<uint32_t, std::vector<Row>> calls;
  for (const FilterRule& rule : rules) {
    Row row{rule.action, {}};
    for (const Condition& condition : rule.conditions) {
      if (condition.test != Test::None) row.conditions.push_back(condition);
    }
    std::vector<Row>& rows = calls[static_cast<uint32_t>(rule.number)];
    // Whatever else there is, this one answers.
    if (row.conditions.empty()) rows.clear();
    if (rows.empty() || !rows.front().conditions.empty()) rows.push_back(std::move(row));
  }
  return Generator(actions).generate(calls);
}

}  // namespace vitrine::sandbox

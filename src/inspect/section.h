// What was counted, as a tree that parts fill and writers show: a snapshot, so that nothing that runs on is
// read twice. Keys are stable and documented in docs/counting.md; titles are for people.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace vitrine::inspect {

enum class Unit : uint8_t {
  Events,
  Bytes,
  Nanoseconds,
  Hundredths,  ///< Of one.
};

/// Time that was sampled (activity_sampler.h).
struct Spent {
  Nanoseconds time = 0;
  uint64_t samples = 0;  ///< That `time` rests on: its relative error is about 1/√samples.
};

struct Row {
  std::string key, title;
  uint64_t value = 0;
  Unit unit = Unit::Events;
  std::optional<Spent> spent = std::nullopt;  ///< On all these events together.
  bool counted = true;                        ///< False: only `spent` is known.
};

class Section {
 public:
  enum class Kind : uint8_t {
    Object,
    List,  ///< Its sections are of one kind and go by their place: an array in JSON.
    Line,  ///< For people one line: the first row, and what the others say of it.
  };

  Section(std::string key, std::string title, Kind kind = Kind::Object)
      : key_(std::move(key)), title_(std::move(title)), kind_(kind) {}

  void count(std::string_view key, std::string_view title, uint64_t events);
  void bytes(std::string_view key, std::string_view title, uint64_t bytes);
  void time(std::string_view key, std::string_view title, Nanoseconds time);
  /// `part` for each of `whole`; nothing where there is none.
  void average(std::string_view key, std::string_view title, uint64_t part, uint64_t whole);
  /// Events, and the time that all of them took; without `events` the time alone.
  void cost(std::string_view key, std::string_view title, std::optional<uint64_t> events, Spent spent);
  /// A part of this one. The reference is good as long as this object.
  Section& section(std::string_view key, std::string_view title, Kind kind = Kind::Object);

  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const std::string& title() const { return title_; }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] const std::deque<Section>& sections() const { return sections_; }
  /// Null: there is none.
  [[nodiscard]] const Row* find_row(std::string_view key) const;
  [[nodiscard]] const Section* find_section(std::string_view key) const;

 private:
  std::string key_, title_;
  Kind kind_;
  std::vector<Row> rows_;
  std::deque<Section> sections_;
};

/// A part that counts, and says what.
class CounterGroup {
 public:
  virtual ~CounterGroup() = default;
  /// Adds its rows. Nothing that it reads changes meanwhile, but SharedCounters and ActivityCells.
  virtual void report(Section& section) const = 0;
};

/// Lines for people: count, time, share and cost of each event. Rows without a title or events are left out.
[[nodiscard]] std::string to_table(const Section& report);
/// One JSON object and a line's end: each row is a number, or {"count", "ns", "samples"}.
[[nodiscard]] std::string to_json(const Section& report);

}  // namespace vitrine::inspect

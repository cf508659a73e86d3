#include "inspect/section.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vitrine::inspect {
namespace {

using testing::HasSubstr;
using testing::Not;

Section example() {
  Section report("root", "everything");
  report.count("version", "", 1);
  report.time("elapsed", "since the start", 2'500'000);
  Section& list = report.section("cpus", "processors", Section::Kind::List);
  for (const uint64_t n : {0, 1}) {
    Section& cpu = list.section("", n == 0 ? "first" : "second");
    cpu.cost("guest", "guest code", n == 0 ? 10 : 0, {.time = n == 0 ? 4'000u : 0u, .samples = n});
    cpu.cost("wait", "waiting", std::nullopt, {.time = 12'000, .samples = 3});
    cpu.bytes("size", "cache", 2048);
    cpu.average("mean", "for each", 10, 4);
  }
  Section& line = report.section("device", "uart", Section::Kind::Line);
  line.count("all", "accesses", 5);
  line.count("reads", "reads", 5);
  line.count("writes", "writes", 0);
  report.section("nothing", "a part without events").count("none", "never", 0);
  return report;
}

TEST(Section, JsonHasEveryRowUnderItsKey) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json, nlohmann::json::parse(R"({
    "version": 1, "elapsed": 2500000,
    "cpus": [{"guest": {"count": 10, "ns": 4000, "samples": 0}, "wait": {"ns": 12000, "samples": 3},
              "size": 2048, "mean": 2.5},
             {"guest": {"count": 0, "ns": 0, "samples": 1}, "wait": {"ns": 12000, "samples": 3},
              "size": 2048, "mean": 2.5}],
    "device": {"all": 5, "reads": 5, "writes": 0}, "nothing": {"none": 0}})"));
}

TEST(Section, TableShowsShareAndCostAndLeavesOutWhatNeverHappened) {
  const std::string table = to_table(example());
  EXPECT_THAT(table, HasSubstr("since the start"));
  EXPECT_THAT(table, HasSubstr("2.50 ms"));
  EXPECT_THAT(table, testing::ContainsRegex("guest code +10 +4.00 us +25.0 %\n")) << table;
  EXPECT_THAT(table, testing::ContainsRegex("waiting +12.00 us +75.0 %\n"));
  EXPECT_THAT(table, testing::ContainsRegex("cache +2 KiB\n"));
  EXPECT_THAT(table, testing::ContainsRegex("for each +2.50\n"));
  EXPECT_THAT(table, testing::ContainsRegex("uart +5 +5 reads\n"));
  EXPECT_THAT(table, Not(HasSubstr("without events")));
  EXPECT_THAT(table, Not(HasSubstr("never")));
}

TEST(Section, CostOfEachNeedsASample) {
  Section section("s", "s");
  section.cost("a", "measured", 10, {.time = 4'000, .samples = 2});
  EXPECT_THAT(to_table(section), HasSubstr("400 ns"));
  Section unknown("s", "s");
  unknown.cost("a", "not measured", 10, {.time = 4'000, .samples = 0});
  EXPECT_THAT(to_table(unknown), Not(HasSubstr("400 ns")));
}

TEST(Section, PartsAreFound) {
  const Section report = example();
  ASSERT_NE(report.find_section("device"), nullptr);
  EXPECT_EQ(report.find_section("device")->find_row("reads")->value, 5u);
  EXPECT_EQ(report.find_section("gone"), nullptr);
  EXPECT_EQ(report.find_row("gone"), nullptr);
}

}  // namespace
}  // namespace vitrine::inspect

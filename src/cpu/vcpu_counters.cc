// What a virtual processor has counted, as rows of the report.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "cpu/vcpu.h"

namespace vitrine::cpu {
namespace {

// SDM Vol. 3A, table "Protected-Mode Exceptions and Interrupts": the mnemonics.
constexpr std::string_view kExceptionNames[] = {"de", "db", "nmi", "bp", "of", "br", "ud", "nm", "df", "cso",
                                                "ts", "np", "ss",  "gp", "pf", "15", "mf", "ac", "mc", "xm"};

uint64_t sum(std::span<const uint64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

// By vector, those that came at least once.
void report_vectors(std::span<const uint64_t> counts, inspect::Section& section) {
  section.count("total", "all", sum(counts));
  for (size_t vector = 0; vector < counts.size(); ++vector) {
    if (counts[vector] == 0) continue;
    section.count(fmt::format("{:02x}", vector), fmt::format("vector {:02x}h", vector), counts[vector]);
  }
}

void report_exceptions(const EventCounters& counters, inspect::Section& section) {
  section.count("total", "all", sum(counters.exceptions));
  for (size_t vector = 0; vector < counters.exceptions.size(); ++vector) {
    if (counters.exceptions[vector] == 0) continue;
    const bool named = vector < std::size(kExceptionNames);
    const std::string key = named ? std::string(kExceptionNames[vector]) : fmt::format("{}", vector);
    section.count(key, fmt::format("#{}", key), counters.exceptions[vector]);
  }
}

// "MovControl" is mov_control.
std::string key_of(Operation operation) {
  std::string key;
  for (const char letter : std::string_view(name(operation))) {
    const bool capital = letter >= 'A' && letter <= 'Z';
    if (capital && !key.empty()) key += '_';
    key += capital ? static_cast<char>(letter - 'A' + 'a') : letter;
  }
  return key;
}

}  // namespace

void report_operations(std::span<const uint64_t> by_operation, inspect::Section& section) {
  section.count("total", "all", sum(by_operation));
  std::vector<size_t> order(by_operation.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](size_t n) { return by_operation[n]; });
  for (const size_t n : order) {
    if (by_operation[n] == 0) break;
    const std::string key = key_of(static_cast<Operation>(n));
    section.count(key, key, by_operation[n]);
  }
}

void Vcpu::report(inspect::Section& section) const {
  const EventCounters& c = counters();
  report_exceptions(c, section.section("exceptions", "exceptions that the guest got"));
  report_vectors(c.interrupts, section.section("interrupts", "interrupts delivered"));
  section.section("nmis", "non-maskable interrupts").count("total", "all", c.nmis);
  report_vectors(c.software_interrupts, section.section("software_interrupts", "INT n"));
  inspect::Section& tables = section.section("page_tables", "page tables of the guest's");
  tables.count("loads", "loads of CR3", c.page_table_loads);
  tables.count("switches", "loads of another one", c.page_table_switches);
  report_operations(c.instructions,
                    section.section("instructions", "system and port instructions interpreted"));
}

}  // namespace vitrine::cpu

#include "machine/statistics.h"

#include <fmt/format.h>

#include <iterator>

#include "translate/engine.h"

namespace vitrine::machine {
namespace {

using translate::Leave;

struct Rows {
  void operator()(const char* name, uint64_t value) const {
    fmt::format_to(std::back_inserter(text), "  {:<44}{:>14}\n", name, value);
  }
  std::string& text;
};

void describe(const translate::Engine& engine, std::string& text) {
  const Rows row{text};
  const translate::EngineCounters& e = engine.counters();
  const auto left = [&e](Leave reason) { return e.leaves[static_cast<unsigned>(reason)]; };
  row("entries into translated code", e.entries);
  row("  left: branch not linked yet", left(Leave::Link));
  row("  left: indirect branch not known", left(Leave::Indirect));
  row("  left: instruction for the interpreter", left(Leave::Decline));
  row("  left: floating-point state wanted", left(Leave::Fpu));
  row("  left: interrupted", left(Leave::Kicked) + left(Leave::Aborted));
  row("  left: page fault of the guest's own", left(Leave::Fault));
  row("modes for the interpreter", e.unsuitable);
  row("signals from translated code", e.host_faults);
  row("kicks", e.kicks);
  const auto& t = engine.cache().counters();
  row("units translated", t.units);
  row("  instructions in them", t.instructions);
  row("  branches linked", t.links);
  row("  units dropped", t.drops);
  row("  code cache emptied", t.flushes);
  row("  code cache used, bytes", engine.cache().used());
  const paging::ShadowCounters& s = engine.shadow_counters();
  row("hidden page faults", s.hidden_faults);
  row("  pages filled", s.pages_filled);
  row("  host mappings made", s.maps);
  row("  mappings given their rights back", s.revivals);
  row("true page faults", s.true_faults);
  row("accesses to emulate", s.emulated);
  row("entries dropped", s.drops);
  row("entries made read-only", s.lowered);
  row("windows emptied", s.windows_emptied);
  row("evictions", s.evictions);
  row("guest page-table loads", s.page_table_loads);
  row("window switches", s.window_switches);
  for (const auto& [operation, count] : engine.declined_operations())
    fmt::format_to(std::back_inserter(text), "    interpreted: {:<29}{:>14}\n", operation, count);
}

std::string describe(lockstep::Lockstep& lockstep) {
  std::string text = "lockstep:\n";
  const Rows row{text};
  const lockstep::Counters& c = lockstep.counters();
  row("steps compared", c.steps);
  row("instructions run natively and interpreted", c.native);
  row("instructions interpreted on both sides", c.interpreted);
  row("pages compared", c.pages);
  row("comparisons of all memory", c.whole);
  row("page tables with other accessed, dirty flags", c.tables);
  describe(lockstep.follower().engine(), text);
  return text;
}

}  // namespace

std::string describe_statistics(const Processors& processors) {
  std::string text;
  if (processors.lockstep() != nullptr) text += describe(*processors.lockstep());
  for (unsigned i = 0; i < processors.count(); ++i) {
    const translate::Engine* const engine = processors.engine(i);
    if (engine == nullptr) continue;
    fmt::format_to(std::back_inserter(text), "vCPU {}:\n", i);
    describe(*engine, text);
  }
  return text;
}

}  // namespace vitrine::machine

// What a native engine has counted, as rows of the report.
#include <algorithm>
#include <numeric>
#include <utility>

#include "translate/engine.h"

namespace vitrine::translate {
namespace {

struct Named {
  std::string_view key, title;
};

constexpr std::array<Named, static_cast<size_t>(Trap::Count)> kTraps = {{
    {"hidden_fault", "hidden page fault"},
    {"true_fault", "page fault of the guest's own"},
    {"access", "access to a device, code or a page table"},
    {"privileged", "privileged instruction"},
    {"address", "address that wraps, segment limit"},
    {"stray_return", "return to elsewhere than its call"},
    {"return_stack", "return stack full"},
    {"step", "step to a boundary"},
}};

constexpr std::array<Named, static_cast<size_t>(Leave::Count)> kLeaves = {{
    {"aborted", "interrupted on the way in"},
    {"link", "branch not linked yet"},
    {"indirect", "indirect branch not known"},
    {"decline", "instruction for the interpreter"},
    {"fpu", "floating-point state wanted"},
    {"kicked", "interrupted at a boundary"},
    {"fault", "page fault of the guest's own"},
    {"stale", "instruction reaches into another page"},
    {"spent", "instructions counted are spent"},
    {"repeat", "string instruction asks to be counted"},
}};

}  // namespace

uint64_t EngineCounters::all_traps() const {
  return std::accumulate(traps.begin(), traps.end(), uint64_t{0});
}

void Engine::tell_of_drops() {
  const uint64_t drops = shadow_counters().drops - std::exchange(drops_told_, shadow_counters().drops);
  if (drops == 0 || core_ == nullptr) return;
  tell({.kind = cpu::MonitorAction::Kind::ShadowDrop, .eip = core_->state.eip, .pages = drops});
}

// Fills that do not change anything are none.
void Engine::tell_of_fill(uint32_t eip, uint32_t address, paging::AccessKind kind,
                          const paging::FillResult& filled, uint64_t filled_before, bool by_signal) const {
  using paging::AccessKind;
  const uint64_t pages = shadow_counters().pages_filled - filled_before;
  const bool fault = filled.outcome == paging::FillOutcome::TrueFault;
  if (filled.outcome == paging::FillOutcome::Emulate || (!fault && pages == 0)) return;
  tell({.kind = fault ? cpu::MonitorAction::Kind::TrueFault : cpu::MonitorAction::Kind::Filled,
        .by_signal = by_signal,
        .eip = eip,
        .address = address,
        .access = kind == AccessKind::Write   ? 'w'
                  : kind == AccessKind::Fetch ? 'x'
                                              : 'r',
        .pages = pages});
}

void Engine::report(inspect::Section& section) const {
  const EngineCounters& c = counters_;
  inspect::Section& traps = section.section("traps", "signals from translated code");
  traps.count("total", "all", c.all_traps());
  for (size_t n = 0; n < kTraps.size(); ++n) traps.count(kTraps[n].key, kTraps[n].title, c.traps[n]);
  section.section("kicks", "signals from outside").count("total", "all", c.kicks);
  cpu::report_operations(declined_, section.section("emulated", "instructions left to the interpreter"));

  inspect::Section& ways_out = section.section("exits", "ways out of translated code");
  ways_out.count("total", "all", std::accumulate(c.leaves.begin(), c.leaves.end(), uint64_t{0}));
  for (size_t n = 0; n < kLeaves.size(); ++n) ways_out.count(kLeaves[n].key, kLeaves[n].title, c.leaves[n]);
  section.section("steady_reads", "device registers read again without it")
      .count("total", "all", c.steady_reads);
  section.section("unsuitable", "modes for the interpreter").count("total", "all", c.unsuitable);

  inspect::Section& code = section.section("code", "translated code");
  const TranslationCache::Counters& t = cache_->counters();
  code.count("units", "units translated", t.units);
  code.count("instructions", "instructions in them", t.instructions);
  code.count("links", "branches linked", t.links);
  code.count("drops", "units dropped", t.drops);
  code.count("flushes", "times that the cache was emptied", t.flushes);
  code.bytes("used_bytes", "cache used", cache_->used());
  code.bytes("size_bytes", "cache's size", cache_->memory().size());

  paging::report(shadow_counters(), section.section("shadow", "shadow page tables"));
}

}  // namespace vitrine::translate

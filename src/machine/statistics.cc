#include "machine/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/clock.h"
#include "translate/host_signals.h"

namespace vitrine::machine {
namespace {

using inspect::Activity;
using inspect::Section;
using inspect::Spent;
using Times = inspect::ActivitySampler::Times;

// Changes when a key of the report changes its meaning or goes; new keys may come without that.
constexpr uint64_t kReportVersion = 1;

uint64_t sum(auto&& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

Spent sum_of(const Times& times, std::initializer_list<Activity> activities) {
  Spent all;
  for (const Activity activity : activities) {
    all.time += times[static_cast<size_t>(activity)].time;
    all.samples += times[static_cast<size_t>(activity)].samples;
  }
  return all;
}

void report_time(const Times& times, const Spent& signals, Section& section) {
  const auto row = [&](std::string_view key, std::string_view title, std::initializer_list<Activity> parts) {
    section.cost(key, title, std::nullopt, sum_of(times, parts));
  };
  using enum Activity;
  row("guest", "guest code", {Guest, Interpreter});
  Spent monitor = sum_of(times, {Fill, Switch, Translate, Deliver, Monitor});
  monitor.time += signals.time;
  section.cost("monitor", "monitor", std::nullopt, monitor);
  row("devices", "devices", {Device});
  row("waiting", "waiting for its turn or the lock", {Waiting});
  row("idle", "idle", {Idle});
}

// What happened so often that each activity can be divided by it. Nothing: no count belongs to it.
std::optional<uint64_t> events_of(Activity activity, const cpu::Vcpu& vcpu, const translate::Engine* engine) {
  using translate::Leave;
  const cpu::EventCounters& c = vcpu.counters();
  const translate::EngineCounters none;
  const translate::EngineCounters& e = engine != nullptr ? engine->counters() : none;
  const paging::ShadowCounters shadow =
      engine != nullptr ? engine->shadow_counters() : paging::ShadowCounters{};
  switch (activity) {
    case Activity::Guest: return e.entries;
    case Activity::Interpreter: return vcpu.executed() - e.instructions;
    case Activity::Fill:
      return shadow.hidden_faults + shadow.fetches + shadow.prefetches + shadow.true_faults + shadow.emulated;
    case Activity::Switch: return shadow.window_switches;
    case Activity::Translate:
      return e.leaves[static_cast<size_t>(Leave::Link)] + e.leaves[static_cast<size_t>(Leave::Indirect)];
    case Activity::Deliver: return sum(c.exceptions) + sum(c.interrupts) + c.nmis;
    case Activity::Monitor: return e.entries;
    case Activity::Idle: return c.instructions[static_cast<size_t>(cpu::Operation::Hlt)];
    case Activity::Device:
    case Activity::Waiting:
    case Activity::Count: break;
  }
  return std::nullopt;
}

}  // namespace

Statistics::Statistics(const Pc& pc) : pc_(pc) {
  for (unsigned i = 0; i < pc.processors().count(); ++i) sampler_.watch(pc.processors().vcpu(i).activity());
  sampler_.watch(thread_);
  sampler_.add_devices(pc.ports().accesses());
  sampler_.add_devices(pc.memory().accesses());
}

// How the host delivers signals nobody can see but the host: the sampler finds the guest running. What one
// costs is measured here, so that their number says what all have cost.
Nanoseconds Statistics::time_of_signals(const translate::Engine& engine, Nanoseconds guest) {
  const uint64_t signals = engine.counters().all_traps() + engine.counters().kicks;
  if (!signal_cost_) signal_cost_ = translate::prepare_host_signals() ? translate::measure_signal_cost() : 0;
  return std::min(guest, signals * *signal_cost_);
}

void Statistics::report_processor(unsigned index, Times times, Section& section) {
  const Processors& processors = pc_.processors();
  const cpu::Vcpu& vcpu = processors.vcpu(index);
  const translate::Engine* const engine = processors.engine(index);
  Spent& guest = times[static_cast<size_t>(Activity::Guest)];
  const Spent signals{.time = engine != nullptr ? time_of_signals(*engine, guest.time) : 0,
                      .samples = guest.samples};
  guest.time -= signals.time;
  report_time(times, signals, section.section("time", "time"));
  Section& causes = section.section("costs", "what it went into");
  for (size_t n = 0; n < inspect::kActivities; ++n) {
    causes.cost(inspect::kActivityNames[n].key, inspect::kActivityNames[n].title,
                events_of(static_cast<Activity>(n), vcpu, engine), times[n]);
  }
  causes.cost("signals", "the host's signals (an estimate)",
              engine != nullptr ? engine->counters().all_traps() + engine->counters().kicks : 0, signals);
  Section& instructions = section.section("executed", "instructions executed");
  const uint64_t native = engine != nullptr ? engine->counters().instructions : 0;
  instructions.count("interpreted", "interpreted", vcpu.executed() - native);
  if (engine == nullptr || processors.counting())
    instructions.count("native", "native (counted in virtual time)", native);
  vcpu.report(section);
  if (engine != nullptr) engine->report(section.section("native", "native engine"));
}

// A device may answer at ports and in memory, and several of one kind share a name.
void Statistics::report_devices(Section& section) const {
  struct Accesses {
    uint64_t port_reads = 0, port_writes = 0, memory_reads = 0, memory_writes = 0;
    Spent spent;
  };
  std::map<std::string_view, Accesses> devices;
  const auto add = [&](const inspect::DeviceCounter& counter, uint64_t Accesses::*reads,
                       uint64_t Accesses::*writes) {
    Accesses& all = devices[counter.name];
    all.*reads += counter.reads;
    all.*writes += counter.writes;
    all.spent.time += counter.nanoseconds;
    all.spent.samples += counter.samples;
  };
  for (const auto& port : pc_.ports().accesses().all())
    add(port, &Accesses::port_reads, &Accesses::port_writes);
  for (const auto& memory : pc_.memory().accesses().all())
    add(memory, &Accesses::memory_reads, &Accesses::memory_writes);
  for (const auto& [name, a] : devices) {
    const uint64_t all = a.port_reads + a.port_writes + a.memory_reads + a.memory_writes;
    if (all == 0) continue;
    Section& device = section.section(name, name, Section::Kind::Line);
    device.cost("accesses", "accesses", all, a.spent);
    device.count("port_reads", "reads of ports", a.port_reads);
    device.count("port_writes", "writes of ports", a.port_writes);
    device.count("memory_reads", "reads of memory", a.memory_reads);
    device.count("memory_writes", "writes of memory", a.memory_writes);
  }
}

Section Statistics::gather() {
  sampler_.sample(monotonic_time());
  const inspect::ActivitySampler::Snapshot snapshot = sampler_.snapshot();
  const Processors& processors = pc_.processors();
  Section report("vitrine", "statistics");
  report.count("version", "", kReportVersion);
  report.time("elapsed_ns", "since the start", snapshot.elapsed);
  Section& all = report.section("vcpus", "virtual processors", Section::Kind::List);
  for (unsigned i = 0; i < processors.count(); ++i)
    report_processor(i, snapshot.times[i], all.section(fmt::format("{}", i), fmt::format("vCPU {}", i)));
  report_devices(report.section("devices", "devices that processors accessed"));
  Section& thread = report.section("machine", "the machine's own thread");
  const Times& times = snapshot.times.back();
  const auto row = [&](std::string_view key, std::string_view title, Activity activity) {
    thread.cost(key, title, std::nullopt, sum_of(times, {activity}));
  };
  row("devices", "timers, host input and output", Activity::Device);
  row("waiting", "a virtual processor runs on it", Activity::Waiting);
  row("idle", "idle", Activity::Idle);
  if (processors.lockstep() != nullptr) processors.lockstep()->report(report.section("lockstep", "lockstep"));
  return report;
}

}  // namespace vitrine::machine

// Two engines, one guest: the interpreter and translated code execute the same instructions, each on RAM of
// its own, and are compared after every step.
//
//             step of up to 31 instructions          one instruction that is the interpreter's
//   follower  ── natively: n instructions ──┐            ┌── the same, answers from the log
//   leader                                  └─ n, too    └──► first: ports, devices, time → log
//                                compare registers, flags, pages written
//
// The leader owns the machine: its devices, its time, its interrupts. What devices write to memory is copied
// to the follower between two steps. See docs/lockstep.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cpu/vcpu.h"
#include "lockstep/follower.h"
#include "lockstep/guest_tables.h"
#include "lockstep/recorder.h"

namespace vitrine::lockstep {

struct Environment {
  memory::PhysicalMap& memory;
  memory::PortMap& ports;
  cpu::ProcessorBus& bus;
  const cpu::CpuModel& model;
  /// Told once of the first difference, several lines; the machine had better end.
  std::function<void(const std::string& report)> report;
  translate::PrivilegedPolicy privileged = translate::PrivilegedPolicy::CallOut;  ///< Of the native engine.
  paging::ShadowChoice shadow = {};                                               ///< The same.
  std::optional<translate::HostSupport> host = {};  ///< What it allows that engine; nothing: it is asked.
};

struct Counters {
  uint64_t steps = 0;        ///< Comparisons.
  uint64_t native = 0;       ///< Instructions that ran natively and interpreted.
  uint64_t interpreted = 0;  ///< Instructions that both sides interpreted.
  uint64_t pages = 0;        ///< Pages compared because they were written.
  uint64_t whole = 0;        ///< Comparisons of all memory.
  uint64_t tables = 0;       ///< Page-table pages whose accessed or dirty flags differed, as they may.
};

class Lockstep final : public inspect::CounterGroup {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Lockstep>> create(const Environment& environment);

  /// What the leader has to be built with.
  [[nodiscard]] cpu::CoreEnvironment leader_environment();
  /// The interpreting processor; must outlive the runs.
  void lead(cpu::Vcpu& leader);

  /// Takes memory now for a block that the guest may bring into its map later: a process that has given up
  /// making memory files can take none then. Error: the host has none.
  [[nodiscard]] Result<void> expect(memory::RamBlock& block);

  /// As Vcpu::run() on the leader, and the same on the follower.
  [[nodiscard]] cpu::Exit run(uint64_t budget);
  /// The machine was reset or loaded: everything is copied before the next run.
  void resynchronise() { stale_ = true; }

  // What comes from outside: already given to the leader.
  void interrupt_changed() { recorder_.signalled(); }
  void initialised();
  void started(uint8_t vector);
  void ignne_set();

  /// Compares all memory. False: a difference was found, now or before.
  bool compare_all();

  [[nodiscard]] const Counters& counters() const { return counters_; }
  void report(inspect::Section& section) const override;
  [[nodiscard]] Follower& follower() { return *follower_; }
  [[nodiscard]] bool different() const { return different_; }

 private:
  explicit Lockstep(const Environment& environment);

  void prepare();
  void record(memory::RamBlock& block);
  void take_over();
  void signal(std::function<void(cpu::Vcpu&)> what);
  struct Step {
    uint64_t executed = 0;
    cpu::Exit exit;
  };
  [[nodiscard]] Step step(uint64_t budget);
  [[nodiscard]] Step lead_natively(uint64_t executed);
  [[nodiscard]] Step lead_interpreting(uint64_t limit);
  [[nodiscard]] Step run_leader(uint64_t limit);
  [[nodiscard]] uint64_t next_length() const;

  void compare();
  void take_over_places();
  void compare_pages();
  [[nodiscard]] bool same_page(memory::RamBlock& block, uint64_t page);
  void follow_tables();
  [[nodiscard]] bool is_page_table(const memory::RamBlock& block, uint64_t page, uint32_t root) const;
  void difference(const std::string& what);
  [[nodiscard]] std::string disassembly() const;

  Environment env_;
  Recorder recorder_;
  std::unique_ptr<Follower> follower_;
  cpu::Vcpu* leader_ = nullptr;
  std::vector<std::function<void(cpu::Vcpu&)>> signals_;  // for the follower, after the step
  std::vector<PageOf> pages_;                             // to compare
  cpu::CpuState before_;                                  // the leader's, before the step
  cpu::CpuState left_;                                    // the leader's, at the end of the last run
  GuestTables tables_;
  std::vector<PageOf> early_;  // tables with flags that the follower has set early
  GuestTables::Tried tried_ = GuestTables::Tried::No;
  uint64_t acknowledged_before_ = 0;
  uint64_t step_instructions_ = 0;  // of the step that is being compared
  bool stale_ = true;
  bool declined_ = false;  // the next instruction is not for translated code
  bool unsuitable_ = false;
  bool kicked_ = false;
  bool different_ = false;
  Counters counters_;
};

}  // namespace vitrine::lockstep

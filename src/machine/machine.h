// A machine that runs: a PC with its clock, its connections to the outside, and the loop that gives each its
// turn.
//
//        ┌─► timers that are due ─► the outside world (EventLoop) ─► a slice of instructions on the next vCPU
//        ─┐ └──────────────◄── all vCPUs idle: wait for the next deadline or the outside
//        ◄─────────────────────────┘
//
// One thread does all of it; if vCPUs run in parallel, all but the slices (machine_parallel.cc). What devices
// and users ask for in the middle of a slice (reset, power-off, quit) is noted, the slice is cut short, and
// the loop acts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cpu/cpu_model.h"
#include "debug/debug_target.h"
#include "debug/gdb_server.h"
#include "machine/character_devices.h"
#include "machine/event_log.h"
#include "machine/event_loop.h"
#include "machine/event_recorder.h"
#include "machine/file_service.h"
#include "machine/machine_config.h"
#include "machine/monitor.h"
#include "machine/monitor_target.h"
#include "machine/pc.h"
#include "machine/processor_threads.h"
#include "machine/real_clock.h"
#include "machine/run.h"
#include "machine/simple_character_backends.h"
#include "machine/statistics.h"
#include "machine/virtual_clock.h"

namespace vitrine::machine {

class Machine final : public MonitorTarget, public debug::DebugTarget {
 public:
  /// Takes everything out of `config`. `files` must outlive the machine.
  [[nodiscard]] static Result<std::unique_ptr<Machine>> create(MachineConfig config, FileService& files);
  ~Machine() override;

  /// Runs to the end of the machine. Returns the status for the process.
  [[nodiscard]] Result<int> run(const Ready& ready);

  // MonitorTarget and DebugTarget (machine_monitor.cc)
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] RunState run_state() const override { return state_; }
  void pause() override;
  void resume() override;
  void reset() override;
  void press_power_button() override;
  void quit() override { end(0); }
  [[nodiscard]] Clock& clock() override { return *clock_; }
  [[nodiscard]] unsigned cpu_count() const override { return pc_->processors().count(); }
  [[nodiscard]] bool has_avx() const override { return model_->has(cpu::Feature::Avx); }
  [[nodiscard]] const cpu::CpuState& cpu_state(unsigned cpu) const override;
  [[nodiscard]] bool read_virtual(unsigned cpu, VirtualAddress address,
                                  std::span<uint8_t> data) const override;
  [[nodiscard]] std::optional<PhysicalAddress> translate(unsigned cpu, VirtualAddress address) const override;
  [[nodiscard]] std::optional<DisassembledInstruction> disassemble(
      unsigned cpu, uint32_t address, std::span<const uint8_t> code) const override;
  [[nodiscard]] const memory::PhysicalMap& physical_map() const override { return pc_->memory(); }
  [[nodiscard]] uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  void key_event(devices::Key key, devices::KeyAction action) override;
  void mouse_move(int dx, int dy, int dz) override;
  void mouse_buttons(uint8_t buttons) override;
  [[nodiscard]] Result<ScreenImage> screenshot() override;
  [[nodiscard]] std::optional<devices::VgaText> text_screen() override;
  [[nodiscard]] Result<void> set_balloon(uint64_t megabytes) override;
  [[nodiscard]] const paging::ShadowSpaces* shadow_spaces(unsigned cpu) const override;
  [[nodiscard]] std::string describe(Subject subject) const override;

  // DebugTarget alone (machine_debug.cc)
  void set_cpu_state(unsigned cpu, const cpu::CpuState& state) override;
  [[nodiscard]] bool write_virtual(unsigned cpu, VirtualAddress address,
                                   std::span<const uint8_t> data) override;
  [[nodiscard]] bool read_physical(PhysicalAddress address, std::span<uint8_t> data) const override;
  [[nodiscard]] bool write_physical(PhysicalAddress address, std::span<const uint8_t> data) override;
  void set_stop_points(const debug::StopPoints& points) override;
  [[nodiscard]] bool running() const override { return state_ == RunState::Running; }
  void resume(const debug::ResumeRequest& request) override;
  [[nodiscard]] std::string execute_monitor_command(std::string_view line) override;

 private:
  explicit Machine(MachineConfig& config);

  [[nodiscard]] Result<void> build(MachineConfig& config, FileService& files);
  void make_clock(const ClockConfig& config);
  [[nodiscard]] PcHost make_host();

  void turn();
  void run_processors();
  // Several vCPUs in parallel (machine_parallel.cc)
  void start_parallel();
  void end_parallel();
  void parallel_turn();
  [[nodiscard]] bool still_matters(const Processors::Slice& slice) const;
  void halt_processors() const;
  /// The machine's thread should look at its requests and timers again.
  void look_up();
  /// The same, and guest code should not go on before.
  void stop_soon();
  void handle_exit(const Processors::Slice& slice);
  void wait_idle();
  void look_outside(std::optional<Nanoseconds> timeout);
  [[nodiscard]] bool wait_briefly(Nanoseconds limit) const;
  [[nodiscard]] uint64_t progress() const;
  [[nodiscard]] Nanoseconds time_limit() const;
  [[nodiscard]] uint64_t slice_budget() const;
  void stop_for_debugger(unsigned vcpu, const cpu::Exit& exit);
  void step(const debug::ResumeRequest& request);
  [[nodiscard]] cpu::Exit step_one(unsigned vcpu, debug::StepInterrupts interrupts);
  void stop_stepping();
  void apply_debug_requests();
  void handle_signal(int signal);
  void report_statistics();
  void do_reset();
  void power_off();
  void triple_fault(unsigned vcpu);
  void end(int status);
  void report(const Error& error);

  std::string name_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<EventLog> log_;
  std::optional<cpu::CpuModel> model_;
  RealClock* real_clock_ = nullptr;  // whichever clock_ is
  VirtualClock* virtual_clock_ = nullptr;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<CharacterDevices> characters_;
  std::unique_ptr<Pc> pc_;
  std::unique_ptr<Statistics> statistics_;
  std::unique_ptr<ProcessorThreads> threads_;  // null: vCPUs take turns
  std::unique_ptr<EventRecorder> recorder_;
  std::unique_ptr<Monitor> monitor_;
  NullCharacterBackend nowhere_;
  std::unique_ptr<Monitor> debugger_monitor_;  // for commands that come through gdb
  std::unique_ptr<debug::GdbServer> gdb_;
  debug::StopPoints stop_points_;
  std::vector<bool> stepping_;  // vCPUs that stop after their next instruction, whenever that comes

  RunState state_ = RunState::Paused;
  bool start_paused_ = false;
  bool no_reboot_ = false;
  bool no_shutdown_ = false;
  StatisticsConfig statistics_at_end_;
  bool stood_still_ = false;  // wait_briefly() took the place of the last slice
  bool reset_requested_ = false;
  bool power_off_requested_ = false;
  std::optional<int> end_status_;
  Nanoseconds turn_time_ = 0;  // when timers were last served
  uint64_t polled_at_ = 0;     // progress() at the last look outside
  Nanoseconds heard_at_ = 0;   // when something was last found there, by CLOCK_MONOTONIC
  uint64_t triple_faults_ = 0;
  std::string roms_;         // `info roms`
  std::string confinement_;  // `info sandbox`
};

}  // namespace vitrine::machine

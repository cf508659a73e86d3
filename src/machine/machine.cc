#include "machine/machine.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "base/check.h"
#include "cpu/print_state.h"
#include "machine/run.h"

namespace vitrine::machine {
namespace {

// Most instructions in one slice: some 100 µs, so that timers and the outside are not kept waiting.
constexpr uint64_t kSliceLimit = 50'000;
constexpr uint64_t kPollInterval = kSliceLimit / 2;
// Longest slices of a native engine, which counts no instructions: while the outside world speaks, and when
// it has been silent for so long. Each end costs a timer of the host's, 30 µs in some virtual machines.
constexpr Nanoseconds kNativeSlice = kNanosecondsPerMillisecond;
constexpr Nanoseconds kQuietSlice = 4 * kNanosecondsPerMillisecond;
constexpr Nanoseconds kQuietAfter = 20 * kNanosecondsPerMillisecond;
// Fewest: a deadline that is nearer than this is met a little late rather than with many tiny slices.
constexpr uint64_t kSliceMinimum = 200;
// A guest that triple-faults again and again must not flood the user's terminal.
constexpr uint64_t kTripleFaultsReported = 5;
// For the distance to a deadline in real time. Only an estimate: the loop looks at the clock after each
// slice.
constexpr uint64_t kNanosecondsPerInstruction = 2;
// To wait for a deadline that is nearer than this costs more in the host's kernel than to watch the clock,
// and to interrupt translated code at one so near costs more than to let it stand: a disk's command takes 2
// µs.
constexpr Nanoseconds kShortWait = 10'000;
constexpr Nanoseconds kShortStand = 4'000;
// How late the host may be with a wait, which it is by 50 µs if nobody asks.
constexpr unsigned long kTimerSlack = 1'000;

}  // namespace

Result<int> run_machine(MachineConfig config, FileService& files, const Ready& ready) {
  std::unique_ptr<Machine> machine = TRY(Machine::create(std::move(config), files));
  // The kernel's file, and what it was on the way to its pieces, were large.
  ::malloc_trim(0);
  return machine->run(ready);
}

namespace {

Result<void> check_lockstep(const MachineConfig& config) {
  if (!in_lockstep(config.engine)) return {};
  if (config.cpus != 1)
    return std::unexpected(Error{"--engine=lockstep compares one processor",
                                 fmt::format("-smp {}", config.cpus), 0, "leave -smp out"});
  if (config.clock.kind != ClockKind::Virtual)
    return std::unexpected(Error{"--engine=lockstep counts instructions", "", 0, "add --clock=virtual"});
  return {};
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(MachineConfig config, FileService& files) {
  std::unique_ptr<Machine> machine(new Machine(config));
  TRY(machine->build(config, files));
  return machine;
}

Machine::Machine(MachineConfig& config)
    : name_(config.name),
      log_(std::make_unique<EventLog>(config.log.items, std::move(config.log.output))),
      start_paused_(config.start_paused),
      no_reboot_(config.no_reboot),
      no_shutdown_(config.no_shutdown),
      statistics_at_end_(std::move(config.statistics)),
      confinement_(std::move(config.confinement)) {}

Machine::~Machine() {
  set_check_failure_hook(nullptr, nullptr);
}

Result<void> Machine::build(MachineConfig& config, FileService& files) {
  loop_ = TRY(EventLoop::create());
  // In parallel the loop may be long in coming round; slices end soon enough, and where time is virtual they
  // may not end by what the host does.
  loop_->set_congestion_listener([this] {
    if (threads_) stop_soon();
  });
  if (config.signals.valid()) {
    loop_->watch_signals(std::move(config.signals), [this](int signal) { handle_signal(signal); });
  }
  TRY(check_lockstep(config));
  model_ = TRY(cpu::CpuModel::create(config.cpu_model));
  make_clock(config.clock);
  characters_ = std::make_unique<CharacterDevices>(
      *loop_, std::move(config.endpoints),
      ConsoleMultiplexer::Actions{.quit = [this] { end(0); },
                                  .flush_disks =
                                      [this] {
                                        if (auto flushed = pc_->flush_disks(); !flushed)
                                          report(flushed.error());
                                      }});
  pc_ = TRY(Pc::create(config, make_host()));
  statistics_ = std::make_unique<Statistics>(*pc_);
  loop_->set_activity(&statistics_->thread());
  if (config.log.items != 0) recorder_ = std::make_unique<EventRecorder>(*log_, *pc_);
  if (config.monitor) {
    monitor_ =
        std::make_unique<Monitor>(characters_->attach(*config.monitor, FrontEndRole::Monitor), *this, files);
  }
  if (config.gdb) {
    debugger_monitor_ = std::make_unique<Monitor>(nowhere_, *this, files);
    gdb_ = std::make_unique<debug::GdbServer>(characters_->attach(*config.gdb), *this);
  }
  set_check_failure_hook(
      [](void* context) {
        auto& processors = static_cast<Machine*>(context)->pc_->processors();
        for (unsigned i = 0; i < processors.count(); ++i) {
          fmt::print(stderr, "vCPU {}:\n{}", i, cpu::print_state(processors.vcpu(i).state()));
        }
      },
      this);
  return {};
}

void Machine::make_clock(const ClockConfig& config) {
  // A device that sets an earlier deadline cuts the slice short, so that the loop can take it into account.
  const auto listener = [this] { look_up(); };
  if (config.kind == ClockKind::Virtual) {
    auto clock = std::make_unique<VirtualClock>([this] { return pc_ ? pc_->processors().executed() : 0; },
                                                config.nanoseconds_per_instruction);
    clock->set_deadline_listener(listener);
    virtual_clock_ = clock.get();
    clock_ = std::move(clock);
  } else {
    auto clock = std::make_unique<RealClock>();
    clock->set_deadline_listener(listener);
    real_clock_ = clock.get();
    clock_ = std::move(clock);
  }
}

PcHost Machine::make_host() {
  return PcHost{
      .clock = *clock_,
      .characters = *characters_,
      .model = *model_,
      .reset = [this] { reset(); },
      .power_off =
          [this] {
            power_off_requested_ = true;
            stop_soon();
          },
      .debug_exit = [this](int status) { end(status & 0xff); },
      .report = [this](const Error& error) { report(error); },
      .report_difference =
          [this](const std::string& text) {
            fmt::print(stderr, "vitrine: {}", text);
            end(1);
          },
  };
}

Result<int> Machine::run(const Ready& ready) {
  (void)::prctl(PR_SET_TIMERSLACK, kTimerSlack, 0UL, 0UL, 0UL);
  if (auto started = statistics_->start(); !started) report(started.error());
  const bool parallel = pc_->processors().parallel();
  if (parallel) start_parallel();
  if (const Result<void> done = ready ? ready() : Result<void>{}; !done) {
    if (parallel) end_parallel();
    return std::unexpected(done.error());
  }
  if (!start_paused_) resume();
  if (parallel) {
    while (!end_status_) parallel_turn();
    end_parallel();
  }
  while (!end_status_) turn();
  if (real_clock_ != nullptr) real_clock_->stop();
  if (auto* lockstep = pc_->processors().lockstep(); lockstep != nullptr && !lockstep->compare_all())
    end_status_ = 1;
  int status = *end_status_;
  if (auto flushed = pc_->flush_disks(); !flushed) {
    report(flushed.error());
    if (status == 0) status = 1;
  }
  if (gdb_) gdb_->exited(static_cast<uint8_t>(status));
  log_->flush();
  report_statistics();
  return status;
}

void Machine::handle_signal(int signal) {
  if (signal != SIGUSR1) return end(0);
  // Not to a file that waits for the report at the end: whoever sends the signal wants to see something.
  statistics_->show(inspect::to_table(statistics_->gather()));
}

void Machine::report_statistics() {
  const StatisticsConfig& wanted = statistics_at_end_;
  if (wanted.form == StatisticsConfig::Form::None) return;
  const inspect::Section all = statistics_->gather();
  const std::string text =
      wanted.form == StatisticsConfig::Form::Json ? inspect::to_json(all) : inspect::to_table(all);
  if (!wanted.output.valid()) return fmt::print(stderr, "{}", text);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(wanted.output.get(), text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return report(error_from_errno("cannot write the statistics", "--stats"));
    done += static_cast<size_t>(written);
  }
}

void Machine::turn() {
  if (reset_requested_) do_reset();
  if (power_off_requested_) power_off();
  if (end_status_) return;
  if (state_ != RunState::Running || loop_->congested()) {
    loop_->wait(std::nullopt);
    return;
  }
  turn_time_ = clock_->now();
  clock_->run_due_timers();
  if (progress() - polled_at_ >= kPollInterval) {
    look_outside(Nanoseconds{0});
    return;  // Anything may have changed.
  }
  // Once between two slices: a guest whose timers never end comes to run as well.
  stood_still_ = !stood_still_ && !pc_->processors().counting() && wait_briefly(kShortStand);
  if (!stood_still_) run_processors();
}

void Machine::look_outside(std::optional<Nanoseconds> timeout) {
  polled_at_ = progress();
  if (loop_->wait(timeout) != 0) heard_at_ = monotonic_time();
}

// What tells when to look outside: instructions, or, where nobody counts them, nanoseconds of the host.
uint64_t Machine::progress() const {
  if (pc_->processors().counting()) return pc_->processors().executed();
  return monotonic_time() / (kNativeSlice / kSliceLimit);
}

// A round: each vCPU that has something to do gets a slice before timers are looked at again. So a guest that
// is catching up with its clock has every processor take one tick before the next one comes.
void Machine::run_processors() {
  for (unsigned i = 0; i < pc_->processors().count(); ++i) {
    pc_->processors().set_time_limit(time_limit());
    statistics_->thread().set(inspect::Activity::Waiting);
    const auto slice = pc_->processors().run_slice(slice_budget());
    statistics_->thread().set(inspect::Activity::Device);
    if (!slice) {
      if (i == 0) wait_idle();
      return;
    }
    handle_exit(*slice);
    if (end_status_ || state_ != RunState::Running || reset_requested_ || power_off_requested_) return;
    if (virtual_clock_ != nullptr && clock_->next_deadline().value_or(UINT64_MAX) <= clock_->now()) return;
  }
}

Nanoseconds Machine::time_limit() const {
  const bool quiet = monotonic_time() - heard_at_ >= kQuietAfter;
  const Nanoseconds longest = quiet ? kQuietSlice : kNativeSlice;
  const auto deadline = clock_->next_deadline();
  const Nanoseconds now = clock_->now();
  if (!deadline) return longest;
  return std::min(*deadline > now ? *deadline - now : 1, longest);
}

uint64_t Machine::slice_budget() const {
  const auto deadline = clock_->next_deadline();
  if (!deadline) return kSliceLimit;
  if (virtual_clock_ != nullptr) {
    return std::clamp<uint64_t>(virtual_clock_->instructions_until(*deadline), 1, kSliceLimit);
  }
  // From the deadline served last, not from now: a guest that is catching up runs between any two ticks.
  const Nanoseconds left = *deadline > turn_time_ ? *deadline - turn_time_ : 0;
  return std::clamp<uint64_t>(left / kNanosecondsPerInstruction, kSliceMinimum, kSliceLimit);
}

// True: the next deadline was that near, and is due now.
bool Machine::wait_briefly(Nanoseconds limit) const {
  const auto deadline = clock_->next_deadline();
  if (real_clock_ == nullptr || !deadline) return false;
  const Nanoseconds now = clock_->now();
  if (*deadline > now && *deadline - now > limit) return false;
  const inspect::ActivityScope scope(statistics_->thread(), inspect::Activity::Idle);
  while (clock_->now() < *deadline) __builtin_ia32_pause();
  return true;
}

void Machine::wait_idle() {
  if (wait_briefly(kShortWait)) return;
  if (virtual_clock_ != nullptr) {
    look_outside(Nanoseconds{0});
    if (end_status_ || state_ != RunState::Running || virtual_clock_->skip_to_deadline()) return;
    if (!clock_->next_deadline()) look_outside(std::nullopt);
    return;
  }
  const auto deadline = clock_->next_deadline();
  if (!deadline) return look_outside(std::nullopt);
  const Nanoseconds now = clock_->now();
  look_outside(*deadline > now ? *deadline - now : 0);
}

void Machine::handle_exit(const Processors::Slice& slice) {
  switch (slice.exit.reason) {
    case cpu::ExitReason::BudgetSpent:
    case cpu::ExitReason::Kicked: return;
    case cpu::ExitReason::Halted: break;
    case cpu::ExitReason::Shutdown: triple_fault(slice.vcpu); break;
    case cpu::ExitReason::Breakpoint:
    case cpu::ExitReason::Watchpoint:
    case cpu::ExitReason::Stepped: stop_for_debugger(slice.vcpu, slice.exit); break;
  }
  if (log_->enabled(LogItem::Exit)) {
    const cpu::CpuState& state = pc_->processors().vcpu(slice.vcpu).state();
    log_->write("exit: vcpu {} {} at {:04x}:{:08x}", slice.vcpu, cpu::name(slice.exit.reason),
                state.segments[x86::kCs].selector, state.eip);
  }
}

void Machine::triple_fault(unsigned vcpu) {
  const cpu::CpuState& state = pc_->processors().vcpu(vcpu).state();
  if (++triple_faults_ <= kTripleFaultsReported) {
    fmt::print(
        stderr, "vitrine: triple fault on vCPU {} at {:04x}:{:08x} (CR2 {:08x}, CR3 {:08x}): {}{}\n", vcpu,
        state.segments[x86::kCs].selector, state.eip, state.cr2, state.cr3,
        no_reboot_ ? "the machine ends" : "the machine is reset",
        triple_faults_ == kTripleFaultsReported ? "; further ones are reported by -d cpu_reset only" : "");
  }
  if (log_->enabled(LogItem::CpuReset))
    log_->write("triple fault on vCPU {}:\n{}", vcpu, cpu::print_state(state));
  reset();
}

void Machine::reset() {
  reset_requested_ = true;
  stop_soon();
  loop_->wake();
}

void Machine::do_reset() {
  reset_requested_ = false;
  if (no_reboot_) return end(0);
  if (log_->enabled(LogItem::CpuReset)) {
    for (unsigned i = 0; i < cpu_count(); ++i)
      log_->write("reset, vCPU {}:\n{}", i, cpu::print_state(cpu_state(i)));
  }
  pc_->reset();
  if (state_ == RunState::Shutdown) resume();
}

void Machine::power_off() {
  power_off_requested_ = false;
  if (!no_shutdown_) return end(0);
  pause();
  state_ = RunState::Shutdown;
  if (gdb_) gdb_->stopped(0, debug::StopReason::Shutdown);
}

void Machine::pause() {
  if (state_ != RunState::Running) return;
  halt_processors();
  if (real_clock_ != nullptr) real_clock_->stop();
  state_ = RunState::Paused;
  log_->flush();
  look_up();
  if (gdb_) gdb_->stopped(0, debug::StopReason::Paused);
}

void Machine::resume() {
  if (state_ == RunState::Running) return;
  pc_->processors().hold({});
  if (real_clock_ != nullptr) real_clock_->start();
  state_ = RunState::Running;
  loop_->wake();
}

void Machine::end(int status) {
  if (!end_status_) end_status_ = status;
  stop_soon();
  loop_->wake();
}

void Machine::report(const Error& error) {
  fmt::print(stderr, "vitrine: {}\n", error.message());
}

}  // namespace vitrine::machine

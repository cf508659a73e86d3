// One virtual processor, as the rest of Vitrine sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/addresses.h"
#include "base/state_archive.h"
#include "cpu/core.h"
#include "cpu/cpu_state.h"
#include "cpu/debug_requests.h"
#include "cpu/exit.h"
#include "inspect/section.h"

namespace vitrine::cpu {

class Fetcher;
struct Event;
struct StepStart;

class Vcpu : public Serializable, public inspect::CounterGroup {
 public:
  explicit Vcpu(const CoreEnvironment& environment);
  ~Vcpu() override;

  /// Makes what is otherwise made when an instruction first needs it: from then on this processor maps no
  /// memory executable any more.
  void prepare();

  /// Executes at most `budget` instructions: exactly that many, unless there is another reason to stop. A
  /// delivered fault counts as one, an interrupt as none. Takes pending interrupts first. When a breakpoint
  /// stands at the very first instruction it is passed over if the previous exit reported it.
  [[nodiscard]] Exit run(uint64_t budget);

  /// Instructions executed since construction, exact even when asked by a device in the middle of run().
  [[nodiscard]] uint64_t executed() const;

  /// Power-on or RESET#: SDM Vol. 3A, "Processor State After Reset". vCPU 0 starts at FFFFFFF0h; the others
  /// wait for startup().
  void reset();

  // Signals. Callable from devices while run() is on the stack; they take effect at the next instruction
  // boundary.
  void set_interrupt_request(
      bool level);  ///< INTR; the vector comes from ProcessorBus::acknowledge_interrupt().
  void raise_nmi();
  void init();                   ///< The INIT pin or IPI.
  void startup(uint8_t vector);  ///< SIPI: heard only while waiting for it.
  void set_ignne();  ///< IGNNE#: a write to port F0h lets the processor go on past an x87 exception.
  void kick();       ///< Makes run() return soon, with ExitReason::Kicked.

  /// Between runs: nothing stands before the next instruction (an event, a debugger, a dormant processor),
  /// nor has it to be executed alone.
  [[nodiscard]] bool undisturbed() const;
  [[nodiscard]] bool interrupt_requested() const { return core_->interrupt_request; }

  /// The architectural state, canonical. Only between runs. Who changes it calls state_changed() before the
  /// next run.
  [[nodiscard]] CpuState& state() { return core_->state; }
  [[nodiscard]] const CpuState& state() const { return core_->state; }
  void state_changed();

  [[nodiscard]] unsigned index() const { return core_->env.index; }

  // For debuggers and monitors: no side effects on the guest (no accessed bits, no faults), privilege
  // ignored.
  [[nodiscard]] std::optional<PhysicalAddress> debug_translate(VirtualAddress address) const;
  /// False if any byte is not mapped; then nothing was copied.
  [[nodiscard]] bool debug_read(VirtualAddress address, std::span<uint8_t> data) const;
  [[nodiscard]] bool debug_write(VirtualAddress address, std::span<const uint8_t> data);
  void set_debug_requests(DebugRequests requests);
  /// Must outlive the processor, or be taken back with nullptr.
  void set_observer(Observer* observer);
  /// Must outlive the processor, or be taken back with nullptr.
  void set_native_engine(NativeEngine* engine);

  // Counting (docs/counting.md).
  [[nodiscard]] const EventCounters& counters() const { return core_->counters; }
  /// What it is doing; set by whoever does it.
  [[nodiscard]] inspect::ActivityCell& activity() { return core_->activity; }
  [[nodiscard]] const inspect::ActivityCell& activity() const { return core_->activity; }
  void report(inspect::Section& section) const override;

  /// Saves and restores everything architectural and pending signals. Only between runs.
  void serialize(StateArchive& archive) override;

 private:
  class Listener;
  enum class Next : uint8_t { Execute, Again, Exit };

  [[nodiscard]] Next take_events(Exit& exit);
  [[nodiscard]] Next take_signals(Exit& exit);
  [[nodiscard]] Next take_breakpoints(Exit& exit);
  [[nodiscard]] Next take_traps(Exit& exit);
  [[nodiscard]] Next dormant(Exit& exit);
  [[nodiscard]] bool must_step() const;
  void forget_seen_attention();
  void execute();
  void finish_step(const StepStart& start);
  void send(const Event& event);

  std::unique_ptr<Core> core_;
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace vitrine::cpu

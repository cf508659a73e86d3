// What a debugger outside the guest wants to know of a machine and to do to it. The machine implements it;
// the gdb server and its tests need nothing else. Everything happens on the machine's own thread, between
// slices of guest execution. vCPUs are numbered from 0 here (gdb's threads from 1). See docs/debugging.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/addresses.h"
#include "cpu/cpu_state.h"
#include "cpu/debug_requests.h"

namespace vitrine::debug {

/// Why the machine stands still.
enum class StopReason : uint8_t {
  Paused,      ///< Somebody asked: the debugger, the monitor.
  Breakpoint,  ///< Before the instruction at EIP, which has a breakpoint.
  Watchpoint,  ///< After an access to what is watched.
  Stepped,     ///< After the one instruction that CpuAction::Step asks for.
  Shutdown,    ///< The guest has powered off or met a triple fault, and the machine was kept.
};

/// What one vCPU does while the machine runs.
enum class CpuAction : uint8_t { Continue, Step, Stay };

/// What happens to time and interrupts while a vCPU executes the one instruction of CpuAction::Step.
enum class StepInterrupts : uint8_t {
  /// No maskable interrupt is delivered to the vCPU that steps, and the guest's clock stands still, so that a
  /// step ends at the next instruction of the program and not in an interrupt handler.
  Masked,
  Delivered,
};

struct ResumeRequest {
  std::vector<CpuAction> actions;  ///< One for each vCPU.
  StepInterrupts step_interrupts = StepInterrupts::Masked;
};

/// All breakpoints and watchpoints. They hold for every vCPU.
struct StopPoints {
  std::vector<VirtualAddress> breakpoints;
  std::vector<cpu::Watchpoint> watchpoints;
};

class DebugTarget {
 public:
  virtual ~DebugTarget() = default;

  // Processors. `cpu` < cpu_count(), always.
  [[nodiscard]] virtual unsigned cpu_count() const = 0;
  /// Whether the processors have YMM registers.
  [[nodiscard]] virtual bool has_avx() const = 0;
  [[nodiscard]] virtual const cpu::CpuState& cpu_state(unsigned cpu) const = 0;
  /// Also tells the vCPU (Vcpu::state_changed()). The server changes general, segment, x87 and SSE registers,
  /// EIP and EFLAGS (never VM), to values that a guest could have put there by itself.
  virtual void set_cpu_state(unsigned cpu, const cpu::CpuState& state) = 0;

  // Memory. False if any byte is not there; then nothing was copied. Virtual addresses are linear ones,
  // looked up with the vCPU's paging, without regard to privilege and without effect on accessed and dirty
  // bits.
  [[nodiscard]] virtual bool read_virtual(unsigned cpu, VirtualAddress address,
                                          std::span<uint8_t> data) const = 0;
  [[nodiscard]] virtual bool write_virtual(unsigned cpu, VirtualAddress address,
                                           std::span<const uint8_t> data) = 0;
  [[nodiscard]] virtual bool read_physical(PhysicalAddress address, std::span<uint8_t> data) const = 0;
  [[nodiscard]] virtual bool write_physical(PhysicalAddress address, std::span<const uint8_t> data) = 0;

  /// Replaces all that were set before. They stay over a reset of the guest.
  virtual void set_stop_points(const StopPoints& points) = 0;

  // Running. When something other than these calls stops the machine, it stops all vCPUs and then calls
  // GdbServer::stopped().
  [[nodiscard]] virtual bool running() const = 0;
  /// Without effect on a machine that stands still.
  virtual void pause() = 0;
  /// Lets the machine run. As soon as one of the vCPUs with CpuAction::Step has executed one instruction (or
  /// has entered HLT), the machine stops as a whole, for StopReason::Stepped. A vCPU that is halted already
  /// first waits for its interrupt, whatever `step_interrupts` says. A breakpoint at the place where the vCPU
  /// stands is passed over. May call GdbServer::stopped() at once; is never called from inside that.
  virtual void resume(const ResumeRequest& request) = 0;
  /// The guest's reset button. The machine stays paused if it is.
  virtual void reset() = 0;
  /// Ends the machine in order; takes effect after the call.
  virtual void quit() = 0;

  /// Executes one line of the machine's monitor and returns what it prints.
  [[nodiscard]] virtual std::string execute_monitor_command(std::string_view line) = 0;
};

}  // namespace vitrine::debug

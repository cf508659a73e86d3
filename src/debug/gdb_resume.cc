// Continuing, stepping, interrupting, and the reports of a stop.
#include <fmt/format.h>

#include <algorithm>

#include "debug/gdb_registers.h"
#include "debug/gdb_server.h"

namespace vitrine::debug {
namespace {

// gdb's numbers of signals, include/gdb/signals.def.
constexpr uint8_t kSignalInterrupt = 2;
constexpr uint8_t kSignalQuit = 3;
constexpr uint8_t kSignalTrap = 5;

uint8_t signal_of(StopReason reason) {
  switch (reason) {
    case StopReason::Paused: return kSignalInterrupt;
    case StopReason::Shutdown: return kSignalQuit;
    case StopReason::Breakpoint:
    case StopReason::Watchpoint:
    case StopReason::Stepped: break;
  }
  return kSignalTrap;
}

std::string_view stop_name(StopPoint::Kind kind) {
  switch (kind) {
    case StopPoint::Kind::SoftwareBreakpoint: return "swbreak";
    case StopPoint::Kind::HardwareBreakpoint: return "hwbreak";
    case StopPoint::Kind::WriteWatchpoint: return "watch";
    case StopPoint::Kind::ReadWatchpoint: return "rwatch";
    case StopPoint::Kind::AccessWatchpoint: return "awatch";
  }
  return "";
}

}  // namespace

// ---- Going on.

void GdbServer::packet_continue(std::string_view arguments) {
  resume_classic(CpuAction::Continue, arguments);
}

void GdbServer::packet_step(std::string_view arguments) {
  resume_classic(CpuAction::Step, arguments);
}

// "C signal;address". A machine gets no signals from its debugger: gdb's number is read and forgotten.
void GdbServer::packet_continue_with_signal(std::string_view arguments) {
  if (!take_number(arguments)) return reply_error(GdbError::Invalid);
  if (!arguments.empty() && !take_character(arguments, ';')) return reply_error(GdbError::Invalid);
  resume_classic(CpuAction::Continue, arguments);
}

void GdbServer::packet_step_with_signal(std::string_view arguments) {
  if (!take_number(arguments)) return reply_error(GdbError::Invalid);
  if (!arguments.empty() && !take_character(arguments, ';')) return reply_error(GdbError::Invalid);
  resume_classic(CpuAction::Step, arguments);
}

/// The packets from before vCont: they concern the thread of Hc, and where none was named the one that
/// stopped, while the others run.
void GdbServer::resume_classic(CpuAction action, std::string_view address) {
  using Kind = ThreadChoice::Kind;
  const unsigned cpu = resume_thread_.kind == Kind::One ? resume_thread_.cpu : stop_.cpu;
  if (!address.empty()) {
    const auto eip = take_number(address);
    if (!eip || !address.empty() || *eip > UINT32_MAX) return reply_error(GdbError::Invalid);
    cpu::CpuState state = target_.cpu_state(cpu);
    std::vector<uint8_t> bytes;
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(*eip >> shift));
    const auto written = write_state(state, kEipNumber, bytes);
    if (!written) return reply_error(written.error());
    target_.set_cpu_state(cpu, state);
  }
  const CpuAction others = resume_thread_.kind == Kind::One   ? CpuAction::Stay
                           : resume_thread_.kind == Kind::All ? action
                                                              : CpuAction::Continue;
  std::vector<CpuAction> actions(target_.cpu_count(), others);
  actions[cpu] = action;
  resume(std::move(actions));
}

void GdbServer::packet_v(std::string_view arguments) {
  const std::string_view name = arguments.substr(0, arguments.find_first_of(";:"));
  if (name == "Cont?") return reply("vCont;c;C;s;S");
  if (name == "Cont") return resume_actions(arguments.substr(name.size()));
  if (name == "Kill") {
    reply_ok();
    return packet_kill({});
  }
  reply("");
}

/// ";action:thread;action…": the first action that fits a thread is its own, without a thread it fits all.
/// What no action fits stands still.
void GdbServer::resume_actions(std::string_view text) {
  if (!take_character(text, ';')) return reply_error(GdbError::Invalid);
  std::vector<std::optional<CpuAction>> chosen(target_.cpu_count());
  while (!text.empty()) {
    std::string_view item = take_until(text, ';');
    std::string_view verb = take_until(item, ':');
    const char letter = verb.empty() ? '\0' : verb.front();
    if (letter != 'c' && letter != 'C' && letter != 's' && letter != 'S')
      return reply_error(GdbError::Invalid);
    const CpuAction action = letter == 'c' || letter == 'C' ? CpuAction::Continue : CpuAction::Step;
    const auto thread = item.empty() ? ThreadChoice{ThreadChoice::Kind::All, 0} : parse_thread(item);
    if (!thread) return reply_error(GdbError::NoSuchThread);
    for (unsigned cpu = 0; cpu < chosen.size(); ++cpu) {
      const bool fits = thread->kind == ThreadChoice::Kind::All ||
                        cpu == (thread->kind == ThreadChoice::Kind::One ? thread->cpu : stop_.cpu);
      if (fits && !chosen[cpu]) chosen[cpu] = action;
    }
  }
  std::vector<CpuAction> actions;
  actions.reserve(chosen.size());
  for (const auto& action : chosen) actions.push_back(action.value_or(CpuAction::Stay));
  if (std::ranges::count(actions, CpuAction::Stay) == std::ssize(actions))
    return reply_error(GdbError::Invalid);
  resume(std::move(actions));
}

void GdbServer::resume(std::vector<CpuAction> actions) {
  waiting_ = true;
  target_.resume({.actions = std::move(actions), .step_interrupts = step_interrupts_});
}

// ---- Stopping.

void GdbServer::interrupt() {
  const bool waiting = waiting_;
  waiting_ = false;
  target_.pause();
  // Without a running continue or step gdb expects no report.
  if (!waiting) return;
  const auto runs = [this](unsigned cpu) {
    return target_.cpu_state(cpu).activity == cpu::Activity::Running;
  };
  // What somebody wants to see who interrupts a machine is a processor at work.
  unsigned cpu = stop_.cpu;
  for (unsigned i = 0; i < target_.cpu_count() && !runs(cpu); ++i) {
    if (runs(i)) cpu = i;
  }
  set_stop({.cpu = cpu, .signal = kSignalInterrupt, .detail = {}});
  reply_stop();
}

void GdbServer::stopped(unsigned cpu, StopReason reason, VirtualAddress address) {
  if (!waiting_ || cpu >= target_.cpu_count()) return;
  waiting_ = false;
  set_stop({.cpu = cpu, .signal = signal_of(reason), .detail = describe_stop(reason, address)});
  reply_stop();
}

void GdbServer::exited(uint8_t status) {
  if (waiting_) reply(fmt::format("W{:02x}", status));
  waiting_ = false;
  attached_ = false;
}

/// gdb takes the thread of a report for the one that is chosen from then on.
void GdbServer::set_stop(Stop stop) {
  stop_ = std::move(stop);
  general_thread_ = {ThreadChoice::Kind::One, stop_.cpu};
  resume_thread_ = {};
}

std::string GdbServer::describe_stop(StopReason reason, VirtualAddress address) const {
  if (reason == StopReason::Breakpoint && reports_breakpoint_kind_) {
    const auto kind = stop_points_.breakpoint_at(address);
    return kind ? fmt::format("{}:;", stop_name(*kind)) : "";
  }
  if (reason == StopReason::Watchpoint) {
    const auto kind = stop_points_.watchpoint_at(address);
    return kind ? fmt::format("{}:{:x};", stop_name(*kind), address.value) : "";
  }
  return "";
}

void GdbServer::reply_stop() {
  const cpu::CpuState& state = target_.cpu_state(stop_.cpu);
  std::string payload = fmt::format("T{:02x}{}thread:{:x};", stop_.signal, stop_.detail, stop_.cpu + 1);
  // What gdb asks for first after every stop.
  for (const unsigned number : {kEbpNumber, kEspNumber, kEipNumber}) {
    payload += fmt::format("{:02x}:{};", number, to_hex(read_register(state, number)));
  }
  reply(payload);
}

}  // namespace vitrine::debug

// The packets q… and Q…: what the server can do, threads, target description, monitor commands, settings.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "debug/gdb_server.h"
#include "debug/target_description.h"

namespace vitrine::debug {

struct GdbServer::Query {
  std::string_view name;  // without the q or Q
  void (GdbServer::*handler)(std::string_view arguments);
};

namespace {

// QEMU's manual, "GDB usage", "Advanced debugging options": the bits of its packet sstep.
constexpr uint64_t kStepEnable = 1;
constexpr uint64_t kStepNoInterrupts = 2;
constexpr uint64_t kStepNoTimers = 4;
constexpr uint64_t kStepMasked = kStepEnable | kStepNoInterrupts | kStepNoTimers;

bool offers(std::string_view features, std::string_view wanted) {
  while (!features.empty()) {
    if (take_until(features, ';') == wanted) return true;
  }
  return false;
}

}  // namespace

std::span<const GdbServer::Query> GdbServer::queries() {
  static constexpr std::array kTable = {
      Query{"Supported", &GdbServer::query_supported},
      Query{"C", &GdbServer::query_current_thread},
      Query{"fThreadInfo", &GdbServer::query_first_threads},
      Query{"sThreadInfo", &GdbServer::query_next_threads},
      Query{"ThreadExtraInfo", &GdbServer::query_thread_description},
      Query{"Attached", &GdbServer::query_attached},
      Query{"Symbol", &GdbServer::query_symbol},
      Query{"Rcmd", &GdbServer::query_monitor},
      Query{"Xfer", &GdbServer::query_transfer},
      Query{"qemu.sstepbits", &GdbServer::query_step_bits},
      Query{"qemu.sstep", &GdbServer::query_step},
      Query{"qemu.PhyMemMode", &GdbServer::query_physical_mode},
  };
  return kTable;
}

std::span<const GdbServer::Query> GdbServer::settings() {
  static constexpr std::array kTable = {
      Query{"StartNoAckMode", &GdbServer::set_no_acknowledgements},
      Query{"qemu.sstep", &GdbServer::set_step},
      Query{"qemu.PhyMemMode", &GdbServer::set_physical_mode},
  };
  return kTable;
}

void GdbServer::packet_query(std::string_view arguments) {
  answer_query(queries(), arguments);
}

void GdbServer::packet_set(std::string_view arguments) {
  answer_query(settings(), arguments);
}

void GdbServer::answer_query(std::span<const Query> table, std::string_view packet) {
  const std::string_view name = packet.substr(0, packet.find_first_of(",:;="));
  const auto row = std::ranges::find(table, name, &Query::name);
  if (row == table.end()) return reply("");
  packet.remove_prefix(std::min(packet.size(), name.size() + 1));
  (this->*row->handler)(packet);
}

void GdbServer::query_supported(std::string_view arguments) {
  reports_breakpoint_kind_ = offers(arguments, "swbreak+") && offers(arguments, "hwbreak+");
  reply(
      fmt::format("PacketSize={:x};QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;"
                  "qXfer:features:read+;qXfer:memory-map:read+",
                  kMaxPacket));
}

void GdbServer::set_no_acknowledgements(std::string_view /*arguments*/) {
  reply_ok();
  acknowledge_ = false;
}

// ---- Threads.

void GdbServer::query_current_thread(std::string_view /*arguments*/) {
  reply(fmt::format("QC{:x}", general_cpu() + 1));
}

void GdbServer::query_first_threads(std::string_view /*arguments*/) {
  std::string list = "m";
  for (unsigned cpu = 0; cpu < target_.cpu_count(); ++cpu) {
    list += fmt::format("{}{:x}", cpu == 0 ? "" : ",", cpu + 1);
  }
  reply(list);
}

void GdbServer::query_next_threads(std::string_view /*arguments*/) {
  reply("l");  // the first packet had them all
}

void GdbServer::query_thread_description(std::string_view arguments) {
  const auto thread = parse_thread(arguments);
  if (!thread || thread->kind != ThreadChoice::Kind::One) return reply_error(GdbError::NoSuchThread);
  const std::string_view activity = cpu::activity_name(target_.cpu_state(thread->cpu).activity);
  reply(to_hex(fmt::format("CPU#{} [{}]", thread->cpu, activity)));
}

void GdbServer::query_attached(std::string_view /*arguments*/) {
  reply("1");  // the machine was there before gdb: quitting gdb detaches, and does not kill
}

void GdbServer::query_symbol(std::string_view /*arguments*/) {
  reply_ok();  // no symbol is wanted
}

// ---- The monitor.

void GdbServer::query_monitor(std::string_view arguments) {
  const auto command = from_hex(arguments);
  if (!command) return reply_error(GdbError::Invalid);
  std::string output = target_.execute_monitor_command(std::string(command->begin(), command->end()));
  if (output.size() > kMaxMonitorOutput) {
    const size_t lost = output.size() - kMaxMonitorOutput;
    output.resize(kMaxMonitorOutput);
    output += fmt::format("\n({} more bytes; the monitor itself shows all)\n", lost);
  }
  constexpr size_t kPiece = (kMaxPacket - 1) / 2;
  for (size_t done = 0; done < output.size(); done += kPiece) {
    reply("O" + to_hex(std::string_view(output).substr(done, kPiece)));
  }
  reply_ok();
}

// ---- Documents.

/// "object:read:annex:offset,length"
void GdbServer::query_transfer(std::string_view arguments) {
  const std::string_view object = take_until(arguments, ':');
  const std::string_view operation = take_until(arguments, ':');
  const std::string_view annex = take_until(arguments, ':');
  const bool description = object == "features";
  if ((!description && object != "memory-map") || operation != "read") return reply("");
  if (annex != (description ? "target.xml" : "")) return reply_error(GdbError::Invalid);
  const AvxRegisters avx = target_.has_avx() ? AvxRegisters::Present : AvxRegisters::Absent;
  const std::string document = description ? target_description(avx) : std::string(memory_map());
  const auto offset = take_number(arguments);
  if (!offset || !take_character(arguments, ',')) return reply_error(GdbError::Invalid);
  const auto size = take_number(arguments);
  if (!size || !arguments.empty() || *offset > document.size()) return reply_error(GdbError::Invalid);
  // Every byte may need an escape.
  const size_t length = std::min<uint64_t>(*size, (kMaxPacket - 1) / 2);
  const std::string_view part = std::string_view(document).substr(*offset, length);
  const bool last = *offset + part.size() == document.size();
  reply((last ? "l" : "m") + std::string(part));
}

// ---- QEMU's packets, which gdb sends for `maintenance packet`.

void GdbServer::query_step_bits(std::string_view /*arguments*/) {
  reply(fmt::format("ENABLE={},NOIRQ={},NOTIMER={}", kStepEnable, kStepNoInterrupts, kStepNoTimers));
}

void GdbServer::query_step(std::string_view /*arguments*/) {
  reply(fmt::format("0x{:x}", step_interrupts_ == StepInterrupts::Masked ? kStepMasked : kStepEnable));
}

/// Interrupts and timers are masked together: with either bit both are.
void GdbServer::set_step(std::string_view arguments) {
  if (arguments.starts_with("0x")) arguments.remove_prefix(2);
  const auto bits = take_number(arguments);
  if (!bits || !arguments.empty() || *bits > kStepMasked) return reply_error(GdbError::Invalid);
  const bool masked = (*bits & (kStepNoInterrupts | kStepNoTimers)) != 0;
  step_interrupts_ = masked ? StepInterrupts::Masked : StepInterrupts::Delivered;
  reply_ok();
}

void GdbServer::query_physical_mode(std::string_view /*arguments*/) {
  reply(memory_space_ == MemorySpace::Physical ? "1" : "0");
}

void GdbServer::set_physical_mode(std::string_view arguments) {
  if (arguments != "0" && arguments != "1") return reply_error(GdbError::Invalid);
  memory_space_ = arguments == "1" ? MemorySpace::Physical : MemorySpace::Virtual;
  reply_ok();
}

}  // namespace vitrine::debug

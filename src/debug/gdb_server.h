// The server of gdb's remote serial protocol: one machine, one line, any number of sessions one after the
// other. The machine stops when a debugger comes, and runs on, without breakpoints, when it goes.
//
// Documentation: Debugging with GDB, appendix "GDB Remote Serial Protocol". Implemented: see the table of
// packets in gdb_server.cc and of queries in gdb_queries.cc, among them QEMU's packets for physical memory
// and for interrupts during a single step. Missing: non-stop mode, the multiprocess extension, conditions and
// commands of breakpoints on the server's side (gdb evaluates them itself), file I/O, tracepoints, reverse
// execution. 16-bit code gets no special treatment: gdb is told of an i386 with flat addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "debug/debug_target.h"
#include "debug/gdb_packet.h"
#include "debug/stop_point_set.h"
#include "devices/character_backend.h"

namespace vitrine::debug {

class GdbServer final : private devices::CharacterReceiver {
 public:
  /// The longest packet, without its frame, in either direction.
  static constexpr size_t kMaxPacket = 16384;
  /// What one monitor command can print; the rest is cut off, and the output says so.
  static constexpr size_t kMaxMonitorOutput = size_t{64} << 10;

  /// Both must outlive the server. A session begins when the line reports its carrier or, where there is
  /// always one (a terminal, a pipe), with the first packet.
  GdbServer(devices::CharacterBackend& line, DebugTarget& target);
  ~GdbServer() override;
  GdbServer(const GdbServer&) = delete;
  GdbServer& operator=(const GdbServer&) = delete;

  /// The machine has stopped, because of this vCPU; `address` as in cpu::Exit. Without effect when no
  /// debugger is waiting for it, so that it does no harm to report DebugTarget::pause(), too.
  void stopped(unsigned cpu, StopReason reason, VirtualAddress address = {});
  /// The process is about to end with this status.
  void exited(uint8_t status);

  [[nodiscard]] bool attached() const { return attached_; }
  /// One line for the monitor's `info gdb`.
  [[nodiscard]] std::string describe() const;

 private:
  struct Packet;
  struct Query;
  /// gdb's way to name threads: 0 is any of them, -1 all.
  struct ThreadChoice {
    enum class Kind : uint8_t { One, Any, All } kind = Kind::Any;
    unsigned cpu = 0;
  };
  struct Stop {
    unsigned cpu = 0;
    uint8_t signal = 0;  // in gdb's numbering
    std::string detail;  // "watch:c0101234;"
  };
  enum class MemorySpace : uint8_t { Virtual, Physical };

  // The line. gdb_server.cc
  [[nodiscard]] size_t receive_capacity() const override { return kMaxPacket; }
  void receive(std::span<const uint8_t> data) override;
  void carrier_changed(bool present) override;
  void attach();
  void end_session();
  void take(const PacketEvent& event);
  void dispatch(std::string_view packet);
  void reply(std::string_view payload);
  void reply_ok() { reply("OK"); }
  void reply_error(GdbError error);

  // Packets. gdb_server.cc
  void packet_stop_reason(std::string_view arguments);
  void packet_extended_mode(std::string_view arguments);
  void packet_select_thread(std::string_view arguments);
  void packet_thread_alive(std::string_view arguments);
  void packet_read_registers(std::string_view arguments);
  void packet_write_registers(std::string_view arguments);
  void packet_read_register(std::string_view arguments);
  void packet_write_register(std::string_view arguments);
  void packet_read_memory(std::string_view arguments);
  void packet_write_memory(std::string_view arguments);
  void packet_write_binary(std::string_view arguments);
  void packet_insert_stop_point(std::string_view arguments);
  void packet_remove_stop_point(std::string_view arguments);
  void packet_detach(std::string_view arguments);
  void packet_kill(std::string_view arguments);
  void packet_restart(std::string_view arguments);
  [[nodiscard]] std::optional<ThreadChoice> parse_thread(std::string_view text) const;
  [[nodiscard]] static std::optional<StopPoint> parse_stop_point(std::string_view text);
  void apply_stop_points() { target_.set_stop_points(stop_points_.for_target()); }
  /// The vCPU whose registers and memory are meant.
  [[nodiscard]] unsigned general_cpu() const;
  [[nodiscard]] unsigned register_count() const;
  [[nodiscard]] std::expected<void, GdbError> write_state(cpu::CpuState& state, unsigned number,
                                                          std::span<const uint8_t> bytes) const;
  [[nodiscard]] bool read_memory(uint64_t address, std::span<uint8_t> data) const;
  void write_memory(uint64_t address, uint64_t size, const std::optional<std::vector<uint8_t>>& data);

  // Running and stopping. gdb_resume.cc
  void packet_continue(std::string_view arguments);
  void packet_continue_with_signal(std::string_view arguments);
  void packet_step(std::string_view arguments);
  void packet_step_with_signal(std::string_view arguments);
  void packet_v(std::string_view arguments);
  void resume_classic(CpuAction action, std::string_view address);
  void resume_actions(std::string_view actions);
  void resume(std::vector<CpuAction> actions);
  void interrupt();
  void set_stop(Stop stop);
  void reply_stop();
  [[nodiscard]] std::string describe_stop(StopReason reason, VirtualAddress address) const;

  // Queries. gdb_queries.cc
  void packet_query(std::string_view arguments);
  void packet_set(std::string_view arguments);
  void answer_query(std::span<const Query> table, std::string_view packet);
  void query_supported(std::string_view arguments);
  void query_current_thread(std::string_view arguments);
  void query_first_threads(std::string_view arguments);
  void query_next_threads(std::string_view arguments);
  void query_thread_description(std::string_view arguments);
  void query_attached(std::string_view arguments);
  void query_symbol(std::string_view arguments);
  void query_monitor(std::string_view arguments);
  void query_transfer(std::string_view arguments);
  void query_step_bits(std::string_view arguments);
  void query_step(std::string_view arguments);
  void query_physical_mode(std::string_view arguments);
  void set_no_acknowledgements(std::string_view arguments);
  void set_step(std::string_view arguments);
  void set_physical_mode(std::string_view arguments);

  static std::span<const Packet> packets();
  static std::span<const Query> queries();
  static std::span<const Query> settings();

  devices::CharacterBackend& line_;
  DebugTarget& target_;
  PacketReader reader_{kMaxPacket};
  std::string last_frame_;  // for the debugger that asks for it again
  bool attached_ = false;
  bool acknowledge_ = true;
  bool waiting_ = false;  // the debugger waits for a stop

  // What the debugger has chosen; each session starts anew.
  bool reports_breakpoint_kind_ = false;
  MemorySpace memory_space_ = MemorySpace::Virtual;
  StepInterrupts step_interrupts_ = StepInterrupts::Masked;
  ThreadChoice general_thread_;  // for registers and memory
  ThreadChoice resume_thread_;   // for c and s
  Stop stop_;
  StopPointSet stop_points_;
};

}  // namespace vitrine::debug

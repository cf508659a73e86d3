// Writes what processors and buses report into the event log (`-d int,in_asm,trap,unimp_port,unimp_mem`).
#pragma once

#include "cpu/observer.h"
#include "machine/event_log.h"
#include "machine/pc.h"
#include "memory/unmapped_listener.h"

namespace vitrine::machine {

class EventRecorder final : public cpu::Observer, public memory::UnmappedListener {
 public:
  /// Listens to what the log wants to know; both must outlive it.
  EventRecorder(EventLog& log, Pc& pc);
  ~EventRecorder() override;
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void event(unsigned vcpu, const cpu::CpuState& state, const cpu::Event& event) override;
  void instruction(unsigned vcpu, const cpu::CpuState& state) override;
  void acted(unsigned vcpu, const cpu::CpuState& state, const cpu::MonitorAction& action) override;
  [[nodiscard]] bool wants_instructions() const override { return log_.enabled(LogItem::Instruction); }

  void unmapped_port(uint16_t port, unsigned size, memory::AccessDirection direction,
                     uint32_t value) override;
  void unmapped_memory(uint64_t address, unsigned size, memory::AccessDirection direction,
                       uint64_t value) override;

 private:
  template <typename... Arguments>
  void write_trap(unsigned vcpu, const cpu::CpuState& state, uint32_t eip,
                  fmt::format_string<Arguments...> format, Arguments&&... arguments);

  EventLog& log_;
  Pc& pc_;
  uint64_t traps_ = 0;  // written so far
};

/// The instruction at the vCPU's EIP, with its address, bytes and text; for the log and the monitor.
[[nodiscard]] std::string describe_instruction(const cpu::Vcpu& vcpu, const cpu::CpuState& state);

}  // namespace vitrine::machine

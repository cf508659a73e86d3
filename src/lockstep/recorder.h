// Stands between the interpreter's processor and the machine: ports, memory-mapped devices, the processor's
// bus. Everything goes on to the machine, and while the processor runs into the log. It also notes which
// pages are written, by the processor and by devices.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/processor_bus.h"
#include "cpu/vcpu.h"
#include "lockstep/access_log.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::lockstep {

/// A page of a block of the leader's.
struct PageOf {
  memory::RamBlock* block = nullptr;
  uint64_t page = 0;
  bool operator==(const PageOf&) const = default;
};

class Recorder final : public cpu::ProcessorBus,
                       private memory::PortDevice,
                       private memory::DeviceGate,
                       private memory::WriteObserver,
                       private memory::MapListener {
 public:
  struct Outside {
    memory::PhysicalMap& memory;
    memory::PortMap& ports;
    cpu::ProcessorBus& bus;
  };
  explicit Recorder(const Outside& outside);
  ~Recorder() override;

  /// The I/O ports as the processor is to see them.
  [[nodiscard]] memory::PortMap& ports() { return ports_; }
  /// The processor. It is kicked when something happens, while it runs, that the other engine must see at the
  /// same instruction.
  void connect(cpu::Vcpu& vcpu) { vcpu_ = &vcpu; }

  /// Around each run of the interpreter.
  void begin() { recording_ = true; }
  void end() { recording_ = false; }
  /// A signal to the processor, IGNNE# or the like.
  void signalled();

  /// Instructions executed when an interrupt was taken last.
  [[nodiscard]] uint64_t acknowledged_at() const { return acknowledged_at_; }
  [[nodiscard]] AccessLog& log() { return log_; }
  /// Written by the processor since they were taken last; each once.
  [[nodiscard]] std::vector<PageOf>& processor_pages() { return processor_pages_; }
  /// Written by anybody else.
  [[nodiscard]] std::vector<PageOf>& device_pages() { return device_pages_; }
  [[nodiscard]] bool map_changed() const { return map_changed_; }
  void forget_map_change() { map_changed_ = false; }

  // cpu::ProcessorBus
  std::optional<uint8_t> acknowledge_interrupt(unsigned vcpu) override;
  uint64_t time_stamp(unsigned vcpu) override;
  bool set_apic_base(unsigned vcpu, uint64_t value) override;
  void set_tsc_deadline(unsigned vcpu, uint64_t value) override;
  uint64_t tsc_deadline(unsigned vcpu) override;
  void set_ferr(unsigned vcpu, bool level) override;
  bool write_console(std::span<const uint8_t> text) override;

 private:
  class Depth;

  uint32_t read_port(uint16_t port, unsigned size) override;
  void write_port(uint16_t port, unsigned size, uint32_t value) override;
  uint64_t read_device(memory::MemoryDevice& device, uint64_t offset, PhysicalAddress address,
                       unsigned size) override;
  void write_device(memory::MemoryDevice& device, uint64_t offset, PhysicalAddress address, unsigned size,
                    uint64_t value) override;
  void write_noted(memory::RamBlock& block, uint64_t page) override;
  void physical_map_changed() override;

  [[nodiscard]] bool by_processor() const { return recording_ && depth_ == 0; }

  Outside outside_;
  memory::PortMap ports_;
  cpu::Vcpu* vcpu_ = nullptr;
  uint64_t acknowledged_at_ = ~uint64_t{0};
  AccessLog log_;
  std::vector<PageOf> processor_pages_, device_pages_;
  bool recording_ = false;
  bool map_changed_ = true;
  unsigned depth_ = 0;  // calls into the machine that are on the stack
};

}  // namespace vitrine::lockstep

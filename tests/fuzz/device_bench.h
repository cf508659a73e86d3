// One device of the PC by itself on a bench: its ports and registers, a clock, memory that it can reach, and
// whatever the outside world can do to it (bytes that arrive, keys, media). The fuzz targets for devices and
// for saved states share it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/state_archive.h"
#include "devices/irq_line.h"
#include "fuzz/fuzz_input.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::fuzz {

class DeviceBench;

/// A device, and how to put it on the bench.
struct DeviceRow {
  std::string_view name;
  void (*make)(DeviceBench& bench);
};
[[nodiscard]] std::span<const DeviceRow> device_rows();

class DeviceBench final : public devices::IrqSink {
 public:
  static constexpr uint32_t kRamSize = 1 << 20;

  explicit DeviceBench(const DeviceRow& row);
  ~DeviceBench() override;

  /// One thing that a guest or the outside world does.
  void step(FuzzInput& input);
  void serialize(StateArchive& archive);

  // For the rows.

  /// Keeps the part for as long as the bench; the last one made goes first.
  template <typename T, typename... Arguments>
  T& own(Arguments&&... arguments) {
    auto part = std::make_shared<T>(std::forward<Arguments>(arguments)...);
    owned_.push_back(part);
    return *part;
  }
  /// The same for a part with state.
  template <typename T, typename... Arguments>
  T& own_serializable(Arguments&&... arguments) {
    T& part = own<T>(std::forward<Arguments>(arguments)...);
    serializable_.push_back(&part);
    return part;
  }
  /// Maps the device at these ports; traffic goes there.
  void map(uint16_t first, unsigned count, memory::PortDevice& device,
           memory::PortWidth width = memory::PortWidth::Byte) {
    ports.map(first, count, device, width);
    add_ports(first, count);
  }
  /// Ports that the device maps itself.
  void add_ports(uint16_t first, unsigned count) { port_ranges_.push_back({first, count}); }
  /// An address range for traffic. Offsets within it come from `input`, small ones mostly.
  void add_window(uint64_t start, uint64_t size) { windows_.push_back({start, size}); }
  void add_event(std::function<void(FuzzInput& input)> event) { events_.push_back(std::move(event)); }
  [[nodiscard]] devices::IrqLine line(unsigned number) { return devices::IrqLine(*this, number); }

  ManualClock clock;
  memory::PortMap ports;
  memory::PhysicalMap memory;
  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", kRamSize).value();

 private:
  void set_irq_line(unsigned /*line*/, bool /*level*/) override { ++interrupts_; }
  void port_access(FuzzInput& input);
  void memory_access(FuzzInput& input);
  void advance(FuzzInput& input);

  struct PortRange {
    uint16_t first;
    unsigned count;
  };
  struct Window {
    uint64_t start, size;
  };
  std::vector<std::shared_ptr<void>> owned_;
  std::vector<Serializable*> serializable_;
  std::vector<PortRange> port_ranges_;
  std::vector<Window> windows_;
  std::vector<std::function<void(FuzzInput&)>> events_;
  uint64_t interrupts_ = 0;
};

}  // namespace vitrine::fuzz

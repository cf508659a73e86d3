// The 64 KiB I/O port space: which device answers at which port.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "inspect/device_counters.h"
#include "memory/unmapped_listener.h"

namespace vitrine::memory {

/// A device with I/O ports. `port` is the full port number; `size` is 1, 2 or 4 and at most the width that
/// the device was mapped with.
class PortDevice {
 public:
  virtual ~PortDevice() = default;
  /// As statistics call it; devices of one kind may share a name.
  [[nodiscard]] virtual std::string_view name() const { return "unnamed"; }
  [[nodiscard]] virtual uint32_t read_port(uint16_t port, unsigned size) = 0;
  virtual void write_port(uint16_t port, unsigned size, uint32_t value) = 0;

  // For `rep ins` and `rep outs`. As many accesses of `size` bytes to one port as the device can do in one
  // go, with exactly their effect, and at most as many as `data` has room for (a multiple of `size`); gives
  // the bytes that were moved. Zero: the next access has to go through read_port() or write_port(). A device
  // stops at the end of whatever changes its state beyond the data moved, such as a block that leads to an
  // interrupt.
  [[nodiscard]] virtual size_t read_port_block(uint16_t /*port*/, unsigned /*size*/,
                                               std::span<uint8_t> /*data*/) {
    return 0;
  }
  [[nodiscard]] virtual size_t write_port_block(uint16_t /*port*/, unsigned /*size*/,
                                                std::span<const uint8_t> /*data*/) {
    return 0;
  }
};

/// The widest access a device takes as one. A wider one is split into several at ascending ports, as a bus
/// does.
enum class PortWidth : uint8_t { Byte = 1, Word = 2, Dword = 4 };

class PortMap {
 public:
  PortMap();
  PortMap(const PortMap&) = delete;
  PortMap& operator=(const PortMap&) = delete;

  /// `count` ports from `first`. The latest mapping of a port wins until it is unmapped. The device must
  /// outlive it.
  void map(uint16_t first, unsigned count, PortDevice& device, PortWidth width = PortWidth::Byte);
  /// Takes away this device's mapping of these ports; what was mapped below shows again.
  void unmap(uint16_t first, unsigned count, PortDevice& device);

  /// `size` is 1, 2 or 4 bytes. Ports that nobody answers read as all ones; writes to them are lost.
  [[nodiscard]] uint32_t read(uint16_t port, unsigned size);
  void write(uint16_t port, unsigned size, uint32_t value);
  /// PortDevice's block transfer, where one device takes accesses of this size whole; elsewhere zero.
  [[nodiscard]] size_t read_block(uint16_t port, unsigned size, std::span<uint8_t> data);
  [[nodiscard]] size_t write_block(uint16_t port, unsigned size, std::span<const uint8_t> data);
  void set_unmapped_listener(UnmappedListener* listener) { unmapped_ = listener; }
  /// Who was accessed how often.
  [[nodiscard]] const inspect::DeviceCounters& accesses() const { return accesses_; }
  /// Whether any device answers at the port.
  [[nodiscard]] bool mapped(uint16_t port) const { return slots_[port] != 0; }

 private:
  struct Range {
    PortDevice* device;
    uint16_t first;
    unsigned count;
    PortWidth width;
    inspect::DeviceCounter* counter;
  };

  /// How many bytes of an access of `size` at `port` go to one device as one access.
  [[nodiscard]] unsigned piece(uint16_t port, unsigned size) const;
  /// The range that takes an access as one, or null.
  [[nodiscard]] Range* whole(uint16_t port, unsigned size);
  void rebuild();

  std::vector<Range> ranges_;            // in order of age; slot 0 is nobody
  std::array<uint16_t, 65536> slots_{};  // port → index into ranges_ + 1, or 0
  UnmappedListener* unmapped_ = nullptr;
  inspect::DeviceCounters accesses_;
  inspect::DeviceCounter& nobody_;
};

}  // namespace vitrine::memory

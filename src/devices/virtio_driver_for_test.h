// The driver's side of a virtio PCI function, for the tests of devices: finds the registers as a driver does,
// negotiates, makes rings in guest memory, and waits for used buffers.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/irq_sink_for_test.h"
#include "devices/pci_bus.h"
#include "devices/virtio_pci.h"

namespace vitrine::devices {

/// A machine with one virtio function in slot 3.
struct VirtioMachineForTest {
  static constexpr uint64_t kRamSize = 1 << 20;
  static constexpr uint16_t kLegacyPort = 0xc000;
  static constexpr uint32_t kMsixWindow = 0xfe000000;
  static constexpr uint32_t kModernWindow = 0xfe100000;

  VirtioMachineForTest() {
    memory.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram, 0));
    const IrqLine wire(line, 0);
    bus.connect_pirqs({wire, wire, wire, wire});
  }

  void attach(VirtioPci& function) {
    bus.attach(function, 3);
    config(0x10, 4, kLegacyPort);
    config(0x14, 4, kMsixWindow);
    config(0x20, 4, kModernWindow);
    config(0x04, 2, 7);
  }

  void config(unsigned offset, unsigned size, uint32_t value) {
    ports.write(0xcf8, 4, 0x80001800 | (offset & ~3u));
    ports.write(static_cast<uint16_t>(0xcfc + (offset & 3)), size, value);
  }
  uint32_t config(unsigned offset, unsigned size) {
    ports.write(0xcf8, 4, 0x80001800 | (offset & ~3u));
    return ports.read(static_cast<uint16_t>(0xcfc + (offset & 3)), size);
  }
  /// Offset of a capability of this kind, for virtio's with this type; 0: none.
  unsigned capability(uint8_t id, uint8_t type = 0) {
    for (unsigned at = config(0x34, 1); at != 0; at = config(at + 1, 1)) {
      if (config(at, 1) == id && (id != 9 || config(at + 3, 1) == type)) return at;
    }
    return 0;
  }
  void modern(uint64_t offset, unsigned size, uint64_t value) {
    memory.write(PhysicalAddress(kModernWindow + offset), size, value);
  }
  uint64_t modern(uint64_t offset, unsigned size) {
    return memory.read(PhysicalAddress(kModernWindow + offset), size);
  }

  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", kRamSize).value();
  memory::PhysicalMap memory;
  memory::PortMap ports;
  PciBus bus{ports, memory};
  IrqSinkForTest line;
  ManualClock clock;
};

/// Remembers which watched pages were announced, and how much of them.
struct PageWatcherForTest : memory::WriteListener {
  uint8_t watched_bytes_written(memory::RamBlock&, uint64_t page, unsigned, unsigned size, uint8_t) override {
    pages.emplace_back(page, size);
    return 0;
  }
  std::vector<std::pair<uint64_t, unsigned>> pages;
};

enum class VirtioDialect : uint8_t { Legacy, Modern };
inline std::string virtio_dialect_name(const testing::TestParamInfo<VirtioDialect>& instance) {
  return instance.param == VirtioDialect::Legacy ? "Legacy" : "Modern";
}

/// Rings of one queue lie in one piece, as legacy drivers lay them out; modern ones may do so too.
class VirtioDriverForTest {
 public:
  struct Buffer {
    uint64_t address;
    uint32_t size;
    bool device_writes = false;
  };
  struct Used {
    uint32_t head;
    uint32_t written;
  };

  VirtioDriverForTest(VirtioMachineForTest& machine, VirtioDialect dialect)
      : machine_(machine), dialect_(dialect) {}

  uint64_t offered() {
    if (legacy()) return port(0, 4);
    machine_.modern(0, 4, 1);
    const uint64_t high = machine_.modern(4, 4);
    machine_.modern(0, 4, 0);
    return high << 32 | machine_.modern(4, 4);
  }
  /// Everything up to DRIVER_OK, with these features (if offered) and all queues.
  void start(uint64_t features = ~uint64_t{0}) {
    status(0);
    status(1);
    status(3);
    accepted_ = offered() & features;
    if (legacy()) {
      port(4, 4, static_cast<uint32_t>(accepted_));
    } else {
      for (uint32_t half = 0; half < 2; ++half) {
        machine_.modern(8, 4, half);
        machine_.modern(12, 4, accepted_ >> 32 * half & 0xffffffff);
      }
      status(3 | 8);
      ASSERT_EQ(status() & 8, 8) << "features refused";
    }
    for (uint16_t i = 0; make_queue(i); ++i) {
    }
    status(status() | 4);
  }
  void status(uint8_t value) { legacy() ? port(18, 1, value) : machine_.modern(20, 1, value); }
  uint8_t status() { return static_cast<uint8_t>(legacy() ? port(18, 1) : machine_.modern(20, 1)); }
  uint8_t isr() { return static_cast<uint8_t>(legacy() ? port(19, 1) : machine_.modern(0x1000, 1)); }
  uint32_t config(unsigned offset, unsigned size) {
    if (legacy()) return port(20 + offset, size);
    return static_cast<uint32_t>(machine_.modern(0x2000 + offset, size));
  }
  void config(unsigned offset, unsigned size, uint32_t value) {
    legacy() ? port(20 + offset, size, value) : machine_.modern(0x2000 + offset, size, value);
  }

  /// Makes a chain available, and notifies.
  uint16_t send(uint16_t queue, std::span<const Buffer> buffers) {
    const uint16_t head = offer(queue, buffers);
    notify(queue);
    return head;
  }
  uint16_t send(uint16_t queue, std::initializer_list<Buffer> buffers) {
    return send(queue, std::span(buffers.begin(), buffers.size()));
  }
  uint16_t offer(uint16_t queue, std::span<const Buffer> buffers) {
    Queue& q = queues_.at(queue);
    const uint16_t head = q.next_descriptor;
    for (size_t i = 0; i < buffers.size(); ++i) {
      const bool last = i + 1 == buffers.size();
      const uint16_t at = q.next_descriptor;
      q.next_descriptor = static_cast<uint16_t>((at + 1) % q.size);
      descriptor(q.start + 16 * at, buffers[i],
                 static_cast<uint16_t>((last ? 0 : 1) | (buffers[i].device_writes ? 2 : 0)),
                 q.next_descriptor);
    }
    make_available(queue, head);
    return head;
  }
  void make_available(uint16_t queue, uint16_t head) {
    Queue& q = queues_.at(queue);
    put<uint16_t>(available(q) + 4 + 2 * (q.next_available % q.size), head);
    put<uint16_t>(available(q) + 2, ++q.next_available);
  }
  void descriptor(uint64_t at, const Buffer& buffer, uint16_t flags, uint16_t next) {
    put<uint64_t>(at, buffer.address);
    put<uint32_t>(at + 8, buffer.size);
    put<uint16_t>(at + 12, flags);
    put<uint16_t>(at + 14, next);
  }
  void notify(uint16_t queue) {
    legacy() ? port(16, 2, queue) : machine_.modern(0x3000 + 4 * queue, 2, queue);
  }
  /// The next used buffer, if there is one.
  std::optional<Used> used(uint16_t queue) {
    Queue& q = queues_.at(queue);
    if (get<uint16_t>(used_ring(q) + 2) == q.next_used) return std::nullopt;
    const uint64_t at = used_ring(q) + 4 + 8 * (q.next_used++ % q.size);
    return Used{get<uint32_t>(at), get<uint32_t>(at + 4)};
  }
  /// "Interrupt me when the used index has passed this."
  void used_event(uint16_t queue, uint16_t index) {
    Queue& q = queues_.at(queue);
    put<uint16_t>(available(q) + 4 + 2 * q.size, index);
  }
  uint16_t available_event(uint16_t queue) {
    Queue& q = queues_.at(queue);
    return get<uint16_t>(used_ring(q) + 4 + 8 * q.size);
  }
  /// Address of the queue's descriptors, then of its available and used rings.
  uint64_t descriptors(uint16_t queue) { return queues_.at(queue).start; }
  uint64_t available(uint16_t queue) { return available(queues_.at(queue)); }
  uint64_t used_ring(uint16_t queue) { return used_ring(queues_.at(queue)); }
  uint16_t size(uint16_t queue) { return static_cast<uint16_t>(queues_.at(queue).size); }

  template <typename T>
  void put(uint64_t address, T value) {
    std::memcpy(machine_.ram->data() + address, &value, sizeof value);
  }
  template <typename T>
  T get(uint64_t address) {
    T value{};
    std::memcpy(&value, machine_.ram->data() + address, sizeof value);
    return value;
  }

  uint32_t port(unsigned offset, unsigned size) {
    return machine_.ports.read(static_cast<uint16_t>(VirtioMachineForTest::kLegacyPort + offset), size);
  }
  void port(unsigned offset, unsigned size, uint32_t value) {
    machine_.ports.write(static_cast<uint16_t>(VirtioMachineForTest::kLegacyPort + offset), size, value);
  }

 private:
  struct Queue {
    uint64_t start = 0;
    uint64_t size = 0;
    uint16_t next_descriptor = 0;
    uint16_t next_available = 0;
    uint16_t next_used = 0;
  };
  [[nodiscard]] bool legacy() const { return dialect_ == VirtioDialect::Legacy; }
  static uint64_t available(const Queue& queue) { return queue.start + 16 * queue.size; }
  static uint64_t used_ring(const Queue& queue) {
    return (available(queue) + 6 + 2 * queue.size + 4095) & ~uint64_t{4095};
  }

  bool make_queue(uint16_t index) {
    legacy() ? port(14, 2, index) : machine_.modern(22, 2, index);
    const uint64_t size = legacy() ? port(12, 2) : machine_.modern(24, 2);
    if (size == 0) return false;
    Queue queue{.start = 0x10000 + uint64_t{index} * 0x8000, .size = size};
    std::memset(machine_.ram->data() + queue.start, 0, 0x8000);
    if (legacy()) {
      port(8, 4, static_cast<uint32_t>(queue.start >> 12));
    } else {
      machine_.modern(32, 8, queue.start);
      machine_.modern(40, 8, available(queue));
      machine_.modern(48, 8, used_ring(queue));
      machine_.modern(28, 2, 1);
    }
    queues_[index] = queue;
    return true;
  }

  VirtioMachineForTest& machine_;
  VirtioDialect dialect_;
  uint64_t accepted_ = 0;
  std::map<uint16_t, Queue> queues_;
};

}  // namespace vitrine::devices

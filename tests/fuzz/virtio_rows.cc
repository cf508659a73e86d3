#include "fuzz/virtio_rows.h"

#include <algorithm>

#include "devices/block_backend_for_test.h"
#include "devices/pci_bus.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_block.h"
#include "devices/virtio_console.h"
#include "devices/virtio_entropy.h"
#include "devices/virtio_pci.h"
#include "machine/simple_character_backends.h"

namespace vitrine::fuzz {
namespace {

constexpr uint16_t kLegacyPort = 0xc000;
constexpr uint32_t kMsixWindow = 0xfe000000;
constexpr uint32_t kModernWindow = 0xfe100000;
constexpr uint32_t kQueueStride = 0x4000;
constexpr uint32_t kQueues = 0x10000;
constexpr uint32_t kBuffers = 0x40000;

struct NoMessages final : devices::MessageSink {
  void send_message(uint64_t, uint32_t) override {}
};

void config(DeviceBench& bench, unsigned offset, uint32_t value) {
  bench.ports.write(0xcf8, 4, 0x80001800 | offset);
  bench.ports.write(0xcfc, 4, value);
}

void modern(DeviceBench& bench, unsigned offset, unsigned size, uint64_t value) {
  bench.memory.write(PhysicalAddress(kModernWindow + offset), size, value);
}

/// What a driver does before DRIVER_OK; some of it is left out now and then.
void start(DeviceBench& bench, FuzzInput& input, unsigned queues) {
  const uint8_t wrong = input.byte();
  modern(bench, 20, 1, 0);
  modern(bench, 20, 1, 3);
  for (uint32_t half = 0; half < 2; ++half) {
    modern(bench, 0, 4, half);
    const uint64_t offered = bench.memory.read(PhysicalAddress(kModernWindow + 4), 4);
    modern(bench, 8, 4, half);
    modern(bench, 12, 4, (wrong & 7) == 1 ? input.value() : offered);
  }
  if ((wrong & 0x38) != 8) modern(bench, 20, 1, 11);
  for (unsigned i = 0; i < queues; ++i) {
    const uint64_t at = kQueues + i * kQueueStride;
    modern(bench, 22, 2, i);
    modern(bench, 24, 2, 1u << input.below(9));
    modern(bench, 32, 8, (wrong & 0xc0) == 0x40 ? input.value() : at);
    modern(bench, 40, 8, at + 0x1000);
    modern(bench, 48, 8, at + 0x2000);
    modern(bench, 28, 2, 1);
    modern(bench, 26, 2, input.below(4));
  }
  modern(bench, 20, 1, 15);
}

/// Descriptors, an entry in the available ring, and a notification.
void offer(DeviceBench& bench, FuzzInput& input, unsigned queues) {
  const unsigned queue = input.below(queues);
  const uint64_t at = kQueues + queue * kQueueStride;
  const unsigned count = 1 + input.below(6);
  for (unsigned i = 0; i < count; ++i) {
    const uint8_t how = input.byte();
    const uint64_t descriptor = at + 16 * i;
    const uint64_t address = (how & 0x30) == 0x30 ? input.value() : kBuffers + 0x200 * input.byte();
    bench.memory.write(PhysicalAddress(descriptor), 8, address);
    bench.memory.write(PhysicalAddress(descriptor + 8), 4,
                       (how & 0xc0) == 0 ? input.value()
                       : i == 0          ? 16
                                         : 1u << input.below(12));
    const unsigned write = i * 2 >= count || (how & 8) != 0 ? 2 : 0;
    bench.memory.write(PhysicalAddress(descriptor + 12), 2,
                       (i + 1 < count ? 1 : 0) | write | ((how & 7) == 0 ? 4 : 0));
    bench.memory.write(PhysicalAddress(descriptor + 14), 2, (how & 7) == 1 ? input.byte() : i + 1);
  }
  // A header for who reads one, and mostly a small number.
  bench.memory.write(PhysicalAddress(kBuffers + 0x200 * input.byte()), 8, input.below(12));
  const uint64_t index = bench.memory.read(PhysicalAddress(at + 0x1002), 2);
  bench.memory.write(PhysicalAddress(at + 0x1004 + 2 * (index & 0xff)), 2, 0);
  bench.memory.write(PhysicalAddress(at + 0x1002), 2, index + (input.below(16) == 0 ? input.byte() : 1));
  modern(bench, 0x3000 + 4 * queue, 2, queue);
}

devices::VirtioPci& attach(DeviceBench& bench, std::unique_ptr<devices::VirtioDevice> device) {
  const unsigned queues = device->queue_count();
  auto& messages = bench.own<NoMessages>();
  auto& bus = bench.own_serializable<devices::PciBus>(bench.ports, bench.memory);
  auto& function = bench.own_serializable<devices::VirtioPci>(std::move(device),
                                                              devices::VirtioInterfaces::Both, &messages);
  bus.attach(function, 3);
  const auto place = [&bench] {
    config(bench, 0x10, kLegacyPort);
    config(bench, 0x14, kMsixWindow);
    config(bench, 0x20, kModernWindow);
    config(bench, 0x04, 7);
  };
  place();
  bench.add_ports(0xcf8, 8);
  bench.add_ports(kLegacyPort, 0x20);
  bench.add_window(kModernWindow, 0x40);
  bench.add_window(kModernWindow, 0x4000);
  bench.add_window(kMsixWindow, 0x1000);
  bench.add_window(kQueues, queues * kQueueStride);
  bench.add_event([&bench, queues](FuzzInput& input) { start(bench, input, queues); });
  for (unsigned i = 0; i < 3; ++i) {  // mostly this
    bench.add_event([&bench, queues](FuzzInput& input) { offer(bench, input, queues); });
  }
  bench.add_event([&bench](FuzzInput& input) {  // the legacy way to a queue
    bench.ports.write(kLegacyPort + 14, 2, input.below(4));
    bench.ports.write(kLegacyPort + 8, 4, input.flag() ? input.below(0x100) : input.value());
    bench.ports.write(kLegacyPort + 16, 2, input.below(4));
  });
  bench.add_event([&bus, &bench, place](FuzzInput& input) {
    if (input.below(4) == 0) bus.reset();
    place();
    config(bench, 0x04, input.below(8) == 0 ? input.value() : 7);
  });
  bench.add_event([&bench](FuzzInput& input) {  // capabilities
    config(bench, 0x40 + 4 * input.below(40), input.value());
  });
  return function;
}

}  // namespace

void make_virtio_block(DeviceBench& bench) {
  auto& disk = bench.own<devices::BlockBackendForTest>(77'777);
  disk.fail_reads_at = 10'000;
  disk.fail_writes_at = 20'000;
  attach(bench, std::make_unique<devices::VirtioBlock>(bench.clock, disk, "fuzz"));
}

void make_virtio_console(DeviceBench& bench) {
  auto& backend = bench.own<machine::MemoryCharacterBackend>();
  attach(bench, std::make_unique<devices::VirtioConsole>(bench.clock, backend));
  bench.add_event([&backend](FuzzInput& input) {
    const auto text = input.bytes(input.below(40));
    backend.type(std::string(text.begin(), text.end()));
    if (backend.waiting() > 4096) backend.take();
  });
}

void make_virtio_entropy(DeviceBench& bench) {
  attach(bench, std::make_unique<devices::VirtioEntropy>(bench.clock, [](std::span<uint8_t> data) {
           std::ranges::fill(data, uint8_t{0x5a});
           return true;
         }));
}

void make_virtio_balloon(DeviceBench& bench) {
  auto balloon = std::make_unique<devices::VirtioBalloon>(
      bench.clock, *bench.ram,
      devices::VirtioBalloon::Options{.deflate_on_out_of_memory = true, .reporting = true});
  devices::VirtioBalloon& device = *balloon;
  attach(bench, std::move(balloon));
  bench.add_event([&device](FuzzInput& input) { device.ask_for(input.value()); });
}

}  // namespace vitrine::fuzz

// A machine for the debugger's tests: memory, registers, and a record of what was asked of it. It executes
// nothing by itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "debug/debug_target.h"
#include "devices/character_backend.h"

namespace vitrine::debug {

class DebugTargetForTest final : public DebugTarget {
 public:
  static constexpr uint32_t kMemoryBase = 0x100000;
  static constexpr uint32_t kMemorySize = 2 * kPageSize;
  static constexpr uint64_t kPhysicalBase = 0x40'0000'0000;

  explicit DebugTargetForTest(unsigned cpus) : states(cpus), memory(kMemorySize), physical(kPageSize) {}

  unsigned cpu_count() const override { return static_cast<unsigned>(states.size()); }
  bool has_avx() const override { return avx; }
  const cpu::CpuState& cpu_state(unsigned cpu) const override { return states.at(cpu); }
  void set_cpu_state(unsigned cpu, const cpu::CpuState& state) override {
    states.at(cpu) = state;
    ++state_changes;
  }

  bool read_virtual(unsigned cpu, VirtualAddress address, std::span<uint8_t> data) const override {
    memory_cpu = cpu;
    return copy_out(memory, address.value, kMemoryBase, data);
  }
  bool write_virtual(unsigned cpu, VirtualAddress address, std::span<const uint8_t> data) override {
    memory_cpu = cpu;
    return copy_in(memory, address.value, kMemoryBase, data);
  }
  bool read_physical(PhysicalAddress address, std::span<uint8_t> data) const override {
    return copy_out(physical, address.value, kPhysicalBase, data);
  }
  bool write_physical(PhysicalAddress address, std::span<const uint8_t> data) override {
    return copy_in(physical, address.value, kPhysicalBase, data);
  }

  void set_stop_points(const StopPoints& points) override { stop_points = points; }

  bool running() const override { return is_running; }
  void pause() override {
    is_running = false;
    ++pauses;
  }
  void resume(const ResumeRequest& wanted) override {
    is_running = true;
    requests.push_back(wanted);
  }
  void reset() override { ++resets; }
  void quit() override { ++quits; }

  std::string execute_monitor_command(std::string_view line) override {
    commands.emplace_back(line);
    return monitor_output;
  }

  std::vector<cpu::CpuState> states;
  bool avx = false;
  std::vector<uint8_t> memory;
  std::vector<uint8_t> physical;
  mutable unsigned memory_cpu = 99;
  unsigned state_changes = 0;
  StopPoints stop_points;
  bool is_running = true;
  unsigned pauses = 0;
  unsigned resets = 0;
  unsigned quits = 0;
  std::vector<ResumeRequest> requests;
  std::vector<std::string> commands;
  std::string monitor_output;

 private:
  static bool inside(const std::vector<uint8_t>& bytes, uint64_t address, uint64_t base, size_t size) {
    return address >= base && address - base <= bytes.size() && size <= bytes.size() - (address - base);
  }
  static bool copy_out(const std::vector<uint8_t>& bytes, uint64_t address, uint64_t base,
                       std::span<uint8_t> data) {
    if (!inside(bytes, address, base, data.size())) return false;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(address - base), data.size(), data.begin());
    return true;
  }
  static bool copy_in(std::vector<uint8_t>& bytes, uint64_t address, uint64_t base,
                      std::span<const uint8_t> data) {
    if (!inside(bytes, address, base, data.size())) return false;
    std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(address - base));
    return true;
  }
};

/// The debugger's end of the line: collects what the server sends.
class LineForTest final : public devices::CharacterBackend {
 public:
  void send(std::span<const uint8_t> data) override { sent.append(data.begin(), data.end()); }
  void set_receiver(devices::CharacterReceiver* wanted) override { receiver = wanted; }
  bool carrier() const override { return connected; }

  void connect() {
    connected = true;
    receiver->carrier_changed(true);
  }
  void disconnect() {
    connected = false;
    receiver->carrier_changed(false);
  }
  void type(std::string_view bytes) { receiver->receive(std::vector<uint8_t>(bytes.begin(), bytes.end())); }
  std::string take_sent() { return std::exchange(sent, {}); }

  std::string sent;
  devices::CharacterReceiver* receiver = nullptr;
  bool connected = false;
};

}  // namespace vitrine::debug

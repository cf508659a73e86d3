// A processor with memory for tests: loads bytes, runs them in real, 16- or 32-bit protected mode, with or
// without paging.
//
//   TestMachine m;                            // 32-bit protected mode, flat, CPL 0, code at kCode, stack
//   below kStack m.run_code({0x40});                       // inc eax EXPECT_EQ(m.state().gpr[x86::kEax],
//   1u);
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/vcpu.h"
#include "x86/control_registers.h"
#include "x86/flags.h"

namespace vitrine::cpu {

/// A bus on which tests put interrupts.
struct TestBus : ProcessorBus {
  std::deque<uint8_t> interrupts;  ///< Vectors that INTA answers with, in order.
  uint64_t ticks = 0;
  uint64_t deadline = 0;
  bool ferr = false;
  bool has_console = false;
  std::string console;
  Vcpu* cpu = nullptr;

  std::optional<uint8_t> acknowledge_interrupt(unsigned /*vcpu*/) override {
    if (interrupts.empty()) return std::nullopt;
    const uint8_t vector = interrupts.front();
    interrupts.pop_front();
    if (interrupts.empty() && cpu != nullptr) cpu->set_interrupt_request(false);
    return vector;
  }
  uint64_t time_stamp(unsigned /*vcpu*/) override { return ticks; }
  bool set_apic_base(unsigned /*vcpu*/, uint64_t /*value*/) override { return true; }
  void set_tsc_deadline(unsigned /*vcpu*/, uint64_t value) override { deadline = value; }
  uint64_t tsc_deadline(unsigned /*vcpu*/) override { return deadline; }
  void set_ferr(unsigned /*vcpu*/, bool level) override { ferr = level; }
  bool write_console(std::span<const uint8_t> text) override {
    if (has_console) console.append(text.begin(), text.end());
    return has_console;
  }
};

/// What a machine starts as.
enum class TestMode : uint8_t { Real, Protected16, Protected32 };

class TestMachine {
 public:
  static constexpr uint32_t kRamSize = 4 << 20;
  static constexpr uint32_t kGdt = 0x1000;
  static constexpr uint32_t kIdt = 0x2000;
  static constexpr uint32_t kCode = 0x8000;
  static constexpr uint32_t kData = 0x20000;
  static constexpr uint32_t kStack = 0x10000;
  static constexpr uint32_t kHandlers = 0x30000;  ///< See trap_exceptions().
  static constexpr uint32_t kPageDirectory = 0x100000;
  // Selectors of the flat segments in the table at kGdt.
  static constexpr uint16_t kCode32 = 0x08, kData32 = 0x10, kCode16 = 0x18, kData16 = 0x20, kUserCode = 0x2b,
                            kUserData = 0x33;

  explicit TestMachine(TestMode mode = TestMode::Protected32, std::string_view model = "max")
      : model_(CpuModel::create(model).value()) {
    map.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram, 0));
    cpu = std::make_unique<Vcpu>(CoreEnvironment{map, ports, bus, model_});
    bus.cpu = cpu.get();
    write_gdt();
    enter(mode);
  }

  [[nodiscard]] CpuState& state() { return cpu->state(); }
  [[nodiscard]] uint32_t& reg(x86::Gpr which) { return state().gpr[which]; }

  void write(uint32_t address, std::span<const uint8_t> bytes) { map.write(PhysicalAddress(address), bytes); }
  void write(uint32_t address, std::initializer_list<uint8_t> bytes) {
    write(address, std::span(bytes.begin(), bytes.size()));
  }
  template <typename T>
  void put(uint32_t address, T value) {
    map.write(PhysicalAddress(address), sizeof value, value);
  }
  template <typename T>
  [[nodiscard]] T at(uint32_t address) const {
    return static_cast<T>(map.read(PhysicalAddress(address), sizeof(T)));
  }

  /// Puts the code at kCode, followed by HLT, and runs it from there until something ends it. At most
  /// `budget` instructions.
  Exit run_code(std::initializer_list<uint8_t> bytes, uint64_t budget = 100'000) {
    load_code(bytes);
    return run(budget);
  }
  void load_code(std::initializer_list<uint8_t> bytes) {
    std::vector<uint8_t> code(bytes);
    code.push_back(0xf4);
    write(kCode, code);
    state().eip = state().segments[x86::kCs].base == 0 ? kCode : 0;
    state().activity = Activity::Running;
  }
  Exit run(uint64_t budget = 100'000) {
    cpu->state_changed();
    return cpu->run(budget);
  }

  /// Fills the IDT: each vector has a 32-bit interrupt gate to a HLT of its own, at kHandlers + vector. Then
  /// exception() says what happened.
  void trap_exceptions() {
    for (uint32_t vector = 0; vector < 256; ++vector) {
      put<uint8_t>(kHandlers + vector, 0xf4);
      set_gate(vector, kHandlers + vector, 0xee00);
    }
  }
  void set_gate(uint32_t vector, uint32_t offset, uint16_t type) {
    put<uint32_t>(kIdt + vector * 8, uint32_t{kCode32} << 16 | (offset & 0xffff));
    put<uint32_t>(kIdt + vector * 8 + 4, (offset & 0xffff0000) | type);
  }
  /// Which handler of trap_exceptions() the processor stopped in, or -1.
  [[nodiscard]] int exception() {
    const uint32_t eip = state().eip;
    return eip > kHandlers && eip <= kHandlers + 256 ? static_cast<int>(eip - kHandlers - 1) : -1;
  }
  /// The doubleword `n` on the stack.
  [[nodiscard]] uint32_t stacked(unsigned n) { return at<uint32_t>(reg(x86::kEsp) + 4 * n); }

  /// Maps the RAM one to one with 4 KiB pages for everybody, at kPageDirectory and behind; does not turn
  /// paging on.
  void make_page_tables() {
    put<uint32_t>(kPageDirectory, (kPageDirectory + 0x1000) | 7);
    for (uint32_t page = 0; page < 1024; ++page) set_page(page << kPageShift, page << kPageShift | 7);
    state().cr3 = kPageDirectory;
  }
  void set_page(uint32_t linear, uint32_t entry) {
    put<uint32_t>(kPageDirectory + 0x1000 + (linear >> kPageShift) * 4, entry);
  }
  [[nodiscard]] uint32_t page(uint32_t linear) const {
    return at<uint32_t>(kPageDirectory + 0x1000 + (linear >> kPageShift) * 4);
  }
  void enable_paging() {
    make_page_tables();
    state().cr0 |= x86::kCr0Pg;
  }

  void enter(TestMode mode) {
    CpuState& s = state();
    const bool real = mode == TestMode::Real;
    const uint32_t big = mode == TestMode::Protected32 ? 0x00c00000 : 0;
    const uint32_t limit = mode == TestMode::Protected32 ? 0xffffffff : 0xffff;
    s.cr0 = real ? 0x10u : 0x11u;
    s.cpl = 0;
    const uint16_t code = mode == TestMode::Protected32 ? kCode32 : kCode16;
    const uint16_t data = mode == TestMode::Protected32 ? kData32 : kData16;
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
      s.segments[i] = {real ? uint16_t{0} : data, 0x9300 | big, 0, limit};
    }
    s.segments[x86::kCs] = {real ? uint16_t{0} : code, 0x9b00 | big, 0, limit};
    s.gdtr = {kGdt, 0x3f};
    s.idtr = real ? DescriptorTableRegister{0, 0x3ff} : DescriptorTableRegister{kIdt, 0x7ff};
    s.gpr[x86::kEsp] = kStack - 0x100;
    s.eip = kCode;
    s.eflags = 2;
    cpu->state_changed();
  }
  /// Makes a Protected32 machine run at CPL 3. There is no TSS: exceptions lead to shutdown unless a test
  /// sets one up.
  void enter_user() {
    CpuState& s = state();
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) s.segments[i] = {kUserData, 0x00c0f300, 0, 0xffffffff};
    s.segments[x86::kCs] = {kUserCode, 0x00c0fb00, 0, 0xffffffff};
    s.cpl = 3;
    cpu->state_changed();
  }

  std::unique_ptr<memory::RamBlock> ram = memory::RamBlock::create("ram", kRamSize).value();
  memory::PhysicalMap map;
  memory::PortMap ports;
  TestBus bus;

 private:
  void write_gdt() {
    put<uint64_t>(kGdt, 0);
    put<uint64_t>(kGdt + 0x08, 0x00cf9b000000ffff);
    put<uint64_t>(kGdt + 0x10, 0x00cf93000000ffff);
    put<uint64_t>(kGdt + 0x18, 0x00009b000000ffff);
    put<uint64_t>(kGdt + 0x20, 0x000093000000ffff);
    put<uint64_t>(kGdt + 0x28, 0x00cffb000000ffff);
    put<uint64_t>(kGdt + 0x30, 0x00cff3000000ffff);
  }

  CpuModel model_;

 public:
  std::unique_ptr<Vcpu> cpu;
};

}  // namespace vitrine::cpu

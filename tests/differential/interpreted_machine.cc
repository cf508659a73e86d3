// The virtual processor's side of the comparison: see interpreted_machine.h.
#include "differential/interpreted_machine.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "cpu/processor_bus.h"
#include "x86/control_registers.h"
#include "x86/vectors.h"

namespace vitrine::differential {
namespace {

// Physical layout. The supervisor's pages appear at kKernelBase, where user code does not find them.
constexpr uint32_t kRamSize = 1 << 20;
constexpr uint32_t kPageDirectory = 0x0000, kUserTable = 0x1000, kKernelTable = 0x2000;
constexpr uint32_t kKernelPhysical = 0x3000, kKernelPages = 4;  // GDT and TSS, IDT, handlers, stack
constexpr uint32_t kCodePhysical = 0x10000, kDataPhysical = 0x11000;
constexpr uint32_t kKernelBase = 0x31340000;
constexpr uint32_t kGdt = kKernelBase, kTss = kKernelBase + 0x800, kIdt = kKernelBase + 0x1000;
constexpr uint32_t kHandlers = kKernelBase + 0x2000, kStackTop = kKernelBase + 0x4000;
constexpr uint32_t kVectors = 256;

constexpr uint32_t kPresent = 1, kWritable = 2, kUser = 4;
constexpr uint16_t kKernelCode = 0x08, kKernelData = 0x10, kUserCode = 0x23, kUserData = 0x2b, kTask = 0x30;

// Second doublewords of descriptors; as CpuState holds attributes, without the base.
constexpr uint32_t kFlat = 0x00cf0000;
constexpr uint32_t kAttributesCode0 = 0x00c09b00, kAttributesData0 = 0x00c09300,
                   kAttributesCode3 = 0x00c0fb00, kAttributesData3 = 0x00c0f300, kAttributesTss = 0x00008b00;

cpu::SegmentRegister flat(uint16_t selector, uint32_t attributes) {
  return {selector, attributes, 0, 0xffffffff};
}

void from_unit(const MachineState& state, cpu::FloatingPointState& fpu) {
  const uint8_t* unit = state.unit.data();
  std::memcpy(&fpu.control, unit, 2);
  std::memcpy(&fpu.status, unit + 2, 2);
  std::memcpy(&fpu.opcode, unit + 6, 2);
  std::memcpy(&fpu.instruction_pointer, unit + 8, 4);
  std::memcpy(&fpu.data_pointer, unit + 16, 4);
  std::memcpy(&fpu.mxcsr, unit + 24, 4);
  fpu.instruction_segment = fpu.data_segment = 0;
  fpu.tag = 0;
  for (unsigned n = 0; n < 8; ++n) {
    if ((unit[4] >> n & 1) == 0) fpu.tag |= static_cast<uint16_t>(3u << 2 * n);
    std::memcpy(fpu.registers[((fpu.status >> 11) + n) & 7].data(), unit + 32 + 16 * n, 10);
  }
  std::memcpy(fpu.xmm.data(), unit + 160, 128);
  std::memcpy(fpu.ymm_high.data(), state.ymm_high.data(), kYmmHighSize);
}

void to_unit(const cpu::FloatingPointState& fpu, MachineState& state) {
  uint8_t* unit = state.unit.data();
  state.unit.fill(0);
  std::memcpy(unit, &fpu.control, 2);
  std::memcpy(unit + 2, &fpu.status, 2);
  std::memcpy(unit + 6, &fpu.opcode, 2);
  std::memcpy(unit + 8, &fpu.instruction_pointer, 4);
  std::memcpy(unit + 16, &fpu.data_pointer, 4);
  std::memcpy(unit + 24, &fpu.mxcsr, 4);
  for (unsigned n = 0; n < 8; ++n) {
    if ((fpu.tag >> 2 * n & 3) != 3) unit[4] |= static_cast<uint8_t>(1u << n);
    std::memcpy(unit + 32 + 16 * n, fpu.registers[((fpu.status >> 11) + n) & 7].data(), 10);
  }
  std::memcpy(unit + 160, fpu.xmm.data(), 128);
  std::memcpy(state.ymm_high.data(), fpu.ymm_high.data(), kYmmHighSize);
}

}  // namespace

class InterpretedMachine::Bus : public cpu::ProcessorBus {
 public:
  std::optional<uint8_t> acknowledge_interrupt(unsigned /*vcpu*/) override { return std::nullopt; }
  uint64_t time_stamp(unsigned /*vcpu*/) override { return 0; }
  bool set_apic_base(unsigned /*vcpu*/, uint64_t /*value*/) override { return false; }
  void set_tsc_deadline(unsigned /*vcpu*/, uint64_t /*value*/) override {}
  uint64_t tsc_deadline(unsigned /*vcpu*/) override { return 0; }
  void set_ferr(unsigned /*vcpu*/, bool /*level*/) override {}
};

InterpretedMachine::~InterpretedMachine() = default;

InterpretedMachine::InterpretedMachine() : bus_(std::make_unique<Bus>()) {
  auto ram = memory::RamBlock::create("differential", kRamSize);
  CHECK(ram.has_value(), "{}", ram.error().message());
  ram_ = std::move(*ram);
  map_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
  auto model = cpu::CpuModel::create("max");
  CHECK(model.has_value(), "{}", model.error().message());
  model_ = std::move(*model);
  build_tables();
  vcpu_ = std::make_unique<cpu::Vcpu>(cpu::CoreEnvironment{map_, ports_, *bus_, *model_, 0});

  start_ = vcpu_->state();
  start_.cr0 = x86::kCr0Pg | x86::kCr0Wp | x86::kCr0Ne | x86::kCr0Et | x86::kCr0Mp | x86::kCr0Pe;
  start_.cr3 = kPageDirectory;
  start_.cr4 = x86::kCr4Osfxsr | x86::kCr4Osxmmexcpt;
  if (model_->has(cpu::Feature::Xsave)) start_.cr4 |= x86::kCr4Osxsave;
  start_.xcr0 = std::max(1u, model_->cpuid(13, 0).eax);
  start_.cpl = 3;
  start_.segments.fill(flat(kUserData, kAttributesData3));
  start_.segments[x86::kCs] = flat(kUserCode, kAttributesCode3);
  start_.segments[x86::kFs] = {};
  start_.gdtr = {kGdt, 0x37};
  start_.idtr = {kIdt, kVectors * 8 - 1};
  start_.tr = {kTask, kAttributesTss, kTss, 0x67};
}

uint32_t InterpretedMachine::word(uint32_t physical) const {
  uint32_t value = 0;
  std::memcpy(&value, ram_->data() + physical, 4);
  return value;
}
void InterpretedMachine::set_word(uint32_t physical, uint32_t value) {
  std::memcpy(ram_->data() + physical, &value, 4);
}

void InterpretedMachine::build_tables() {
  constexpr uint32_t kAll = kPresent | kWritable | kUser;
  set_word(kPageDirectory + (kCodeBase >> 22) * 4, kUserTable | kAll);
  set_word(kPageDirectory + (kKernelBase >> 22) * 4, kKernelTable | kAll);
  set_word(kUserTable + (kCodeBase >> 12 & 0x3ff) * 4, kCodePhysical | kAll);
  for (uint32_t page = 0; page < kDataSize >> 12; ++page)
    set_word(kUserTable + ((kDataBase >> 12 & 0x3ff) + page) * 4, (kDataPhysical + (page << 12)) | kAll);
  for (uint32_t page = 0; page < kKernelPages; ++page)
    set_word(kKernelTable + ((kKernelBase >> 12 & 0x3ff) + page) * 4,
             (kKernelPhysical + (page << 12)) | kPresent | kWritable);

  const auto descriptor = [&](uint16_t selector, uint32_t low, uint32_t high) {
    set_word(kKernelPhysical + (selector & ~7u), low);
    set_word(kKernelPhysical + (selector & ~7u) + 4, high);
  };
  descriptor(kKernelCode, 0xffff, kFlat | 0x9b00);
  descriptor(kKernelData, 0xffff, kFlat | 0x9300);
  descriptor(kUserCode, 0xffff, kFlat | 0xfb00);
  descriptor(kUserData, 0xffff, kFlat | 0xf300);
  descriptor(kTask, (kTss & 0xffff) << 16 | 0x67, (kTss & 0xff000000) | (kTss >> 16 & 0xff) | 0x8b00);
  set_word(kKernelPhysical + 0x800 + 4, kStackTop);
  set_word(kKernelPhysical + 0x800 + 8, kKernelData);
  set_word(kKernelPhysical + 0x800 + 0x64, 0x00680000);  // no I/O permission bit map
  for (uint32_t vector = 0; vector < kVectors; ++vector) {
    const uint32_t handler = kHandlers + vector;
    const bool user = vector == 3 || vector == 4;  // as Linux has it
    set_word(kKernelPhysical + 0x1000 + 8 * vector, uint32_t{kKernelCode} << 16 | (handler & 0xffff));
    set_word(kKernelPhysical + 0x1000 + 8 * vector + 4, (handler & 0xffff0000) | (user ? 0xee00 : 0x8e00));
    ram_->data()[kKernelPhysical + 0x2000 + vector] = 0xf4;  // hlt
  }
}

void InterpretedMachine::take_fault(Outcome& outcome) {
  const cpu::CpuState& state = vcpu_->state();
  outcome.vector = static_cast<uint8_t>(state.eip - kHandlers - 1);
  uint32_t frame = kKernelPhysical + (state.gpr[x86::kEsp] - kKernelBase);
  if (x86::pushes_error_code(static_cast<x86::Vector>(outcome.vector))) {
    outcome.error_code = word(frame);
    frame += 4;
  }
  if (outcome.vector == 14) {
    outcome.fault_address = state.cr2;
    // The host has no handlers' pages there: to it they are not present.
    if (state.cr2 - kKernelBase < kKernelPages << 12) outcome.error_code &= ~kPresent;
  }
  outcome.after.eip = word(frame);
  outcome.after.eflags = word(frame + 8);
  outcome.after.gpr[x86::kEsp] = word(frame + 12);
}

void InterpretedMachine::run_one(const TestCase& test, Outcome& outcome, std::span<const uint8_t> data) {
  std::memcpy(ram_->data() + kDataPhysical, data.data(), kDataSize);
  std::memcpy(ram_->data() + kDataPhysical + test.window, test.window_bytes.data(), kWindowSize);
  map_.write(PhysicalAddress(kCodePhysical), code_page(test));

  cpu::CpuState& state = vcpu_->state();
  state = start_;
  std::copy(test.before.gpr.begin(), test.before.gpr.end(), state.gpr.begin());
  state.eip = test.before.eip;
  state.eflags = test.before.eflags;
  from_unit(test.before, state.fpu);
  vcpu_->state_changed();

  cpu::Exit exit = vcpu_->run(1);
  for (unsigned steps = 0; test.repeats && exit.reason == cpu::ExitReason::BudgetSpent &&
                           state.eip == test.before.eip && steps < 5000;
       ++steps)
    exit = vcpu_->run(1);
  // A software interrupt is an instruction that completes: its handler has not halted yet.
  if (exit.reason == cpu::ExitReason::BudgetSpent && state.cpl == 0) exit = vcpu_->run(1);
  std::copy_n(state.gpr.begin(), 8, outcome.after.gpr.begin());
  outcome.after.eip = state.eip;
  outcome.after.eflags = state.eflags;
  to_unit(state.fpu, outcome.after);
  outcome.vector = kNoVector;
  outcome.error_code = outcome.fault_address = 0;
  if (exit.reason == cpu::ExitReason::Halted && state.cpl == 0)
    take_fault(outcome);
  else if (exit.reason != cpu::ExitReason::BudgetSpent)
    outcome.vector = 0xfe;  // nothing that a processor does
  std::memcpy(outcome.data.data(), ram_->data() + kDataPhysical, kDataSize);
}

void InterpretedMachine::run(std::span<const TestCase> cases, std::span<Outcome> outcomes,
                             std::span<const uint8_t> data) {
  for (size_t n = 0; n < cases.size(); ++n) run_one(cases[n], outcomes[n], data);
}

}  // namespace vitrine::differential

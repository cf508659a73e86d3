// The x87 instructions. SDM Vol. 1, "Programming with the x87 FPU"; SDM Vol. 2A, the entries of F….
//
// Each computing instruction is executed by a stub of host code on the resident state (host_unit.h), so that
// results, flags and the partial results of unmasked exceptions are the hardware's own. Environments and
// images: floating_point_image.cc. An error is noticed where the processor notices it, at the next waiting
// instruction; before a stub runs there is none pending, so stubs never trap.
#include <cstring>

#include "cpu/access.h"
#include "cpu/floating_point_image.h"
#include "cpu/fpu_state.h"
#include "cpu/host_unit.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

/// memory: the operand, read or written by the stub. flags: ArithmeticFlags, in and (where the stub says so)
/// out.
using X87Stub = uint32_t (*)(void* memory, uint32_t flags);

X87Stub stub_of(const Instruction& i) {
  return reinterpret_cast<X87Stub>(reinterpret_cast<uintptr_t>(i.host_code));
}

// SDM Vol. 1, "x87 FPU Instruction and Data (Operand) Pointers": set by every instruction but the control
// ones.
void note_instruction(Core& core, const Instruction& i) {
  FloatingPointState& fpu = core.state.fpu;
  fpu.instruction_pointer = core.instruction_eip(i);
  fpu.instruction_segment = core.state.segments[x86::kCs].selector;
  fpu.opcode = static_cast<uint16_t>(i.immediate);
}

void note_operand(Core& core, const Instruction& i, uint32_t offset) {
  core.state.fpu.data_pointer = offset;
  core.state.fpu.data_segment = core.state.segments[i.segment].selector;
}

bool on_registers(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  note_instruction(core, i);
  stub_of(i)(nullptr, 0);
  return true;
}

/// FCMOVcc.
bool with_flags(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  note_instruction(core, i);
  stub_of(i)(nullptr, core.flags);
  return true;
}

/// FCOMI and its relatives. An unmasked invalid operation leaves the flags as they were.
bool to_flags(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  note_instruction(core, i);
  core.flags = static_cast<ArithmeticFlags>(stub_of(i)(nullptr, core.flags));
  return true;
}

template <unsigned Size>
bool from_memory(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  const uint32_t offset = effective_offset(core, i);
  uint32_t linear = 0;
  if (!linearise<Access::Read>(core, i.segment, offset, Size, linear)) [[unlikely]]
    return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  uint8_t* operand = nullptr;
  if (tag_of(linear, Size) == entry.read_tag) [[likely]] {
    operand = host_pointer(entry, linear);
  } else {
    fpu_leave(core);  // A device may answer.
    if (!load_slow(core, linear, Size, current_privilege(core))) return false;
    operand = core.transfer.data();
    load_unit(core);
  }
  note_instruction(core, i);
  note_operand(core, i, offset);
  stub_of(i)(operand, 0);
  return true;
}

/// Whether a store was suppressed: an unmasked exception other than precision, raised by the instruction just
/// executed.
bool store_suppressed(const HostUnit& unit) {
  if (!unit.unmasked) [[likely]]
    return false;
  constexpr uint16_t kPrecision = 0x20;
  uint16_t control = 0;
  asm volatile("fnstcw %0" : "=m"(control));
  return (host_x87_status() & ~control & (kX87Exceptions & ~kPrecision)) != 0;
}

// The store that may fault. An unmasked exception suppresses the access altogether, faults included; a fault
// leaves the x87 state as it was.
template <unsigned Size>
bool to_memory_slowly(Core& core, const Instruction& i) {
  fpu_leave(core);
  const FloatingPointState before = core.state.fpu;
  load_unit(core);
  struct {
    uint8_t bytes[Size];
  } value{};
  const uint32_t offset = effective_offset(core, i);
  note_instruction(core, i);
  note_operand(core, i, offset);
  stub_of(i)(value.bytes, 0);
  const bool suppressed = store_suppressed(*core.host_unit);
  fpu_leave(core);
  if (suppressed) return true;
  uint32_t linear = 0;
  if (linearise<Access::Write>(core, i.segment, offset, Size, linear) &&
      probe_write(core, linear, Size, current_privilege(core)))
    return store_linear(core, linear, value);
  core.state.fpu = before;
  return false;
}

template <unsigned Size>
bool to_memory(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  const uint32_t offset = effective_offset(core, i);
  uint32_t linear = 0;
  if (!linearise<Access::Write>(core, i.segment, offset, Size, linear)) [[unlikely]]
    return core.host_unit->unmasked && to_memory_slowly<Size>(core, i);
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, Size) != entry.write_tag) [[unlikely]]
    return to_memory_slowly<Size>(core, i);
  note_instruction(core, i);
  note_operand(core, i, offset);
  stub_of(i)(host_pointer(entry, linear), 0);
  return true;
}

// Control instructions. Those that do not wait see only EM and TS.

bool no_wait_begin(Core& core) {
  if ((core.state.cr0 & (x86::kCr0Em | x86::kCr0Ts)) != 0) return core.raise(Vector::DeviceNotAvailable);
  if (core.fpu_held) [[unlikely]]
    fpu_leave(core);
  return true;
}

bool fldcw(Core& core, const Instruction& i) {
  if (!x87_begin(core)) return false;
  uint16_t control = 0;
  if (!load_operand(core, i, control)) return false;
  if (!core.host_unit->resident) load_unit(core);
  set_x87_control(core, control);
  update_ferr(core);
  return true;
}

bool fnstcw(Core& core, const Instruction& i) {
  return no_wait_begin(core) && store_operand(core, i, core.state.fpu.control);
}

bool fnstsw(Core& core, const Instruction& i) {
  if (!no_wait_begin(core)) return false;
  const uint16_t status = x87_status(core);
  if (i.is_memory != 0) return store_operand(core, i, status);
  core.set<uint16_t>(x86::kEax, status);
  return true;
}

bool fnclex(Core& core, const Instruction& /*i*/) {
  if (!no_wait_begin(core)) return false;
  if (core.host_unit->resident) asm volatile("fnclex");
  core.state.fpu.status &= static_cast<uint16_t>(~(kX87Exceptions | 0x40 | kX87Summary | kX87Busy));
  update_ferr(core);
  return true;
}

bool fninit(Core& core, const Instruction& /*i*/) {
  if (!no_wait_begin(core)) return false;
  fpu_leave(core);
  reset_x87(core.state.fpu);
  update_ferr(core);
  return true;
}

/// FENI, FDISI, FSETPM: of the 8087 and 80287; nothing since. SDM Vol. 3B, "x87 FPU", compatibility.
bool no_operation(Core& core, const Instruction& /*i*/) {
  return no_wait_begin(core);
}

bool fwait(Core& core, const Instruction& /*i*/) {
  if (core.fpu_held) [[unlikely]]
    fpu_leave(core);
  constexpr uint32_t kMonitored = x86::kCr0Mp | x86::kCr0Ts;
  if ((core.state.cr0 & kMonitored) == kMonitored) return core.raise(Vector::DeviceNotAvailable);
  if (!core.host_unit->resident) load_unit(core);
  return !x87_pending(*core.host_unit) || x87_error(core);
}

// Which function executes an encoding, and what its stub has to do with the flags.

enum class FlagUse : uint8_t { NoStub, None, Flags };

struct Choice {
  Handler handler = nullptr;
  FlagUse use = FlagUse::None;
  Feature feature = Feature::Fpu;
};

template <unsigned Size>
constexpr Choice kLoad{&run_unit<from_memory<Size>>};
template <unsigned Size>
constexpr Choice kStore{&run_unit<to_memory<Size>>};
template <unsigned Size>
constexpr Choice kStoreTruncated{&run_unit<to_memory<Size>>, FlagUse::None, Feature::Sse3};  // FISTTP
template <auto Function>
constexpr Choice kControl{&run_unit<Function>, FlagUse::NoStub};

/// By (opcode - D8h) and ModRM.reg. An empty one does not exist.
constexpr Choice kMemoryForms[8][8] = {
    {kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>},
    {kLoad<4>,
     {},
     kStore<4>,
     kStore<4>,
     kControl<fldenv>,
     kControl<fldcw>,
     kControl<fnstenv>,
     kControl<fnstcw>},
    {kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>, kLoad<4>},
    {kLoad<4>, kStoreTruncated<4>, kStore<4>, kStore<4>, {}, kLoad<10>, {}, kStore<10>},
    {kLoad<8>, kLoad<8>, kLoad<8>, kLoad<8>, kLoad<8>, kLoad<8>, kLoad<8>, kLoad<8>},
    {kLoad<8>,
     kStoreTruncated<8>,
     kStore<8>,
     kStore<8>,
     kControl<frstor>,
     {},
     kControl<fnsave>,
     kControl<fnstsw>},
    {kLoad<2>, kLoad<2>, kLoad<2>, kLoad<2>, kLoad<2>, kLoad<2>, kLoad<2>, kLoad<2>},
    {kLoad<2>, kStoreTruncated<2>, kStore<2>, kStore<2>, kLoad<10>, kLoad<8>, kStore<10>, kStore<8>},
};

constexpr Choice kPlain{&run_unit<on_registers>};
constexpr Choice kMoveIf{&run_unit<with_flags>, FlagUse::Flags, Feature::Cmov};
constexpr Choice kCompareToFlags{&run_unit<to_flags>, FlagUse::Flags, Feature::Cmov};

Choice register_form(uint8_t opcode, uint8_t modrm) {
  const unsigned reg = modrm >> 3 & 7;
  switch (opcode) {
    case 0xda: return reg < 4 ? kMoveIf : kPlain;
    case 0xdb:
      if (reg < 4) return kMoveIf;
      if (reg >= 5) return kCompareToFlags;
      if (modrm == 0xe2) return kControl<fnclex>;
      if (modrm == 0xe3) return kControl<fninit>;
      return kControl<no_operation>;
    case 0xdf:
      if (modrm == 0xe0) return kControl<fnstsw>;
      return reg >= 5 ? kCompareToFlags : kPlain;
    default: return kPlain;
  }
}

void build_stub(StubBytes& stub, uint8_t opcode, uint8_t modrm, FlagUse use) {
  if (use == FlagUse::Flags) stub.add(0x89, 0xf0, 0x04, 0x7f, 0x9e);  // mov %esi,%eax; add $0x7f,%al; sahf
  stub.add(opcode, modrm);
  if (use == FlagUse::Flags) stub.add(0x9f, 0x0f, 0x90, 0xc0);  // lahf; seto %al
  stub.add(0xc3);
}

bool prepare(Core& core, const Encoding& encoding, Instruction& i) {
  if (encoding.opcode == 0x9b) {
    i.handler = &run_unit<fwait>;
    return true;
  }
  const uint8_t modrm = encoding.modrm;
  const bool memory = modrm < 0xc0;
  const Choice choice =
      memory ? kMemoryForms[encoding.opcode & 7][modrm >> 3 & 7] : register_form(encoding.opcode, modrm);
  if (choice.handler == nullptr || !core.env.model.has(choice.feature)) return false;
  i.handler = choice.handler;
  i.immediate = static_cast<uint32_t>((encoding.opcode & 7) << 8 | modrm);
  if (choice.use == FlagUse::NoStub) return true;
  // The operand of a stub is at (%rdi): mod 00, rm 7.
  const uint8_t stub_modrm = memory ? static_cast<uint8_t>((modrm & 0x38) | 7) : modrm;
  const uint64_t key = uint64_t{encoding.opcode} << 8 | stub_modrm;
  i.host_code = stub_for(host_unit(core), key,
                         [&](StubBytes& stub) { build_stub(stub, encoding.opcode, stub_modrm, choice.use); });
  return true;
}

constexpr InstructionRow kRows[] = {
#define VITRINE_OPERATION(name) handler_row(Operation::name, nullptr, Flow::Inline, {.prepare = &prepare}),
#include "cpu/operation_list_x87.inc"
#undef VITRINE_OPERATION
};

}  // namespace

std::span<const InstructionRow> x87_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

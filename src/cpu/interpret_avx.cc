// AVX, AVX2, FMA and F16C, and the other instructions on YMM registers. SDM Vol. 1, "Programming with Intel
// AVX, FMA, and Intel AVX2"; the single instructions: SDM Vol. 2.
//
// Most are executed by a stub of host code (vex_stub.h) between the operands' places in CpuState and guest
// memory. Masked moves and gathers, where each element of memory may or may not be accessed, are done here.
// Faults come before any change, but for a gather's, which keeps what it has.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "cpu/access.h"
#include "cpu/host_traits.h"
#include "cpu/host_unit.h"
#include "cpu/instruction_table.h"
#include "cpu/stub_trap.h"
#include "cpu/vex_forms.h"
#include "cpu/vex_stub.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

// prepare() leaves the register operand's offset in CpuState in `immediate`, that of a register r/m operand
// in `displacement`, the register of an immediate in `immediate2`, the size of memory in `rm_size` and these
// in `stub`:
enum StubTrait : uint8_t { kStubMxcsr = 1, kStubFlags = 2, kStubAligned = 4, kStubString = 8 };

constexpr unsigned kYmmBytes = 32;

uint8_t* at_offset(Core& core, uint32_t offset) {
  return reinterpret_cast<uint8_t*>(&core.state) + offset;
}

uint32_t mxcsr_of_host() {
  uint32_t value = 0;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}
void set_mxcsr_of_host(const uint32_t& value) {
  asm volatile("ldmxcsr %0" : : "m"(value));
}

/// Runs the stub. False: an unmasked SIMD exception.
bool run_stub(Core& core, const Instruction& i, void* rm) {
  const auto stub = reinterpret_cast<VectorStub>(reinterpret_cast<uintptr_t>(i.host_code));
  FloatingPointState& fpu = core.state.fpu;
  StubArguments a{.rm = rm, .reg = at_offset(core, i.immediate), .mxcsr = &fpu.mxcsr};
  const bool string = (i.stub & kStubString) != 0;
  a.general = string ? static_cast<void*>(core.state.gpr.data()) : fpu.xmm[i.vex_register].data();
  a.xmm0 = string ? fpu.xmm[0].data() : fpu.xmm[i.immediate2].data();
  uint32_t result = 0;
  const bool may_trap = (i.stub & kStubMxcsr) != 0 && (fpu.mxcsr & kMxcsrMasks) != kMxcsrMasks;
  bool completed = true;
  if (!may_trap) {
    result = stub(a.rm, a.reg, a.mxcsr, a.general, a.xmm0);
  } else {
    completed = call_trapping(core.host_unit->code, stub, a, result);
    if (!completed) fpu.mxcsr = mxcsr_of_host();
  }
  if ((i.stub & kStubMxcsr) != 0) set_mxcsr_of_host(kMxcsrDefault);
  if (completed) {
    if ((i.stub & kStubFlags) != 0) core.flags = static_cast<ArithmeticFlags>(result);
    return true;
  }
  const bool enabled = (core.state.cr4 & x86::kCr4Osxmmexcpt) != 0;
  return core.raise(enabled ? Vector::SimdFloatingPoint : Vector::InvalidOpcode);
}

template <Access kind>
bool operand_address(Core& core, const Instruction& i, uint32_t& linear) {
  if (!linearise<kind>(core, i.segment, effective_offset(core, i), i.rm_size, linear)) return false;
  if ((i.stub & kStubAligned) != 0 && (linear & (i.rm_size - 1u)) != 0)
    return core.raise(Vector::GeneralProtection);
  return true;
}

bool between_registers(Core& core, const Instruction& i) {
  return avx_begin(core) && run_stub(core, i, at_offset(core, i.displacement));
}

bool from_memory(Core& core, const Instruction& i) {
  uint32_t linear = 0;
  if (!avx_begin(core) || !operand_address<Access::Read>(core, i, linear)) return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, i.rm_size) == entry.read_tag) [[likely]]
    return run_stub(core, i, host_pointer(entry, linear));
  fpu_leave(core);  // A device may answer.
  return load_slow(core, linear, i.rm_size, current_privilege(core)) &&
         run_stub(core, i, core.transfer.data());
}

bool to_memory(Core& core, const Instruction& i) {
  uint32_t linear = 0;
  alignas(32) std::array<uint8_t, kYmmBytes> value{};
  if (!avx_begin(core)) return false;
  // What computes (VCVTPS2PH) does that first: the flags in MXCSR are set even if the store faults then.
  const bool computes = (i.stub & kStubMxcsr) != 0;
  if (computes && !run_stub(core, i, value.data())) return false;
  if (!operand_address<Access::Write>(core, i, linear)) return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (!computes && tag_of(linear, i.rm_size) == entry.write_tag) [[likely]]
    return run_stub(core, i, host_pointer(entry, linear));
  if (!computes && !run_stub(core, i, value.data())) return false;
  fpu_leave(core);
  std::copy_n(value.begin(), i.rm_size, core.transfer.begin());
  return store_slow(core, linear, i.rm_size, current_privilege(core));
}

// --- Masked moves and gathers.

using Ymm = std::array<uint8_t, kYmmBytes>;

Ymm ymm(const Core& core, unsigned number) {
  Ymm value;
  std::ranges::copy(core.state.fpu.xmm[number], value.begin());
  std::ranges::copy(core.state.fpu.ymm_high[number], value.begin() + 16);
  return value;
}
void set_ymm(Core& core, unsigned number, const Ymm& value) {
  std::copy_n(value.begin(), 16, core.state.fpu.xmm[number].begin());
  std::copy_n(value.begin() + 16, 16, core.state.fpu.ymm_high[number].begin());
}

/// The sign bit of element n.
template <typename Element>
bool selected(const Ymm& mask, unsigned n) {
  return (mask[(n + 1) * sizeof(Element) - 1] & 0x80) != 0;
}

template <typename Element>
uint32_t element_offset(const Core& core, const Instruction& i, unsigned n) {
  return effective_offset(core, i) + n * static_cast<uint32_t>(sizeof(Element));
}

/// What is not selected is not accessed, and becomes zero. SDM Vol. 2C, "VMASKMOV", "VPMASKMOV".
template <typename Element>
bool masked_load(Core& core, const Instruction& i) {
  if (!avx_begin(core)) return false;
  const Ymm mask = ymm(core, i.vex_register);
  Ymm value{};
  for (unsigned n = 0; n < i.operand_size / sizeof(Element); ++n) {
    Element element = 0;
    if (!selected<Element>(mask, n)) continue;
    if (!load(core, i.segment, element_offset<Element>(core, i, n), element)) return false;
    std::memcpy(value.data() + n * sizeof(Element), &element, sizeof(Element));
  }
  set_ymm(core, i.reg, value);
  return true;
}

/// Nothing is written when one of the selected elements cannot be.
template <typename Element>
bool masked_store(Core& core, const Instruction& i) {
  if (!avx_begin(core)) return false;
  const Ymm mask = ymm(core, i.vex_register), value = ymm(core, i.reg);
  const unsigned count = i.operand_size / sizeof(Element);
  for (unsigned n = 0; n < count; ++n) {
    uint32_t linear = 0;
    const uint32_t offset = element_offset<Element>(core, i, n);
    if (!selected<Element>(mask, n)) continue;
    if (!linearise<Access::Write>(core, i.segment, offset, sizeof(Element), linear) ||
        !probe_write(core, linear, sizeof(Element), current_privilege(core)))
      return false;
  }
  for (unsigned n = 0; n < count; ++n) {
    Element element = 0;
    if (!selected<Element>(mask, n)) continue;
    std::memcpy(&element, value.data() + n * sizeof(Element), sizeof(Element));
    if (!store(core, i.segment, element_offset<Element>(core, i, n), element)) return false;
  }
  return true;
}

/// SDM Vol. 2C, "VGATHERDPS/VGATHERQPS" and its relatives: elements are loaded from the lowest on, and each
/// that has been is no longer selected, so that the instruction goes on where a fault stopped it. What
/// becomes of upper parts then is as processors were seen to do it.
template <typename Element, typename Index>
bool gather(Core& core, const Instruction& i) {
  if (!avx_begin(core)) return false;
  const Ymm indices = ymm(core, i.index);
  Ymm value = ymm(core, i.reg), mask = ymm(core, i.vex_register);
  const auto count =
      static_cast<unsigned>(std::min(i.operand_size / sizeof(Element), i.operand_size / sizeof(Index)));
  const bool keeps_rest = host_traits().gather_keeps_rest;
  for (unsigned n = 0; n < i.operand_size / sizeof(Element) && !keeps_rest; ++n) {
    const uint8_t fill = selected<Element>(mask, n) ? 0xff : 0;
    std::fill_n(mask.begin() + n * sizeof(Element), sizeof(Element), fill);
  }
  bool completed = true, begun = false;
  for (unsigned n = 0; n < count && completed; ++n) {
    if (!selected<Element>(mask, n)) {
      if (keeps_rest) std::fill_n(mask.begin() + n * sizeof(Element), sizeof(Element), 0);
      continue;
    }
    Index index = 0;
    std::memcpy(&index, indices.data() + n * sizeof(Index), sizeof(Index));
    const uint32_t offset =
        core.state.gpr[i.base] + (static_cast<uint32_t>(index) << i.scale) + i.displacement;
    Element element = 0;
    completed = load(core, i.segment, offset, element);
    if (!completed) break;
    begun = true;
    std::memcpy(value.data() + n * sizeof(Element), &element, sizeof(Element));
    std::fill_n(mask.begin() + n * sizeof(Element), sizeof(Element), 0);
  }
  if (!keeps_rest) {
    std::fill(mask.begin() + i.operand_size, mask.end(), 0);
    if (begun) std::fill(value.begin() + i.operand_size, value.end(), 0);
  }
  if (completed) {
    std::fill(value.begin() + count * sizeof(Element), value.end(), 0);
    mask = {};
  }
  set_ymm(core, i.reg, value);
  set_ymm(core, i.vex_register, mask);
  return completed;
}

// --- Instructions with a function of their own.

bool vzeroupper(Core& core, const Instruction& /*i*/) {
  if (!avx_begin(core)) return false;
  core.state.fpu.ymm_high = {};
  return true;
}

bool vzeroall(Core& core, const Instruction& /*i*/) {
  if (!avx_begin(core)) return false;
  core.state.fpu.xmm = {};
  core.state.fpu.ymm_high = {};
  return true;
}

bool vldmxcsr(Core& core, const Instruction& i) {
  uint32_t value = 0;
  if (!avx_begin(core) || !load_operand(core, i, value)) return false;
  if ((value & ~host_unit(core).mxcsr_mask) != 0) return core.raise(Vector::GeneralProtection);
  core.state.fpu.mxcsr = value;
  return true;
}

bool vstmxcsr(Core& core, const Instruction& i) {
  return avx_begin(core) && store_operand(core, i, core.state.fpu.mxcsr);
}

bool vmaskmovdqu(Core& core, const Instruction& i) {
  return avx_begin(core) &&
         store_selected_bytes(core, i, core.state.fpu.xmm[i.reg], core.state.fpu.xmm[i.rm]);
}

struct Own {
  Operation operation;
  Feature feature;
  Location location;
  Handler load, store;  ///< By direction, where there are two.
};

constexpr Own kOwn[] = {
    {Operation::Vldmxcsr, Feature::Avx, Location::Memory, &run_unit<vldmxcsr>, nullptr},
    {Operation::Vstmxcsr, Feature::Avx, Location::Memory, &run_unit<vstmxcsr>, nullptr},
    {Operation::Vmaskmovdqu, Feature::Avx, Location::Register, &run_unit<vmaskmovdqu>, nullptr},
    {Operation::Vmaskmovps, Feature::Avx, Location::Memory, &run_unit<masked_load<uint32_t>>,
     &run_unit<masked_store<uint32_t>>},
    {Operation::Vmaskmovpd, Feature::Avx, Location::Memory, &run_unit<masked_load<uint64_t>>,
     &run_unit<masked_store<uint64_t>>},
    {Operation::Vpmaskmovd, Feature::Avx2, Location::Memory, &run_unit<masked_load<uint32_t>>,
     &run_unit<masked_store<uint32_t>>},
    {Operation::Vpmaskmovq, Feature::Avx2, Location::Memory, &run_unit<masked_load<uint64_t>>,
     &run_unit<masked_store<uint64_t>>},
    {Operation::Vgatherdps, Feature::Avx2, Location::Memory, &run_unit<gather<uint32_t, uint32_t>>, nullptr},
    {Operation::Vgatherdpd, Feature::Avx2, Location::Memory, &run_unit<gather<uint64_t, uint32_t>>, nullptr},
    {Operation::Vgatherqps, Feature::Avx2, Location::Memory, &run_unit<gather<uint32_t, uint64_t>>, nullptr},
    {Operation::Vgatherqpd, Feature::Avx2, Location::Memory, &run_unit<gather<uint64_t, uint64_t>>, nullptr},
    {Operation::Vpgatherdd, Feature::Avx2, Location::Memory, &run_unit<gather<uint32_t, uint32_t>>, nullptr},
    {Operation::Vpgatherdq, Feature::Avx2, Location::Memory, &run_unit<gather<uint64_t, uint32_t>>, nullptr},
    {Operation::Vpgatherqd, Feature::Avx2, Location::Memory, &run_unit<gather<uint32_t, uint64_t>>, nullptr},
    {Operation::Vpgatherqq, Feature::Avx2, Location::Memory, &run_unit<gather<uint64_t, uint64_t>>, nullptr},
};

// --- Preparation.

/// Whether a masked move goes from the register to memory. SDM Vol. 2C: opcodes 2E, 2F, 8E.
bool stores(const Encoding& e) {
  return e.opcode == 0x2e || e.opcode == 0x2f || e.opcode == 0x8e;
}

bool prepare_gather(const Instruction& i) {
  // Destination, indices and mask are three registers, and there is no vector index in 16-bit addresses.
  return i.address_mask == 0xffffffff && i.reg != i.index && i.reg != i.vex_register &&
         i.index != i.vex_register;
}

bool prepare_own(Core& core, const Encoding& e, Instruction& i) {
  if (!e.has_modrm) {
    if (i.operation != Operation::Vzeroupper && i.operation != Operation::Vzeroall) return false;
    i.handler = i.operation == Operation::Vzeroupper ? &run_unit<vzeroupper> : &run_unit<vzeroall>;
    return true;
  }
  const auto own = std::ranges::find(kOwn, i.operation, &Own::operation);
  if (own == std::end(kOwn) || !core.env.model.has(own->feature)) return false;
  if ((own->location == Location::Memory) != (i.is_memory != 0)) return false;
  i.reg = e.modrm >> 3 & 7;
  i.rm = e.modrm & 7;
  i.operand_size = e.vex_l != 0 ? 32 : 16;
  i.handler = own->store != nullptr && stores(e) ? own->store : own->load;
  return !is_gather(i.operation) || prepare_gather(i);
}

uint32_t place_of(VectorOperand operand, unsigned number) {
  switch (operand) {
    case VectorOperand::Xmm:
      return static_cast<uint32_t>(offsetof(CpuState, fpu) + offsetof(FloatingPointState, xmm) + 16 * number);
    case VectorOperand::General: return static_cast<uint32_t>(offsetof(CpuState, gpr) + 4 * number);
    default: return 0;
  }
}

uint8_t stub_traits(const VexForm& form) {
  uint8_t traits = 0;
  if (form.has(kVexMxcsr)) traits |= kStubMxcsr;
  if (form.has(kVexFlags)) traits |= kStubFlags;
  if (form.has(kVexAligned)) traits |= kStubAligned;
  if (form.has(kVexStringIndex) || form.has(kVexStringMask)) traits |= kStubString;
  return traits;
}

bool prepare(Core& core, const Encoding& e, Instruction& i) {
  if (e.kind != EncodingKind::Vex || !core.env.model.has(Feature::Avx)) return false;
  i.vex_register = e.vex_vvvv;
  const VexForm* const form = e.has_modrm ? find_vex_form(e) : nullptr;
  if (form == nullptr || form->operation != i.operation) return prepare_own(core, e, i);
  if (!form->exists(core.env.model, e.vex_l)) return false;
  const uint8_t last = e.bytes[e.length - 1];
  i.reg = e.modrm >> 3 & 7;
  i.immediate = place_of(form->reg, i.reg);
  i.immediate2 = form->has(kVexIs4) ? last >> 4 & 7 : 0;
  i.stub = stub_traits(*form);
  VexStubVariant variant{.memory = i.is_memory != 0, .length = form->length(e.vex_l)};
  if (form->has(kVexImmediate) && !form->has(kVexIs4)) variant.immediate = last;
  if (variant.memory) {
    i.rm_size = form->memory_size(e.vex_l);
    i.handler = form->has(kVexStore) ? &run_unit<to_memory> : &run_unit<from_memory>;
  } else {
    i.rm = e.modrm & 7;
    i.displacement = place_of(form->rm, i.rm);
    i.handler = &run_unit<between_registers>;
  }
  i.host_code = stub_for(host_unit(core), vex_stub_key(*form, variant),
                         [&](StubBytes& stub) { stub = build_vex_stub(*form, variant); });
  return true;
}

constexpr InstructionRow kRows[] = {
#define VITRINE_OPERATION(name) handler_row(Operation::name, nullptr, Flow::Inline, {.prepare = &prepare}),
#include "cpu/operation_list_avx.inc"
#undef VITRINE_OPERATION
};

}  // namespace

std::span<const InstructionRow> avx_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

// MMX, SSE to SSE4.2, AES, PCLMULQDQ and SHA. SDM Vol. 1, "Programming with Intel MMX Technology" and the
// chapters behind it; the single instructions: SDM Vol. 2.
//
// Plain moves are done here. Everything else is executed by a stub of host code (vector_stub.h) between the
// operands' places in CpuState and guest memory. Faults come before any change; an unmasked SIMD exception
// leaves the destination alone.
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "cpu/access.h"
#include "cpu/extended_state.h"
#include "cpu/floating_point_image.h"
#include "cpu/fpu_state.h"
#include "cpu/host_traits.h"
#include "cpu/host_unit.h"
#include "cpu/instruction_table.h"
#include "cpu/stub_trap.h"
#include "cpu/vector_forms.h"
#include "cpu/vector_stub.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

// --- Operands. prepare() leaves the register operand's offset in CpuState in `immediate`, that of a register
// r/m operand in `displacement`.

uint8_t* state_bytes(Core& core) {
  return reinterpret_cast<uint8_t*>(&core.state);
}
uint8_t* reg_place(Core& core, const Instruction& i) {
  return state_bytes(core) + i.immediate;
}
uint8_t* rm_place(Core& core, const Instruction& i) {
  return state_bytes(core) + i.displacement;
}

uint32_t xmm_offset(unsigned number) {
  return static_cast<uint32_t>(offsetof(CpuState, fpu) + offsetof(FloatingPointState, xmm) + 16 * number);
}
uint32_t general_offset(unsigned number) {
  return static_cast<uint32_t>(offsetof(CpuState, gpr) + 4 * number);
}

template <unsigned Size>
struct Bytes {
  uint8_t bytes[Size];
};

constexpr bool kAlignedOperand = true;

bool misaligned(Core& core) {
  return core.raise(Vector::GeneralProtection);
}

template <Access kind, unsigned Size, bool Aligned>
[[gnu::always_inline]] inline bool vector_address(Core& core, const Instruction& i, uint32_t& linear) {
  if (!linearise<kind>(core, i.segment, effective_offset(core, i), Size, linear)) [[unlikely]]
    return false;
  if (Aligned && (linear & 15) != 0) [[unlikely]]
    return misaligned(core);
  return true;
}

// --- Stubs.

uint32_t load_mxcsr(const uint32_t& value) {
  asm volatile("ldmxcsr %0" : : "m"(value));
  return value;
}

/// Runs the stub with what the instruction may need. False: an unmasked SIMD exception.
template <bool Mxcsr>
[[gnu::always_inline]] inline bool run_stub(Core& core, const Instruction& i, void* rm, uint32_t& result) {
  const auto stub = reinterpret_cast<VectorStub>(reinterpret_cast<uintptr_t>(i.host_code));
  uint32_t& mxcsr = core.state.fpu.mxcsr;
  void* const reg = reg_place(core, i);
  void* const xmm0 = core.state.fpu.xmm.data();
  if (!Mxcsr || (mxcsr & ~kMxcsrFlags) == kMxcsrDefault) [[likely]] {
    // The flags that stay in the host's MXCSR mean nothing to anybody.
    result = stub(rm, reg, &mxcsr, core.state.gpr.data(), xmm0);
    return true;
  }
  bool completed = true;
  if ((mxcsr & kMxcsrMasks) == kMxcsrMasks) {
    result = stub(rm, reg, &mxcsr, core.state.gpr.data(), xmm0);
  } else {
    completed =
        call_trapping(core.host_unit->code, stub, {rm, reg, &mxcsr, core.state.gpr.data(), xmm0}, result);
    if (!completed) asm volatile("stmxcsr %0" : "=m"(mxcsr));
  }
  load_mxcsr(kMxcsrDefault);
  if (completed) return true;
  const bool enabled = (core.state.cr4 & x86::kCr4Osxmmexcpt) != 0;
  return core.raise(enabled ? Vector::SimdFloatingPoint : Vector::InvalidOpcode);
}

// A handler is chosen by a number made of these.
enum Kind : unsigned {
  kKindSse = 1,  ///< Names an XMM register: OSFXSR and so on.
  kKindMmx = 2,  ///< Names an MMX register: the x87 unit is needed.
  kKindMxcsr = 4,
  kKindFlags = 8,
  kKindAccess = 16,  ///< Times a VectorAccess.
};
enum VectorAccess : unsigned {
  kAccessNone,
  kLoad1,
  kLoad2,
  kLoad4,
  kLoad8,
  kLoad16,
  kLoad16Aligned,
  kStore1,
  kStore2,
  kStore4,
  kStore8,
  kStore16,
  kStore16Aligned,
  kAccessCount
};
constexpr unsigned access_size(unsigned access) {
  constexpr unsigned kSizes[] = {0, 1, 2, 4, 8, 16, 16, 1, 2, 4, 8, 16, 16};
  return kSizes[access];
}

template <unsigned Kind>
[[gnu::always_inline]] inline bool begin(Core& core) {
  if (Kind & kKindSse) {
    if (!sse_begin(core)) [[unlikely]]
      return false;
  }
  if (Kind & kKindMmx) {
    if (!mmx_begin(core)) [[unlikely]]
      return false;
  }
  return true;
}

template <unsigned Kind>
[[gnu::always_inline]] inline bool finish(Core& core, const Instruction& i, void* rm) {
  uint32_t result = 0;
  if (!run_stub<(Kind & kKindMxcsr) != 0>(core, i, rm, result)) [[unlikely]]
    return false;
  if (Kind & kKindFlags) core.flags = static_cast<ArithmeticFlags>(result);
  return true;
}

template <unsigned Kind>
bool between_registers(Core& core, const Instruction& i) {
  return begin<Kind>(core) && finish<Kind>(core, i, rm_place(core, i));
}

template <unsigned Kind>
bool from_memory(Core& core, const Instruction& i) {
  constexpr unsigned kAccess = Kind / kKindAccess, kSize = access_size(kAccess);
  uint32_t linear = 0;
  if (!begin<Kind>(core)) [[unlikely]]
    return false;
  if (!vector_address<Access::Read, kSize, kAccess == kLoad16Aligned>(core, i, linear)) [[unlikely]]
    return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, kSize) == entry.read_tag) [[likely]]
    return finish<Kind>(core, i, host_pointer(entry, linear));
  fpu_leave(core);  // A device may answer.
  if (!load_slow(core, linear, kSize, current_privilege(core))) return false;
  if (Kind & kKindMmx) load_unit(core);
  return finish<Kind>(core, i, core.transfer.data());
}

template <unsigned Kind>
bool to_memory(Core& core, const Instruction& i) {
  constexpr unsigned kAccess = Kind / kKindAccess, kSize = access_size(kAccess);
  uint32_t linear = 0;
  if (!begin<Kind>(core)) [[unlikely]]
    return false;
  if (!vector_address<Access::Write, kSize, kAccess == kStore16Aligned>(core, i, linear)) [[unlikely]]
    return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, kSize) == entry.write_tag) [[likely]]
    return finish<Kind>(core, i, host_pointer(entry, linear));
  fpu_leave(core);
  if (!probe_write(core, linear, kSize, current_privilege(core))) return false;
  if (Kind & kKindMmx) load_unit(core);
  alignas(16) Bytes<kSize> value{};
  if (!finish<Kind>(core, i, value.bytes)) return false;
  fpu_leave(core);
  return store_linear(core, linear, value);
}

template <unsigned Kind>
constexpr Handler handler_of_kind() {
  constexpr unsigned kAccess = Kind / kKindAccess;
  constexpr bool kStores = kAccess >= kStore1;
  // What no instruction is: none of the two register files, or a store that computes.
  if constexpr ((Kind & (kKindSse | kKindMmx)) == 0 || (kStores && (Kind & (kKindMxcsr | kKindFlags)) != 0)) {
    return nullptr;
  } else if constexpr (kAccess == kAccessNone) {
    return &run_unit<between_registers<Kind>>;
  } else if constexpr (!kStores) {
    return &run_unit<from_memory<Kind>>;
  } else {
    return &run_unit<to_memory<Kind>>;
  }
}

template <size_t... Kinds>
constexpr auto all_handlers(std::index_sequence<Kinds...> /*numbers*/) {
  return std::array<Handler, sizeof...(Kinds)>{handler_of_kind<Kinds>()...};
}
constexpr auto kHandlers = all_handlers(std::make_index_sequence<unsigned{kAccessCount} * kKindAccess>());

// --- Plain moves between XMM registers and memory: no stub.

template <unsigned Size, bool Aligned>
bool move_load(Core& core, const Instruction& i) {
  uint32_t linear = 0;
  Bytes<Size> value;
  if (!sse_begin(core) || !vector_address<Access::Read, Size, Aligned>(core, i, linear) ||
      !load_linear(core, linear, value))
    return false;
  uint8_t* const place = reg_place(core, i);
  if (Size < 16) std::memset(place, 0, 16);
  std::memcpy(place, value.bytes, Size);
  return true;
}

template <unsigned Size, bool Aligned>
bool move_store(Core& core, const Instruction& i) {
  uint32_t linear = 0;
  if (!sse_begin(core)) return false;  // may bring the state here
  Bytes<Size> value;
  std::memcpy(value.bytes, reg_place(core, i), Size);
  return vector_address<Access::Write, Size, Aligned>(core, i, linear) && store_linear(core, linear, value);
}

template <bool Store>
bool move_register(Core& core, const Instruction& i) {
  if (!sse_begin(core)) return false;
  std::memmove(Store ? rm_place(core, i) : reg_place(core, i), Store ? reg_place(core, i) : rm_place(core, i),
               16);
  return true;
}

template <unsigned Size>
Handler move_handler(const VectorForm& form) {
  if (form.has(kVectorStore)) {
    if constexpr (Size == 16) {
      if (form.has(kVectorAligned)) return &run_unit<move_store<Size, kAlignedOperand>>;
    }
    return &run_unit<move_store<Size, !kAlignedOperand>>;
  }
  if constexpr (Size == 16) {
    if (form.has(kVectorAligned)) return &run_unit<move_load<Size, kAlignedOperand>>;
  }
  return &run_unit<move_load<Size, !kAlignedOperand>>;
}

/// The handler of a plain move, or null.
Handler plain_move(const VectorForm& form, const Instruction& i) {
  if (form.reg != VectorOperand::Xmm || form.rm != VectorOperand::Xmm) return nullptr;
  switch (form.operation) {
    case Operation::Movaps:
    case Operation::Movapd:
    case Operation::Movups:
    case Operation::Movupd:
    case Operation::Movdqa:
    case Operation::Movdqu:
    case Operation::Lddqu:
    case Operation::Movntdqa:
    case Operation::Movntps:
    case Operation::Movntpd:
    case Operation::Movntdq:
      if (i.is_memory != 0) return move_handler<16>(form);
      return form.has(kVectorStore) ? &run_unit<move_register<true>> : &run_unit<move_register<false>>;
    case Operation::Movss: return i.is_memory != 0 ? move_handler<4>(form) : nullptr;
    case Operation::Movsd:
    case Operation::Movq: return i.is_memory != 0 ? move_handler<8>(form) : nullptr;
    default: return nullptr;
  }
}

// --- Instructions with a function of their own.

bool emms(Core& core, const Instruction& /*i*/) {
  if (!mmx_begin(core)) return false;
  asm volatile("emms");
  return true;
}

bool ldmxcsr(Core& core, const Instruction& i) {
  uint32_t value = 0;
  if (!sse_begin(core) || !load_operand(core, i, value)) return false;
  if ((value & ~host_unit(core).mxcsr_mask) != 0) return core.raise(Vector::GeneralProtection);
  core.state.fpu.mxcsr = value;
  return true;
}

bool stmxcsr(Core& core, const Instruction& i) {
  return sse_begin(core) && store_operand(core, i, core.state.fpu.mxcsr);
}

bool maskmovdqu(Core& core, const Instruction& i) {
  return sse_begin(core) &&
         store_selected_bytes(core, i, std::span(reg_place(core, i), 16), std::span(rm_place(core, i), 16));
}

// As every MMX instruction it empties no register and brings the top of the stack to 0.
bool maskmovq(Core& core, const Instruction& i) {
  if (!mmx_begin(core)) return false;
  fpu_leave(core);
  FloatingPointState& fpu = core.state.fpu;
  if (!store_selected_bytes(core, i, std::span(fpu.registers[i.reg]).first(8),
                            std::span(fpu.registers[i.rm]).first(8)))
    return false;
  fpu.status &= static_cast<uint16_t>(~0x3800);
  set_tags(fpu, 0xff);
  return true;
}

Handler own_function(Operation operation) {
  switch (operation) {
    case Operation::Emms: return &run_unit<emms>;
    case Operation::Ldmxcsr: return &run_unit<ldmxcsr>;
    case Operation::Stmxcsr: return &run_unit<stmxcsr>;
    case Operation::Fxsave: return &run_unit<fxsave>;
    case Operation::Fxrstor: return &run_unit<fxrstor>;
    case Operation::Xsave: return &run_unit<xsave>;
    case Operation::Xsaveopt: return &run_unit<xsaveopt>;
    case Operation::Xrstor: return &run_unit<xrstor>;
    case Operation::Maskmovdqu: return &run_unit<maskmovdqu>;
    case Operation::Maskmovq: return &run_unit<maskmovq>;
    default: return nullptr;
  }
}

Feature own_feature(Operation operation) {
  switch (operation) {
    case Operation::Emms: return Feature::Mmx;
    case Operation::Fxsave:
    case Operation::Fxrstor: return Feature::Fxsr;
    case Operation::Xsave:
    case Operation::Xrstor: return Feature::Xsave;
    case Operation::Xsaveopt: return Feature::Xsaveopt;
    case Operation::Maskmovdqu: return Feature::Sse2;
    default: return Feature::Sse;
  }
}

// --- Preparation.

uint32_t place_of(VectorOperand operand, unsigned number) {
  switch (operand) {
    case VectorOperand::Xmm: return xmm_offset(number);
    case VectorOperand::General: return general_offset(number);
    default: return 0;
  }
}

unsigned access_of(const VectorForm& form) {
  const bool store = form.has(kVectorStore);
  switch (form.memory_size) {
    case 1: return store ? kStore1 : kLoad1;
    case 2: return store ? kStore2 : kLoad2;
    case 4: return store ? kStore4 : kLoad4;
    case 8: return store ? kStore8 : kLoad8;
    default: break;
  }
  const bool tolerant = form.feature == Feature::Sha && !host_traits().sha_operands_align;
  if (form.has(kVectorAligned) && !tolerant) return store ? kStore16Aligned : kLoad16Aligned;
  return store ? kStore16 : kLoad16;
}

// CVTPI2PD and CVTPI2PS with a memory operand are no MMX instructions: they neither wait nor change tags.
// (SDM Vol. 2A says so of the first only; processors treat both alike.)
bool uses_mmx(const VectorForm& form, bool memory) {
  if (memory && (form.operation == Operation::Cvtpi2pd || form.operation == Operation::Cvtpi2ps))
    return false;
  return form.reg == VectorOperand::Mmx || form.rm == VectorOperand::Mmx;
}

unsigned kind_of(const VectorForm& form, bool memory) {
  unsigned kind = 0;
  if (form.reg == VectorOperand::Xmm || form.rm == VectorOperand::Xmm) kind |= kKindSse;
  if (uses_mmx(form, memory)) kind |= kKindMmx;
  if (form.has(kVectorMxcsr)) kind |= kKindMxcsr;
  if (form.has(kVectorFlags)) kind |= kKindFlags;
  return kind + (memory ? access_of(form) * kKindAccess : 0);
}

void place_operands(const VectorForm& form, const Encoding& encoding, Instruction& i) {
  i.reg = encoding.modrm >> 3 & 7;
  i.immediate = place_of(form.reg, i.reg);
  if (i.is_memory != 0) return;
  i.rm = encoding.modrm & 7;
  i.displacement = place_of(form.rm, i.rm);
}

bool prepare_own(Core& core, const Encoding& encoding, Instruction& i) {
  i.handler = own_function(i.operation);
  if (i.handler == nullptr || !core.env.model.has(own_feature(i.operation))) return false;
  i.reg = encoding.modrm >> 3 & 7;
  i.rm = encoding.modrm & 7;
  i.immediate = xmm_offset(i.reg);
  if (i.is_memory == 0) i.displacement = xmm_offset(i.rm);
  return true;
}

bool prepare(Core& core, const Encoding& encoding, Instruction& i) {
  if (encoding.kind != EncodingKind::Legacy) return false;
  const VectorForm* const form =
      find_vector_form(encoding.map, encoding.mandatory_prefix, encoding.opcode, encoding.modrm >> 3 & 7);
  if (form == nullptr) return prepare_own(core, encoding, i);
  const bool memory = encoding.modrm < 0xc0;
  if (!core.env.model.has(form->feature)) return false;
  if (memory ? form->memory_size == 0 : form->has(kVectorMemoryOnly)) return false;
  place_operands(*form, encoding, i);
  i.handler = plain_move(*form, i);
  if (i.handler != nullptr) return true;
  VectorStubVariant variant{.memory = memory};
  if (form->has(kVectorImmediate)) variant.immediate = encoding.bytes[encoding.length - 1];
  if (form->reg == VectorOperand::Mmx) variant.reg = i.reg;
  if (form->rm == VectorOperand::Mmx && !memory) variant.rm = i.rm;
  i.handler = kHandlers[kind_of(*form, memory)];
  i.host_code = stub_for(host_unit(core), vector_stub_key(*form, variant),
                         [&](StubBytes& stub) { stub = build_vector_stub(*form, variant); });
  return i.handler != nullptr;
}

constexpr InstructionRow kRows[] = {
#define VITRINE_OPERATION(name) handler_row(Operation::name, nullptr, Flow::Inline, {.prepare = &prepare}),
#include "cpu/operation_list_vector.inc"
#undef VITRINE_OPERATION
};

}  // namespace

std::span<const InstructionRow> vector_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

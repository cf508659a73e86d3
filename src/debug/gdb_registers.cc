#include "debug/gdb_registers.h"

#include <algorithm>

#include "base/check.h"
#include "x86/control_registers.h"
#include "x86/descriptors.h"
#include "x86/flags.h"
#include "x86/registers.h"
#include "x86/selector.h"

namespace vitrine::debug {
namespace {

using enum RegisterKind;
using enum RegisterFeature;
using cpu::CpuState;

constexpr unsigned kTenBytes = 10;
/// SDM Vol. 1, "x87 FPU Control Word": the six masks, precision and rounding control, and the infinity bit
/// that is kept for the 287; bit 6 reads as one.
constexpr uint16_t kFpuControlDefined = 0x1f3f;
constexpr uint16_t kFpuControlFixed = 0x0040;
constexpr uint16_t kFpuExceptions = 0x003f;
constexpr uint16_t kFpuErrorSummary = 0x0080;
constexpr uint16_t kFpuBusy = 0x8000;
constexpr uint16_t kFpuOpcodeMask = 0x07ff;
/// SDM Vol. 1, "MXCSR Control and Status Register": bits 16–31 are reserved, and loading them faults.
constexpr uint32_t kMxcsrDefined = 0x0000ffff;

constexpr std::array<RegisterRow, kRegisterCount> kRows = {{
    {"eax", General, x86::kEax, 4, "int32", Core},
    {"ecx", General, x86::kEcx, 4, "int32", Core},
    {"edx", General, x86::kEdx, 4, "int32", Core},
    {"ebx", General, x86::kEbx, 4, "int32", Core},
    {"esp", General, x86::kEsp, 4, "data_ptr", Core},
    {"ebp", General, x86::kEbp, 4, "data_ptr", Core},
    {"esi", General, x86::kEsi, 4, "int32", Core},
    {"edi", General, x86::kEdi, 4, "int32", Core},
    {"eip", Eip, 0, 4, "code_ptr", Core},
    {"eflags", Eflags, 0, 4, "i386_eflags", Core},
    {"cs", Segment, x86::kCs, 4, "int32", Core},
    {"ss", Segment, x86::kSs, 4, "int32", Core},
    {"ds", Segment, x86::kDs, 4, "int32", Core},
    {"es", Segment, x86::kEs, 4, "int32", Core},
    {"fs", Segment, x86::kFs, 4, "int32", Core},
    {"gs", Segment, x86::kGs, 4, "int32", Core},
    {"st0", St, 0, kTenBytes, "i387_ext", Core},
    {"st1", St, 1, kTenBytes, "i387_ext", Core},
    {"st2", St, 2, kTenBytes, "i387_ext", Core},
    {"st3", St, 3, kTenBytes, "i387_ext", Core},
    {"st4", St, 4, kTenBytes, "i387_ext", Core},
    {"st5", St, 5, kTenBytes, "i387_ext", Core},
    {"st6", St, 6, kTenBytes, "i387_ext", Core},
    {"st7", St, 7, kTenBytes, "i387_ext", Core},
    {"fctrl", FpuControl, 0, 4, "int", Core},
    {"fstat", FpuStatus, 0, 4, "int", Core},
    {"ftag", FpuTag, 0, 4, "int", Core},
    {"fiseg", FpuInstructionSegment, 0, 4, "int", Core},
    {"fioff", FpuInstructionPointer, 0, 4, "int", Core},
    {"foseg", FpuDataSegment, 0, 4, "int", Core},
    {"fooff", FpuDataPointer, 0, 4, "int", Core},
    {"fop", FpuOpcode, 0, 4, "int", Core},
    {"xmm0", Xmm, 0, 16, "vec128", Sse},
    {"xmm1", Xmm, 1, 16, "vec128", Sse},
    {"xmm2", Xmm, 2, 16, "vec128", Sse},
    {"xmm3", Xmm, 3, 16, "vec128", Sse},
    {"xmm4", Xmm, 4, 16, "vec128", Sse},
    {"xmm5", Xmm, 5, 16, "vec128", Sse},
    {"xmm6", Xmm, 6, 16, "vec128", Sse},
    {"xmm7", Xmm, 7, 16, "vec128", Sse},
    {"mxcsr", Mxcsr, 0, 4, "i386_mxcsr", Sse},
    {"fs_base", SegmentBase, x86::kFs, 4, "int32", System},
    {"gs_base", SegmentBase, x86::kGs, 4, "int32", System},
    {"cr0", Cr0, 0, 4, "vitrine_cr0", System},
    {"cr2", Cr2, 0, 4, "data_ptr", System},
    {"cr3", Cr3, 0, 4, "int32", System},
    {"cr4", Cr4, 0, 4, "vitrine_cr4", System},
    {"efer", Efer, 0, 8, "vitrine_efer", System},
    {"ymm0h", YmmHigh, 0, 16, "uint128", Avx},
    {"ymm1h", YmmHigh, 1, 16, "uint128", Avx},
    {"ymm2h", YmmHigh, 2, 16, "uint128", Avx},
    {"ymm3h", YmmHigh, 3, 16, "uint128", Avx},
    {"ymm4h", YmmHigh, 4, 16, "uint128", Avx},
    {"ymm5h", YmmHigh, 5, 16, "uint128", Avx},
    {"ymm6h", YmmHigh, 6, 16, "uint128", Avx},
    {"ymm7h", YmmHigh, 7, 16, "uint128", Avx},
}};

static_assert(kRows[kRegistersWithoutAvx].feature == Avx && kRows[kRegistersWithoutAvx - 1].feature != Avx);
static_assert(kRows[kEspNumber].name == "esp" && kRows[kEbpNumber].name == "ebp" &&
              kRows[kEipNumber].name == "eip");

size_t physical_x87_register(const CpuState& state, unsigned stack_index) {
  return (((state.fpu.status >> 11) & 7u) + stack_index) & 7u;
}

/// The registers of at most eight bytes.
uint64_t read_number(const CpuState& state, const RegisterRow& row) {
  switch (row.kind) {
    case General: return state.gpr[row.index];
    case Eip: return state.eip;
    case Eflags: return state.eflags;
    case Segment: return state.segments[row.index].selector;
    case FpuControl: return state.fpu.control;
    case FpuStatus: return state.fpu.status;
    case FpuTag: return state.fpu.tag;
    case FpuInstructionSegment: return state.fpu.instruction_segment;
    case FpuInstructionPointer: return state.fpu.instruction_pointer;
    case FpuDataSegment: return state.fpu.data_segment;
    case FpuDataPointer: return state.fpu.data_pointer;
    case FpuOpcode: return state.fpu.opcode;
    case Mxcsr: return state.fpu.mxcsr;
    case SegmentBase: return state.segments[row.index].base;
    case Cr0: return state.cr0;
    case Cr2: return state.cr2;
    case Cr3: return state.cr3;
    case Cr4: return state.cr4;
    case Efer: return state.efer;
    case St:
    case Xmm:
    case YmmHigh: break;
  }
  return 0;
}

/// SDM Vol. 1, "x87 FPU Status Register": ES, and B with it, says that an exception is pending and not
/// masked.
void update_error_summary(cpu::FloatingPointState& fpu) {
  const bool pending = (fpu.status & ~fpu.control & kFpuExceptions) != 0;
  fpu.status = static_cast<uint16_t>(fpu.status & ~(kFpuErrorSummary | kFpuBusy));
  if (pending) fpu.status |= kFpuErrorSummary | kFpuBusy;
}

void jump(CpuState& state, uint32_t eip) {
  if (state.eip == eip) return;
  state.eip = eip;
  state.interrupt_shadow = false;
  // Who sends a halted processor elsewhere (gdb's `jump` and `call`) wants it to run there.
  if (state.activity == cpu::Activity::Halted) state.activity = cpu::Activity::Running;
}

/// What the guest could load into this segment register at its present privilege level.
bool loadable(const CpuState& state, unsigned segment, x86::Selector selector, uint32_t attributes) {
  if (x86::is_system(attributes) || !x86::is_present(attributes)) return false;
  const uint8_t dpl = x86::dpl(attributes);
  if (segment == x86::kCs) {
    if (!x86::is_code(attributes) || selector.rpl() != state.cpl) return false;
    return x86::is_conforming(attributes) ? dpl <= state.cpl : dpl == state.cpl;
  }
  if (segment == x86::kSs) {
    return x86::is_writable(attributes) && selector.rpl() == state.cpl && dpl == state.cpl;
  }
  if (!x86::is_readable(attributes)) return false;
  return x86::is_conforming(attributes) || (dpl >= state.cpl && dpl >= selector.rpl());
}

/// SDM Vol. 3A, "Segment Descriptor Tables": the table is the GDT or, with TI set, the LDT.
std::optional<x86::Descriptor> find_descriptor(const CpuState& state, x86::Selector selector,
                                               const QuadwordReader& memory) {
  const bool local = selector.local();
  if (local && !x86::is_present(state.ldtr.attributes)) return std::nullopt;
  const uint32_t limit = local ? state.ldtr.limit : state.gdtr.limit;
  const uint32_t base = local ? state.ldtr.base : state.gdtr.base;
  if (selector.offset() + 7 > limit) return std::nullopt;
  const auto raw = memory(VirtualAddress(base) + selector.offset());
  if (!raw) return std::nullopt;
  return x86::Descriptor(*raw);
}

std::expected<void, GdbError> write_segment(CpuState& state, unsigned segment, uint16_t value,
                                            const QuadwordReader& memory) {
  cpu::SegmentRegister& loaded = state.segments[segment];
  if (loaded.selector == value) return {};
  if ((state.cr0 & x86::kCr0Pe) == 0 || (state.eflags & x86::kVm) != 0) {
    // SDM Vol. 3B, "Real-Address Mode": a load changes selector and base, and keeps the rest.
    loaded.selector = value;
    loaded.base = uint32_t{value} << 4;
    return {};
  }
  const x86::Selector selector(value);
  if (selector.null()) {
    if (segment == x86::kCs || segment == x86::kSs) return std::unexpected(GdbError::Invalid);
    loaded = {.selector = value};
    return {};
  }
  const auto descriptor = find_descriptor(state, selector, memory);
  if (!descriptor) return std::unexpected(GdbError::BadAddress);
  const uint32_t attributes = descriptor->attributes();
  if (!loadable(state, segment, selector, attributes)) return std::unexpected(GdbError::NotPermitted);
  loaded = {.selector = value,
            .attributes = attributes | x86::kAttributeAccessed,
            .base = descriptor->base(),
            .limit = descriptor->limit()};
  return {};
}

std::expected<void, GdbError> write_number(CpuState& state, const RegisterRow& row, uint64_t number,
                                           const QuadwordReader& memory) {
  const auto value = static_cast<uint32_t>(number);
  const auto half = static_cast<uint16_t>(number);
  cpu::FloatingPointState& fpu = state.fpu;
  switch (row.kind) {
    case General: state.gpr[row.index] = value; break;
    case Eip: jump(state, value); break;
    case Eflags: {
      constexpr uint32_t kWritable = x86::kFlagsDefined & ~x86::kVm;
      state.eflags = (value & kWritable) | (state.eflags & x86::kVm) | x86::kFlagsFixed;
      break;
    }
    case Segment: return write_segment(state, row.index, half, memory);
    case FpuControl:
      fpu.control = (half & kFpuControlDefined) | kFpuControlFixed;
      update_error_summary(fpu);
      break;
    case FpuStatus:
      fpu.status = half;
      update_error_summary(fpu);
      break;
    case FpuTag: fpu.tag = half; break;
    case FpuInstructionSegment: fpu.instruction_segment = half; break;
    case FpuInstructionPointer: fpu.instruction_pointer = value; break;
    case FpuDataSegment: fpu.data_segment = half; break;
    case FpuDataPointer: fpu.data_pointer = value; break;
    case FpuOpcode: fpu.opcode = half & kFpuOpcodeMask; break;
    case Mxcsr: fpu.mxcsr = value & kMxcsrDefined; break;
    case SegmentBase:
    case Cr0:
    case Cr2:
    case Cr3:
    case Cr4:
    case Efer:
      // gdb writes back what it has read, together with other registers: that is no change.
      if (read_number(state, row) != number) return std::unexpected(GdbError::NotPermitted);
      break;
    case St:
    case Xmm:
    case YmmHigh: break;
  }
  return {};
}

}  // namespace

const std::array<RegisterRow, kRegisterCount>& register_rows() {
  return kRows;
}

std::vector<uint8_t> read_register(const CpuState& state, unsigned number) {
  CHECK(number < kRegisterCount);
  const RegisterRow& row = kRows[number];
  std::vector<uint8_t> bytes(row.size);
  if (row.kind == St) {
    std::copy_n(state.fpu.registers[physical_x87_register(state, row.index)].begin(), row.size,
                bytes.begin());
  } else if (row.kind == Xmm) {
    std::ranges::copy(state.fpu.xmm[row.index], bytes.begin());
  } else if (row.kind == YmmHigh) {
    std::ranges::copy(state.fpu.ymm_high[row.index], bytes.begin());
  } else {
    uint64_t value = read_number(state, row);
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(value);
      value >>= 8;
    }
  }
  return bytes;
}

std::expected<void, GdbError> write_register(CpuState& state, unsigned number, std::span<const uint8_t> bytes,
                                             const QuadwordReader& memory) {
  CHECK(number < kRegisterCount);
  const RegisterRow& row = kRows[number];
  if (bytes.size() != row.size) return std::unexpected(GdbError::Invalid);
  if (row.kind == St) {
    std::ranges::copy(bytes, state.fpu.registers[physical_x87_register(state, row.index)].begin());
    return {};
  }
  if (row.kind == Xmm || row.kind == YmmHigh) {
    auto& halves = row.kind == Xmm ? state.fpu.xmm : state.fpu.ymm_high;
    std::ranges::copy(bytes, halves[row.index].begin());
    return {};
  }
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return write_number(state, row, value, memory);
}

}  // namespace vitrine::debug

// Bits: test, scan, count, and the later bit-manipulation extensions. SDM Vol. 1, "Bit and Byte
// Instructions", "BMI1 and BMI2".
#include <nmmintrin.h>

#include "cpu/access.h"
#include "cpu/alu_forms.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

enum class Touches : uint8_t { Reads, Writes };

template <typename Op, typename T, Touches touches>
void bit_register(Core& core, const Instruction& i) {
  T a = core.get<T>(i.rm);
  const T index = i.form == OperandForm::RmReg ? core.get<T>(i.reg) : static_cast<T>(i.immediate);
  Op::apply(a, static_cast<T>(index & (8 * sizeof(T) - 1)), core.flags);
  if constexpr (touches == Touches::Writes) core.set<T>(i.rm, a);
}

// With a register index the memory operand is a bit string: the index, signed, reaches beyond the operand.
template <typename Op, typename T, Touches touches>
bool bit_memory(Core& core, const Instruction& i) {
  constexpr int kBits = 8 * sizeof(T);
  uint32_t offset = effective_offset(core, i);
  T index = static_cast<T>(i.immediate);
  if (i.form == OperandForm::RmReg) {
    index = core.get<T>(i.reg);
    const int32_t signed_index = static_cast<std::make_signed_t<T>>(index);
    offset = (offset + static_cast<uint32_t>((signed_index >> (sizeof(T) == 2 ? 4 : 5)) *
                                             static_cast<int>(sizeof(T)))) &
             i.address_mask;
  }
  index &= kBits - 1;
  T a;
  if constexpr (touches == Touches::Reads) {
    if (!load(core, i.segment, offset, a)) return false;
    Op::apply(a, index, core.flags);
  } else {
    Update update;
    if (!begin_update(core, i.segment, offset, a, update)) return false;
    Op::apply(a, index, core.flags);
    finish_update(core, update, a);
  }
  return true;
}

template <typename Op, Touches touches>
constexpr auto bit_test_rows(Operation operation) {
  return for_word_and_dword([operation]<typename T>() {
    return std::array{
        plain_row<&bit_register<Op, T, touches>>(operation,
                                                 {.location = Location::Register, .size = sizeof(T)}),
        inline_row<&bit_memory<Op, T, touches>>(operation, {.location = Location::Memory, .size = sizeof(T)}),
    };
  });
}

template <typename Op, typename T>
bool scan(Core& core, const Instruction& i) {
  T b;
  if (i.is_memory) {
    if (!load_operand(core, i, b)) return false;
  } else {
    b = core.get<T>(i.rm);
  }
  T a = core.get<T>(i.reg);
  Op::apply(a, b, core.flags);
  core.set<T>(i.reg, a);
  return true;
}

template <typename Op>
constexpr auto scan_rows(Operation operation, Feature feature) {
  return for_word_and_dword([operation, feature]<typename T>() {
    return std::array{inline_row<&scan<Op, T>>(operation, {.size = sizeof(T), .feature = feature})};
  });
}

// VEX encodings exist in protected mode only.
bool vex_operand(Core& core, const Instruction& i, uint32_t& value) {
  if (!core.protected_mode()) return core.raise(x86::Vector::InvalidOpcode);
  if (i.is_memory) return load_operand(core, i, value);
  value = core.get<uint32_t>(i.rm);
  return true;
}

// BLSR and its kind: destination vvvv, source r/m.
template <typename Op>
bool lowest_bit(Core& core, const Instruction& i) {
  uint32_t source;
  if (!vex_operand(core, i, source)) return false;
  uint32_t result = 0;
  Op::apply(result, source, core.flags);
  core.set<uint32_t>(i.vex_register, result);
  return true;
}

// Destination reg; the sources are (vvvv, r/m) or (r/m, vvvv), as the manual has them.
template <typename Op>
bool three_operands(Core& core, const Instruction& i) {
  uint32_t memory;
  if (!vex_operand(core, i, memory)) return false;
  const auto other = core.get<uint32_t>(i.vex_register);
  uint32_t result = 0;
  if (i.form == OperandForm::RegVexRm)
    Op::apply(result, other, memory, core.flags);
  else
    Op::apply(result, memory, other, core.flags);
  core.set<uint32_t>(i.reg, result);
  return true;
}

bool mulx(Core& core, const Instruction& i) {
  uint32_t b;
  if (!vex_operand(core, i, b)) return false;
  const uint64_t product = uint64_t{core.get<uint32_t>(x86::kEdx)} * b;
  core.set<uint32_t>(i.vex_register, static_cast<uint32_t>(product));
  core.set<uint32_t>(i.reg, static_cast<uint32_t>(product >> 32));
  return true;
}

bool rorx(Core& core, const Instruction& i) {
  uint32_t a;
  if (!vex_operand(core, i, a)) return false;
  const unsigned count = i.immediate & 31;
  core.set<uint32_t>(i.reg, a >> count | a << (-count & 31));
  return true;
}

// SAFETY: reached only where the model has SSE4.2, which it has only on a host that does.
template <typename T>
[[gnu::target("sse4.2")]] uint32_t crc(uint32_t sum, T data) {
  if constexpr (sizeof(T) == 1)
    return _mm_crc32_u8(sum, data);
  else if constexpr (sizeof(T) == 2)
    return _mm_crc32_u16(sum, data);
  else
    return _mm_crc32_u32(sum, data);
}

template <typename T>
bool crc32_of(Core& core, const Instruction& i) {
  T data;
  if (i.is_memory) {
    if (!load_operand(core, i, data)) return false;
  } else {
    data = core.get<T>(i.rm);
  }
  core.set<uint32_t>(i.reg, crc(core.get<uint32_t>(i.reg), data));
  return true;
}
bool crc32(Core& core, const Instruction& i) {
  if (i.rm_size == 1) return crc32_of<uint8_t>(core, i);
  if (i.rm_size == 2) return crc32_of<uint16_t>(core, i);
  return crc32_of<uint32_t>(core, i);
}

constexpr std::array kOtherRows = {
    inline_row<&crc32>(Operation::Crc32, {.feature = Feature::Sse42}),
    inline_row<&lowest_bit<host::Blsr>>(Operation::Blsr, {.size = 4, .feature = Feature::Bmi1}),
    inline_row<&lowest_bit<host::Blsi>>(Operation::Blsi, {.size = 4, .feature = Feature::Bmi1}),
    inline_row<&lowest_bit<host::Blsmsk>>(Operation::Blsmsk, {.size = 4, .feature = Feature::Bmi1}),
    inline_row<&three_operands<host::Andn>>(Operation::Andn, {.feature = Feature::Bmi1}),
    inline_row<&three_operands<host::Bextr>>(Operation::Bextr, {.feature = Feature::Bmi1}),
    inline_row<&three_operands<host::Bzhi>>(Operation::Bzhi, {.feature = Feature::Bmi2}),
    inline_row<&three_operands<host::Pdep>>(Operation::Pdep, {.feature = Feature::Bmi2}),
    inline_row<&three_operands<host::Pext>>(Operation::Pext, {.feature = Feature::Bmi2}),
    inline_row<&three_operands<host::Sarx>>(Operation::Sarx, {.feature = Feature::Bmi2}),
    inline_row<&three_operands<host::Shlx>>(Operation::Shlx, {.feature = Feature::Bmi2}),
    inline_row<&three_operands<host::Shrx>>(Operation::Shrx, {.feature = Feature::Bmi2}),
    inline_row<&mulx>(Operation::Mulx, {.feature = Feature::Bmi2}),
    inline_row<&rorx>(Operation::Rorx, {.feature = Feature::Bmi2}),
};

constexpr auto kRows = join(bit_test_rows<host::Bt, Touches::Reads>(Operation::Bt),
                            bit_test_rows<host::Bts, Touches::Writes>(Operation::Bts),
                            bit_test_rows<host::Btr, Touches::Writes>(Operation::Btr),
                            bit_test_rows<host::Btc, Touches::Writes>(Operation::Btc),
                            scan_rows<host::Bsf>(Operation::Bsf, Feature::Count),
                            scan_rows<host::Bsr>(Operation::Bsr, Feature::Count),
                            scan_rows<host::Popcnt>(Operation::Popcnt, Feature::Popcnt),
                            scan_rows<host::Lzcnt>(Operation::Lzcnt, Feature::Abm),
                            scan_rows<host::Tzcnt>(Operation::Tzcnt, Feature::Bmi1), kOtherRows);

}  // namespace

std::span<const InstructionRow> bit_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

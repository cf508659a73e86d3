// Decimal adjustment. SDM Vol. 1, "Decimal Arithmetic Instructions"; the operations in SDM Vol. 2. Not
// available to the host in 64-bit mode, so written out; flags that the manual leaves undefined are as Intel
// processors make them where that is known.
#include "cpu/access.h"
#include "cpu/instruction_table.h"
#include "cpu/rows.h"

namespace vitrine::cpu {
namespace {

// SF, ZF, PF of a byte.
ArithmeticFlags byte_flags(uint8_t value) {
  ArithmeticFlags flags = 0x200;
  if ((value & 0x80) != 0) flags |= kFlagS;
  if (value == 0) flags |= kFlagZ;
  if (__builtin_parity(value) == 0) flags |= kFlagP;
  return flags;
}

// DAA and DAS: `sign` is +1 or -1.
template <int sign>
void decimal_adjust(Core& core, const Instruction& /*i*/) {
  const auto old_al = core.get<uint8_t>(x86::kEax);
  const bool old_cf = (core.flags & kFlagC) != 0;
  unsigned al = old_al;
  bool carry = false, auxiliary = false;
  if ((old_al & 0xf) > 9 || (core.flags & kFlagA) != 0) {
    al += static_cast<unsigned>(sign * 6);
    carry = old_cf || (al & 0x100) != 0;
    auxiliary = true;
  }
  if (old_al > 0x99 || old_cf) {
    al += static_cast<unsigned>(sign * 0x60);
    carry = true;
  } else if (sign > 0) {
    carry = false;
  }
  const auto result = static_cast<uint8_t>(al);
  core.set<uint8_t>(x86::kEax, result);
  core.flags =
      byte_flags(result) | (carry ? kFlagC : ArithmeticFlags{0}) | (auxiliary ? kFlagA : ArithmeticFlags{0});
}

// AAA and AAS.
template <int sign>
void ascii_adjust(Core& core, const Instruction& /*i*/) {
  auto ax = core.get<uint16_t>(x86::kEax);
  const bool adjust = (ax & 0xf) > 9 || (core.flags & kFlagA) != 0;
  if (adjust) ax = static_cast<uint16_t>(ax + sign * 0x106);
  const auto al = static_cast<uint8_t>(ax);
  ax &= 0xff0f;
  core.set<uint16_t>(x86::kEax, ax);
  core.flags = byte_flags(al & 0xf) | (adjust ? kFlagC | kFlagA : 0);
}

bool aam(Core& core, const Instruction& i) {
  const auto base = static_cast<uint8_t>(i.immediate);
  if (base == 0) return core.raise(x86::Vector::DivideError);
  const auto al = core.get<uint8_t>(x86::kEax);
  const auto low = static_cast<uint8_t>(al % base);
  core.set<uint16_t>(x86::kEax, static_cast<uint16_t>((al / base) << 8 | low));
  core.flags = byte_flags(low);
  return true;
}

void aad(Core& core, const Instruction& i) {
  const auto ax = core.get<uint16_t>(x86::kEax);
  const auto al = static_cast<uint8_t>((ax & 0xff) + (ax >> 8) * (i.immediate & 0xff));
  core.set<uint16_t>(x86::kEax, al);
  core.flags = byte_flags(al);
}

constexpr std::array kRows = {
    plain_row<&decimal_adjust<1>>(Operation::Daa),
    plain_row<&decimal_adjust<-1>>(Operation::Das),
    plain_row<&ascii_adjust<1>>(Operation::Aaa),
    plain_row<&ascii_adjust<-1>>(Operation::Aas),
    inline_row<&aam>(Operation::Aam),
    plain_row<&aad>(Operation::Aad),
};

}  // namespace

std::span<const InstructionRow> decimal_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

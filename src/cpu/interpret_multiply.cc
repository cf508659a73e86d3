// Multiplication and division. SDM Vol. 1, "Multiply and Divide Instructions". A quotient that does not fit
// is #DE: that is found out before the host divides.
#include "cpu/access.h"
#include "cpu/alu_forms.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

template <typename T>
[[gnu::always_inline]] inline bool operand(Core& core, const Instruction& i, T& value) {
  if (i.is_memory) return load_operand(core, i, value);
  value = core.get<T>(i.rm);
  return true;
}

enum class Signedness : uint8_t { Unsigned, Signed };

template <typename T, Signedness kind>
bool multiply(Core& core, const Instruction& i) {
  T factor;
  if (!operand(core, i, factor)) return false;
  if constexpr (sizeof(T) == 1) {
    auto ax = core.get<uint16_t>(x86::kEax);
    if constexpr (kind == Signedness::Signed)
      host::imul(ax, factor, core.flags);
    else
      host::mul(ax, factor, core.flags);
    core.set<uint16_t>(x86::kEax, ax);
  } else {
    T low = core.get<T>(x86::kEax);
    T high = 0;
    if constexpr (kind == Signedness::Signed)
      host::imul(low, high, factor, core.flags);
    else
      host::mul(low, high, factor, core.flags);
    core.set<T>(x86::kEax, low);
    core.set<T>(x86::kEdx, high);
  }
  return true;
}

// Whether dividend / divisor fits in T. Wide is twice as wide as T, with its sign.
template <typename T, typename Wide>
bool quotient_fits(Wide dividend, T divisor) {
  using Narrow = std::conditional_t<std::is_signed_v<Wide>, std::make_signed_t<T>, T>;
  const auto by = static_cast<Narrow>(divisor);
  if (by == 0) return false;
  if (std::is_signed_v<Wide> && dividend == std::numeric_limits<Wide>::min() && by == static_cast<Narrow>(-1))
    return false;
  const auto quotient = dividend / static_cast<Wide>(by);
  return quotient >= std::numeric_limits<Narrow>::min() && quotient <= std::numeric_limits<Narrow>::max();
}

template <Signedness kind>
bool divide_byte(Core& core, const Instruction& i) {
  uint8_t divisor;
  if (!operand(core, i, divisor)) return false;
  auto ax = core.get<uint16_t>(x86::kEax);
  if constexpr (kind == Signedness::Signed) {
    if (!quotient_fits<uint8_t, int16_t>(static_cast<int16_t>(ax), divisor))
      return core.raise(x86::Vector::DivideError);
    host::idiv(ax, divisor, core.flags);
  } else {
    if (!quotient_fits<uint8_t, uint16_t>(ax, divisor)) return core.raise(x86::Vector::DivideError);
    host::div(ax, divisor, core.flags);
  }
  core.set<uint16_t>(x86::kEax, ax);
  return true;
}

template <typename T, Signedness kind>
bool divide(Core& core, const Instruction& i) {
  using Wide = std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t>;
  T divisor;
  if (!operand(core, i, divisor)) return false;
  T low = core.get<T>(x86::kEax);
  T high = core.get<T>(x86::kEdx);
  const auto dividend = static_cast<Wide>(static_cast<Wide>(high) << (8 * sizeof(T)) | low);
  if constexpr (kind == Signedness::Signed) {
    using SignedWide = std::make_signed_t<Wide>;
    if (!quotient_fits<T, SignedWide>(static_cast<SignedWide>(dividend), divisor))
      return core.raise(x86::Vector::DivideError);
    host::idiv(low, high, divisor, core.flags);
  } else {
    if (!quotient_fits<T, Wide>(dividend, divisor)) return core.raise(x86::Vector::DivideError);
    host::div(low, high, divisor, core.flags);
  }
  core.set<T>(x86::kEax, low);
  core.set<T>(x86::kEdx, high);
  return true;
}

template <typename T>
bool imul_two(Core& core, const Instruction& i) {
  T b;
  if (!operand(core, i, b)) return false;
  T a = core.get<T>(i.reg);
  host::Imul2::apply(a, b, core.flags);
  core.set<T>(i.reg, a);
  return true;
}
template <typename T>
bool imul_three(Core& core, const Instruction& i) {
  T a;
  if (!operand(core, i, a)) return false;
  host::Imul2::apply(a, static_cast<T>(i.immediate), core.flags);
  core.set<T>(i.reg, a);
  return true;
}

constexpr auto wide_rows() {
  return for_word_and_dword([]<typename T>() {
    using F = OperandForm;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        inline_row<&multiply<T, Signedness::Unsigned>>(Operation::Mul, {.size = kSize}),
        inline_row<&multiply<T, Signedness::Signed>>(Operation::Imul, {.form = F::Rm, .size = kSize}),
        inline_row<&imul_two<T>>(Operation::Imul, {.form = F::RegRm, .size = kSize}),
        inline_row<&imul_three<T>>(Operation::Imul, {.form = F::RegRmImmediate, .size = kSize}),
        inline_row<&divide<T, Signedness::Unsigned>>(Operation::Div, {.size = kSize}),
        inline_row<&divide<T, Signedness::Signed>>(Operation::Idiv, {.size = kSize}),
    };
  });
}

constexpr std::array kByteRows = {
    inline_row<&multiply<uint8_t, Signedness::Unsigned>>(Operation::Mul, {.size = 1}),
    inline_row<&multiply<uint8_t, Signedness::Signed>>(Operation::Imul, {.size = 1}),
    inline_row<&divide_byte<Signedness::Unsigned>>(Operation::Div, {.size = 1}),
    inline_row<&divide_byte<Signedness::Signed>>(Operation::Idiv, {.size = 1}),
};

constexpr auto kRows = join(wide_rows(), kByteRows);

}  // namespace

std::span<const InstructionRow> multiply_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

// Binary arithmetic. SDM Vol. 1, "Binary Arithmetic Instructions"; compare-and-exchange, exchange-and-add.
#include "cpu/access.h"
#include "cpu/alu_forms.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

// CMPXCHG writes the destination in any case, its old value when the comparison fails: the write is checked
// first.
template <typename T>
[[gnu::always_inline]] inline bool compare_exchange(Core& core, T& destination, T source) {
  T accumulator = core.get<T>(x86::kEax);
  host::Cmp::apply(accumulator, destination, core.flags);
  if ((core.flags & kFlagZ) == 0) return false;
  destination = source;
  return true;
}

template <typename T>
void cmpxchg_register(Core& core, const Instruction& i) {
  T destination = core.get<T>(i.rm);
  const T old = destination;
  if (compare_exchange(core, destination, core.get<T>(i.reg)))
    core.set<T>(i.rm, destination);
  else
    core.set<T>(x86::kEax, old);
}

template <typename T>
bool cmpxchg_memory(Core& core, const Instruction& i) {
  T destination;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), destination, update)) return false;
  const T old = destination;
  if (!compare_exchange(core, destination, core.get<T>(i.reg))) core.set<T>(x86::kEax, old);
  finish_update(core, update, destination);
  return true;
}

bool cmpxchg8b(Core& core, const Instruction& i) {
  uint64_t destination;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), destination, update)) return false;
  auto& gpr = core.state.gpr;
  const uint64_t expected = uint64_t{gpr[x86::kEdx]} << 32 | gpr[x86::kEax];
  if (destination == expected) {
    core.flags |= kFlagZ;
    destination = uint64_t{gpr[x86::kEcx]} << 32 | gpr[x86::kEbx];
  } else {
    core.flags &= static_cast<ArithmeticFlags>(~kFlagZ);
    gpr[x86::kEax] = static_cast<uint32_t>(destination);
    gpr[x86::kEdx] = static_cast<uint32_t>(destination >> 32);
  }
  finish_update(core, update, destination);
  return true;
}

template <typename T>
void xadd_register(Core& core, const Instruction& i) {
  const T old = core.get<T>(i.rm);
  T sum = old;
  host::Add::apply(sum, core.get<T>(i.reg), core.flags);
  core.set<T>(i.reg, old);
  core.set<T>(i.rm, sum);  // last: with both the same register, the sum stays
}

template <typename T>
bool xadd_memory(Core& core, const Instruction& i) {
  T old;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), old, update)) return false;
  T sum = old;
  host::Add::apply(sum, core.get<T>(i.reg), core.flags);
  finish_update(core, update, sum);
  core.set<T>(i.reg, old);
  return true;
}

constexpr auto exchange_rows() {
  return for_all_widths([]<typename T>() {
    using L = Location;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&cmpxchg_register<T>>(Operation::Cmpxchg, {OperandForm::RmReg, L::Register, kSize}),
        inline_row<&cmpxchg_memory<T>>(Operation::Cmpxchg, {OperandForm::RmReg, L::Memory, kSize}),
        plain_row<&xadd_register<T>>(Operation::Xadd, {OperandForm::RmReg, L::Register, kSize}),
        inline_row<&xadd_memory<T>>(Operation::Xadd, {OperandForm::RmReg, L::Memory, kSize}),
    };
  });
}

template <typename Op>
void add_with_one_carry_register(Core& core, const Instruction& i) {
  uint32_t a = core.get<uint32_t>(i.reg);
  Op::apply(a, core.get<uint32_t>(i.rm), core.flags);
  core.set<uint32_t>(i.reg, a);
}
template <typename Op>
bool add_with_one_carry_memory(Core& core, const Instruction& i) {
  uint32_t b;
  if (!load_operand(core, i, b)) return false;
  uint32_t a = core.get<uint32_t>(i.reg);
  Op::apply(a, b, core.flags);
  core.set<uint32_t>(i.reg, a);
  return true;
}

constexpr std::array kOtherRows = {
    inline_row<&cmpxchg8b>(Operation::Cmpxchg8b, {.location = Location::Memory, .feature = Feature::Cx8}),
    plain_row<&add_with_one_carry_register<host::Adcx>>(
        Operation::Adcx, {.location = Location::Register, .feature = Feature::Adx}),
    inline_row<&add_with_one_carry_memory<host::Adcx>>(
        Operation::Adcx, {.location = Location::Memory, .feature = Feature::Adx}),
    plain_row<&add_with_one_carry_register<host::Adox>>(
        Operation::Adox, {.location = Location::Register, .feature = Feature::Adx}),
    inline_row<&add_with_one_carry_memory<host::Adox>>(
        Operation::Adox, {.location = Location::Memory, .feature = Feature::Adx}),
};

constexpr auto kRows = join(alu_rows<host::Add>(Operation::Add), alu_rows<host::Adc>(Operation::Adc),
                            alu_rows<host::Sub>(Operation::Sub), alu_rows<host::Sbb>(Operation::Sbb),
                            alu_rows<host::Cmp>(Operation::Cmp), unary_rows<host::Inc>(Operation::Inc),
                            unary_rows<host::Dec>(Operation::Dec), unary_rows<host::Neg>(Operation::Neg),
                            exchange_rows(), kOtherRows);

}  // namespace

std::span<const InstructionRow> arithmetic_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

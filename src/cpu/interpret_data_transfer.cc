// Moving data. SDM Vol. 1, "Data Transfer Instructions" but for the stack (interpret_stack.cc) and segment
// registers.
#include "cpu/access.h"
#include "cpu/alu_forms.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

template <typename T>
void mov_register_register(Core& core, const Instruction& i) {
  core.set<T>(i.rm, core.get<T>(i.reg));
}
template <typename T>
void mov_register_register_reversed(Core& core, const Instruction& i) {
  core.set<T>(i.reg, core.get<T>(i.rm));
}
template <typename T>
void mov_register_immediate(Core& core, const Instruction& i) {
  core.set<T>(i.rm, static_cast<T>(i.immediate));
}
template <typename T>
bool mov_memory_register(Core& core, const Instruction& i) {
  return store_operand(core, i, core.get<T>(i.reg));
}
template <typename T>
bool mov_memory_immediate(Core& core, const Instruction& i) {
  return store_operand(core, i, static_cast<T>(i.immediate));
}
template <typename T>
bool mov_register_memory(Core& core, const Instruction& i) {
  T value;
  if (!load_operand(core, i, value)) [[unlikely]]
    return false;
  core.set<T>(i.reg, value);
  return true;
}

constexpr auto mov_rows() {
  return for_all_widths([]<typename T>() {
    using F = OperandForm;
    using L = Location;
    constexpr Operation kMov = Operation::Mov;
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&mov_register_register<T>>(kMov, {F::RmReg, L::Register, kSize}),
        plain_row<&mov_register_register_reversed<T>>(kMov, {F::RegRm, L::Register, kSize}),
        plain_row<&mov_register_immediate<T>>(kMov, {F::RmImmediate, L::Register, kSize}),
        inline_row<&mov_memory_register<T>>(kMov, {F::RmReg, L::Memory, kSize}),
        inline_row<&mov_memory_immediate<T>>(kMov, {F::RmImmediate, L::Memory, kSize}),
        inline_row<&mov_register_memory<T>>(kMov, {F::RegRm, L::Memory, kSize}),
    };
  });
}

// MOVZX and MOVSX: From is the source's type, signed for MOVSX.
template <typename To, typename From>
void extend_register(Core& core, const Instruction& i) {
  core.set<To>(i.reg, static_cast<To>(static_cast<From>(core.get<std::make_unsigned_t<From>>(i.rm))));
}
template <typename To, typename From>
bool extend_memory(Core& core, const Instruction& i) {
  From value;
  if (!load_operand(core, i, value)) [[unlikely]]
    return false;
  core.set<To>(i.reg, static_cast<To>(value));
  return true;
}

// The source's width is not in the row's key: it is looked at once, when the instruction is decoded.
template <typename To, typename Byte, typename Word>
bool choose_extension(Core& /*core*/, const Encoding& /*encoding*/, Instruction& i) {
  if (i.rm_size == 1) {
    i.handler = i.is_memory ? &run_inline<&extend_memory<To, Byte>> : &run_plain<&extend_register<To, Byte>>;
  } else {
    i.handler = i.is_memory ? &run_inline<&extend_memory<To, Word>> : &run_plain<&extend_register<To, Word>>;
  }
  return true;
}

constexpr auto extend_rows() {
  return for_word_and_dword([]<typename T>() {
    constexpr uint8_t kSize = sizeof(T);
    return std::array{
        plain_row<&extend_register<T, uint8_t>>(
            Operation::Movzx, {.size = kSize, .prepare = &choose_extension<T, uint8_t, uint16_t>}),
        plain_row<&extend_register<T, int8_t>>(
            Operation::Movsx, {.size = kSize, .prepare = &choose_extension<T, int8_t, int16_t>}),
    };
  });
}

template <typename T>
void xchg_register(Core& core, const Instruction& i) {
  const T a = core.get<T>(i.rm);
  core.set<T>(i.rm, core.get<T>(i.reg));
  core.set<T>(i.reg, a);
}
template <typename T>
bool xchg_memory(Core& core, const Instruction& i) {
  T a;
  Update update;
  if (!begin_update(core, i.segment, effective_offset(core, i), a, update)) return false;
  finish_update(core, update, core.get<T>(i.reg));
  core.set<T>(i.reg, a);
  return true;
}

constexpr auto xchg_rows() {
  return for_all_widths([]<typename T>() {
    using L = Location;
    return std::array{
        plain_row<&xchg_register<T>>(Operation::Xchg, {.location = L::Register, .size = sizeof(T)}),
        inline_row<&xchg_memory<T>>(Operation::Xchg, {.location = L::Memory, .size = sizeof(T)}),
    };
  });
}

template <typename T>
void lea(Core& core, const Instruction& i) {
  core.set<T>(i.reg, static_cast<T>(effective_offset(core, i)));
}

void cbw(Core& core, const Instruction& /*i*/) {
  core.set<uint16_t>(x86::kEax, static_cast<uint16_t>(static_cast<int8_t>(core.get<uint8_t>(x86::kEax))));
}
void cwde(Core& core, const Instruction& /*i*/) {
  core.set<uint32_t>(x86::kEax, static_cast<uint32_t>(static_cast<int16_t>(core.get<uint16_t>(x86::kEax))));
}
template <typename T>
void cwd(Core& core, const Instruction& /*i*/) {
  const bool negative = static_cast<std::make_signed_t<T>>(core.get<T>(x86::kEax)) < 0;
  core.set<T>(x86::kEdx, negative ? static_cast<T>(~T{0}) : T{0});
}

// BSWAP of a 16-bit register is undefined; processors clear it.
void bswap16(Core& core, const Instruction& i) {
  core.set<uint16_t>(i.rm, 0);
}
void bswap32(Core& core, const Instruction& i) {
  core.set<uint32_t>(i.rm, __builtin_bswap32(core.get<uint32_t>(i.rm)));
}

template <typename T>
constexpr T swapped(T value) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  return __builtin_bswap32(value);
}
template <typename T>
bool movbe_load(Core& core, const Instruction& i) {
  T value;
  if (!load_operand(core, i, value)) return false;
  core.set<T>(i.reg, swapped(value));
  return true;
}
template <typename T>
bool movbe_store(Core& core, const Instruction& i) {
  return store_operand(core, i, swapped(core.get<T>(i.reg)));
}

constexpr auto movbe_rows() {
  return for_word_and_dword([]<typename T>() {
    using F = OperandForm;
    constexpr Feature kFeature = Feature::Movbe;
    return std::array{
        inline_row<&movbe_load<T>>(Operation::Movbe, {F::RegRm, Location::Memory, sizeof(T), kFeature}),
        inline_row<&movbe_store<T>>(Operation::Movbe, {F::RmReg, Location::Memory, sizeof(T), kFeature}),
    };
  });
}

bool xlat(Core& core, const Instruction& i) {
  const uint32_t offset = (core.get<uint32_t>(x86::kEbx) + core.get<uint8_t>(x86::kEax)) & i.address_mask;
  uint8_t value;
  if (!load(core, i.segment, offset, value)) return false;
  core.set<uint8_t>(x86::kEax, value);
  return true;
}

template <typename T, unsigned Condition>
void cmov_register(Core& core, const Instruction& i) {
  const T value = core.get<T>(i.rm);
  if (condition<Condition>(core.flags)) core.set<T>(i.reg, value);
}
// The memory operand is read, and may fault, whatever the condition.
template <typename T, unsigned Condition>
bool cmov_memory(Core& core, const Instruction& i) {
  T value;
  if (!load_operand(core, i, value)) return false;
  if (condition<Condition>(core.flags)) core.set<T>(i.reg, value);
  return true;
}
template <unsigned Condition>
void setcc_register(Core& core, const Instruction& i) {
  core.set<uint8_t>(i.rm, condition<Condition>(core.flags) ? 1 : 0);
}
template <unsigned Condition>
bool setcc_memory(Core& core, const Instruction& i) {
  return store_operand(core, i, static_cast<uint8_t>(condition<Condition>(core.flags) ? 1 : 0));
}

template <unsigned Condition>
constexpr auto conditional_rows(Operation cmov, Operation setcc) {
  using L = Location;
  constexpr Feature kFeature = Feature::Cmov;
  return std::array{
      plain_row<&cmov_register<uint32_t, Condition>>(
          cmov, {.location = L::Register, .size = 4, .feature = kFeature}),
      inline_row<&cmov_memory<uint32_t, Condition>>(cmov,
                                                    {.location = L::Memory, .size = 4, .feature = kFeature}),
      plain_row<&cmov_register<uint16_t, Condition>>(
          cmov, {.location = L::Register, .size = 2, .feature = kFeature}),
      inline_row<&cmov_memory<uint16_t, Condition>>(cmov,
                                                    {.location = L::Memory, .size = 2, .feature = kFeature}),
      plain_row<&setcc_register<Condition>>(setcc, {.location = L::Register}),
      inline_row<&setcc_memory<Condition>>(setcc, {.location = L::Memory}),
  };
}

void no_operation(Core& /*core*/, const Instruction& /*i*/) {}

bool pause(Core& core, const Instruction& /*i*/) {
  if (core.env.takes_turns) core.leave_after_current(kAttentionKick);
  return true;
}

constexpr std::array kOtherRows = {
    plain_row<&lea<uint16_t>>(Operation::Lea, {.location = Location::Memory, .size = 2}),
    plain_row<&lea<uint32_t>>(Operation::Lea, {.location = Location::Memory, .size = 4}),
    plain_row<&cbw>(Operation::Cbw, {.size = 2}),
    plain_row<&cwde>(Operation::Cbw, {.size = 4}),
    plain_row<&cwd<uint16_t>>(Operation::Cwd, {.size = 2}),
    plain_row<&cwd<uint32_t>>(Operation::Cwd, {.size = 4}),
    plain_row<&bswap16>(Operation::Bswap, {.size = 2}),
    plain_row<&bswap32>(Operation::Bswap, {.size = 4}),
    inline_row<&xlat>(Operation::Xlat),
    inline_row<&mov_memory_register<uint32_t>>(Operation::Movnti,
                                               {.location = Location::Memory, .feature = Feature::Sse2}),
    plain_row<&no_operation>(Operation::Nop),
    inline_row<&pause>(Operation::Pause),
    plain_row<&no_operation>(Operation::Prefetch),
    plain_row<&no_operation>(Operation::Prefetchw),
    plain_row<&no_operation>(Operation::Prefetchwt1),
    plain_row<&no_operation>(Operation::Prefetchnta),
    plain_row<&no_operation>(Operation::Prefetcht0),
    plain_row<&no_operation>(Operation::Prefetcht1),
    plain_row<&no_operation>(Operation::Prefetcht2),
    plain_row<&no_operation>(Operation::Endbr32),
    plain_row<&no_operation>(Operation::Cldemote),
    plain_row<&no_operation>(Operation::Sfence, {.feature = Feature::Sse}),
    plain_row<&no_operation>(Operation::Lfence, {.feature = Feature::Sse2}),
    plain_row<&no_operation>(Operation::Mfence, {.feature = Feature::Sse2}),
};

constexpr auto kRows = join(mov_rows(), extend_rows(), xchg_rows(), movbe_rows(), kOtherRows,
                            conditional_rows<0>(Operation::Cmovo, Operation::Seto),
                            conditional_rows<1>(Operation::Cmovno, Operation::Setno),
                            conditional_rows<2>(Operation::Cmovb, Operation::Setb),
                            conditional_rows<3>(Operation::Cmovnb, Operation::Setnb),
                            conditional_rows<4>(Operation::Cmovz, Operation::Setz),
                            conditional_rows<5>(Operation::Cmovnz, Operation::Setnz),
                            conditional_rows<6>(Operation::Cmovbe, Operation::Setbe),
                            conditional_rows<7>(Operation::Cmovnbe, Operation::Setnbe),
                            conditional_rows<8>(Operation::Cmovs, Operation::Sets),
                            conditional_rows<9>(Operation::Cmovns, Operation::Setns),
                            conditional_rows<10>(Operation::Cmovp, Operation::Setp),
                            conditional_rows<11>(Operation::Cmovnp, Operation::Setnp),
                            conditional_rows<12>(Operation::Cmovl, Operation::Setl),
                            conditional_rows<13>(Operation::Cmovnl, Operation::Setnl),
                            conditional_rows<14>(Operation::Cmovle, Operation::Setle),
                            conditional_rows<15>(Operation::Cmovnle, Operation::Setnle));

}  // namespace

std::span<const InstructionRow> data_transfer_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

// The stack. SDM Vol. 1, "Stack Manipulation Instructions", "ENTER and LEAVE Instructions". The width of the
// stack pointer is SS.B's; ESP changes only when all accesses have succeeded.
#include <array>

#include "cpu/access.h"
#include "cpu/instruction_table.h"
#include "cpu/rows.h"

namespace vitrine::cpu {
namespace {

template <typename T>
bool push_register(Core& core, const Instruction& i) {
  return push(core, core.get<T>(i.rm));
}
template <typename T>
bool push_immediate(Core& core, const Instruction& i) {
  return push(core, static_cast<T>(i.immediate));
}
template <typename T>
bool push_memory(Core& core, const Instruction& i) {
  T value;
  return load_operand(core, i, value) && push(core, value);
}
template <typename T>
bool pop_register(Core& core, const Instruction& i) {
  T value;
  if (!pop(core, value)) return false;
  core.set<T>(i.rm, value);
  return true;
}
// The address of the destination is computed with ESP already incremented; a fault in the store leaves ESP as
// it was.
template <typename T>
bool pop_memory(Core& core, const Instruction& i) {
  const uint32_t esp = core.state.gpr[x86::kEsp];
  T value;
  if (!pop(core, value)) return false;
  if (store_operand(core, i, value)) return true;
  core.state.gpr[x86::kEsp] = esp;
  return false;
}

// All eight registers, ESP as it was before; no register changes unless all can be written.
template <typename T>
bool pusha(Core& core, const Instruction& /*i*/) {
  const uint32_t before = core.state.gpr[x86::kEsp];
  uint32_t top = stack_pointer(core);
  for (unsigned r = 0; r < x86::kGprCount; ++r) {
    top = (top - static_cast<uint32_t>(sizeof(T))) & core.stack_mask;
    const T value = r == x86::kEsp ? static_cast<T>(before) : core.get<T>(r);
    if (!store(core, x86::kSs, top, value)) return false;
  }
  set_stack_pointer(core, top);
  return true;
}
template <typename T>
bool popa(Core& core, const Instruction& /*i*/) {
  std::array<T, x86::kGprCount> values{};
  uint32_t top = stack_pointer(core);
  for (unsigned r = x86::kGprCount; r-- > 0;) {
    if (!load(core, x86::kSs, top, values[r])) return false;
    top = (top + static_cast<uint32_t>(sizeof(T))) & core.stack_mask;
  }
  for (unsigned r = 0; r < x86::kGprCount; ++r) {
    if (r != x86::kEsp) core.set<T>(r, values[r]);
  }
  set_stack_pointer(core, top);
  return true;
}

// SDM Vol. 2A, "ENTER": the last check is that the new frame's end can be written.
template <typename T>
bool enter(Core& core, const Instruction& i) {
  constexpr uint32_t kSize = sizeof(T);
  const unsigned level = i.immediate2 & 31;
  const uint32_t mask = core.stack_mask;
  uint32_t top = (stack_pointer(core) - kSize) & mask;
  if (!store(core, x86::kSs, top, core.get<T>(x86::kEbp))) return false;
  const uint32_t frame = top;
  uint32_t display = core.state.gpr[x86::kEbp];
  for (unsigned n = 1; n < level; ++n) {
    display = (display - kSize) & mask;
    T link;
    if (!load(core, x86::kSs, display, link)) return false;
    top = (top - kSize) & mask;
    if (!store(core, x86::kSs, top, link)) return false;
  }
  if (level > 0) {
    top = (top - kSize) & mask;
    if (!store(core, x86::kSs, top, static_cast<T>(frame))) return false;
  }
  top = (top - (i.immediate & 0xffff)) & mask;
  uint32_t linear;
  if (!linearise<Access::Write>(core, x86::kSs, top, kSize, linear)) return false;
  if (!probe_write(core, linear, kSize, current_privilege(core))) return false;
  core.set<T>(x86::kEbp, static_cast<T>(frame));
  set_stack_pointer(core, top);
  return true;
}

template <typename T>
bool leave(Core& core, const Instruction& /*i*/) {
  const uint32_t top = core.state.gpr[x86::kEbp] & core.stack_mask;
  T value;
  if (!load(core, x86::kSs, top, value)) return false;
  set_stack_pointer(core, top + static_cast<uint32_t>(sizeof(T)));
  core.set<T>(x86::kEbp, value);
  return true;
}

// The signed index lies between two signed bounds in memory, or #BR.
template <typename T>
bool bound(Core& core, const Instruction& i) {
  using Signed = std::make_signed_t<T>;
  const uint32_t offset = effective_offset(core, i);
  Signed lower, upper;
  if (!load(core, i.segment, offset, lower)) return false;
  if (!load(core, i.segment, (offset + static_cast<uint32_t>(sizeof(T))) & i.address_mask, upper))
    return false;
  const auto index = static_cast<Signed>(core.get<T>(i.reg));
  if (index >= lower && index <= upper) return true;
  return core.raise(x86::Vector::BoundRange);
}

constexpr auto kRows = for_word_and_dword([]<typename T>() {
  using F = OperandForm;
  using L = Location;
  constexpr uint8_t kSize = sizeof(T);
  return std::array{
      inline_row<&push_register<T>>(Operation::Push, {F::Rm, L::Register, kSize}),
      inline_row<&push_memory<T>>(Operation::Push, {F::Rm, L::Memory, kSize}),
      inline_row<&push_immediate<T>>(Operation::Push, {F::Immediate, L::Any, kSize}),
      inline_row<&pop_register<T>>(Operation::Pop, {F::Rm, L::Register, kSize}),
      inline_row<&pop_memory<T>>(Operation::Pop, {F::Rm, L::Memory, kSize}),
      inline_row<&pusha<T>>(Operation::Pusha, {.size = kSize}),
      inline_row<&popa<T>>(Operation::Popa, {.size = kSize}),
      inline_row<&enter<T>>(Operation::Enter, {.size = kSize}),
      inline_row<&leave<T>>(Operation::Leave, {.size = kSize}),
      inline_row<&bound<T>>(Operation::Bound, {.location = L::Memory, .size = kSize}),
  };
});

}  // namespace

std::span<const InstructionRow> stack_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

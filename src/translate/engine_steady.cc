// Reading a register of a device that stays as it is, again and again: kernels ask the local APIC which
// processor they run on whenever they take a lock. The first time the interpreter reads it. From then on, for
// as long as nothing else happens than translated code and such reads, the value is known: translated code is
// entered again behind the instruction, without the machine's lock, without the way through the interpreter's
// state.
//
// What could make the value another (a write of this processor's to the device, a change of its page tables,
// of the physical map) is an instruction of this processor's that is interpreted, or is done by somebody who
// has halted it first. Either way run() comes back and what was known is forgotten.
#include <array>

#include "cpu/access.h"
#include "cpu/translation.h"
#include "translate/engine.h"

namespace vitrine::translate {
namespace {

// As cpu::effective_offset(), from the registers that translated code has left.
uint32_t address_of(const cpu::Instruction& i, const std::array<uint32_t, 8>& gpr) {
  const auto value = [&](uint8_t reg) { return reg == cpu::kNoRegister ? 0 : gpr[reg]; };
  return i.displacement + value(i.base) + (value(i.index) << i.scale);
}

// A MOV of 32 bits from memory to a register, by a flat segment.
bool is_plain_load(const cpu::Instruction& i) {
  return i.operation == cpu::Operation::Mov && i.form == cpu::OperandForm::RegRm && i.is_memory != 0 &&
         i.operand_size == 4 && i.address_mask == 0xffffffff && i.segment != x86::kFs &&
         i.segment != x86::kGs && i.reg != x86::kEsp && i.base != x86::kEsp;
}

}  // namespace

// Before the interpreter executes a slow instruction, as the state is now.
std::optional<uint32_t> Engine::address_to_know(const cpu::Core& core, const Decline& decline) const {
  // No block: the unit has just been dropped.
  if (decline.unsteady || !decline.block || core.observer != nullptr) return std::nullopt;
  const cpu::Instruction& i = decline.block->code[0];
  return is_plain_load(i) ? std::optional(cpu::effective_offset(core, i)) : std::nullopt;
}

// It has been executed, without a fault.
void Engine::know_steady(const cpu::Core& core, Decline& decline, uint32_t linear) {
  const auto translation = spaces_->look(cpu::paging_registers(core), VirtualAddress(linear));
  if (!translation) return;
  inspect::DeviceCounter* const counter =
      memory_.steady_register(translation->page() + (linear & kPageMask), sizeof(uint32_t));
  decline.unsteady = counter == nullptr;
  if (counter == nullptr || !decline.block) return;
  steady_ = {.counter = counter, .linear = linear, .value = core.state.gpr[decline.block->code[0].reg]};
}

// One is known. Translated code has come back, and the machine's lock has not been taken yet. Where it goes
// on; null: not from here.
const void* Engine::go_on_with_steady() {
  GuestContext& c = *context_;
  if (by_signal_ || c.kicked != 0 || static_cast<Leave>(c.reason) != Leave::Decline) return nullptr;
  if (c.site == kNoDecline || c.site >= cache_->end_of_declines()) return nullptr;
  const cpu::BlockPointer& block = cache_->decline(c.site).block;
  if (!block) return nullptr;
  const cpu::Instruction& i = block->code[0];
  if (!is_plain_load(i) || address_of(i, c.gpr) != steady_.linear) return nullptr;
  const uint32_t behind = c.eip + i.length;
  const void* const code = find_jump(behind);
  if (code == nullptr) return nullptr;
  c.gpr[i.reg] = steady_.value;
  entered_ = behind;
  ++steady_.reads;
  return code;
}

// With the lock again.
void Engine::forget_steady() {
  steady_.counter->reads += steady_.reads;
  counters_.steady_reads += steady_.reads;
  steady_ = {};
}

}  // namespace vitrine::translate

// Instructions that look whether the window shows a page before they access it: whose accesses would often
// end in a signal (SlowSite), but more often not.
#include <optional>

#include "translate/string_form.h"
#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Instruction;
using cpu::OperandForm;
using cpu::Operation;

// Whether the operand in memory is written, as far as that is plain to see: where it is not, the access
// faults, and the instruction soon looks no more.
bool writes_operand(const Instruction& i) {
  switch (i.operation) {
    case Operation::Cmp:
    case Operation::Test:
    case Operation::Bt: return false;
    case Operation::Inc:
    case Operation::Dec:
    case Operation::Neg:
    case Operation::Not:
    case Operation::Pop: return true;
    default: break;
  }
  switch (i.form) {
    case OperandForm::RmReg:
    case OperandForm::RmImmediate:
    case OperandForm::RmRegImmediate:
    case OperandForm::RmCl:
    case OperandForm::RmRegCl: return true;
    default: return false;
  }
}

}  // namespace

// r8d = the operand's address; away unless the byte of its page is 1. Without touching the flags; the guest's
// ECX is in r8d meanwhile. Behind it nothing is left in a register but the guest's.
void UnitBuilder::check_page_shown(HostMemory operand, bool writes, std::optional<uint16_t> counter) {
  operand.space = AddressSpace::Monitor;
  out_.load_address(kR8, operand);
  out_.move_immediate(kR9, kPageShift);
  out_.bytes(0xc4, 0x42, 0x33, 0xf7, 0xc8);  // shrx r9d, r8d, r9d
  out_.move(kR8, kRcx);
  std::optional<size_t> spent;
  if (counter) {
    const HostMemory left =
        context_field(offsetof(GuestContext, checks_left) + sizeof(uint32_t) * size_t{*counter});
    out_.load(kRcx, left);
    spent = out_.jump_if_rcx_zero();
    out_.load_address(kRcx, {.base = kRcx, .displacement = -1});
    out_.store(left, kRcx);
  }
  out_.load_wide(kR10, VITRINE_CONTEXT(rights));
  static_cast<void>(
      out_.instruction({.map = 1,
                        .opcode = 0xb6,  // movzx ecx, byte [r10 + r9 * 2 + …]
                        .reg = kRcx,
                        .is_memory = true,
                        .memory = {.base = kR10, .index = kR9, .scale = 1, .displacement = writes ? 1 : 0}}));
  out_.load_address(kRcx, {.base = kRcx, .displacement = -1});
  const size_t shown = out_.jump_if_rcx_zero();
  if (spent) out_.bind_short(*spent);
  out_.move(kRcx, kR8);
  declines_.push_back({out_.jump(), eip_, decline_index()});
  out_.bind_short(shown);
  out_.move(kRcx, kR8);
}

// False: where it is cannot be said, or not soon enough.
bool UnitBuilder::check_operands(uint16_t counter) {
  const Instruction& i = *instruction_;
  const StringForm form = string_form_of(i.operation);
  if (form.source && (i.segment == x86::kFs || i.segment == x86::kGs)) return false;
  if (form.source)
    check_page_shown({.base = kRsi}, false, form.destination ? std::nullopt : std::optional(counter));
  if (form.destination) check_page_shown({.base = kRdi}, !form.compares, counter);
  if (form.opcode != 0) return true;
  if (i.is_memory == 0) {
    const bool stores = i.operation == Operation::Push || i.operation == Operation::Call;
    if (!stores && i.operation != Operation::Pop && i.operation != Operation::Ret) return false;
    check_page_shown(stack(stores ? -int32_t{i.operand_size} : 0), stores, counter);
    return true;
  }
  HostMemory memory;
  if (!memory_operand(memory)) return false;
  check_page_shown(memory, writes_operand(i), counter);
  return true;
}

bool UnitBuilder::check_access() {
  SlowSite& site = *slow();
  site.looks =
      site.check != 0 && !crosses_ && instruction_->address_mask == 0xffffffff && check_operands(site.check);
  if (!site.looks) return false;
  instruction_start_ = out_.size();
  declines_before_ = declines_.size();
  return true;
}

}  // namespace vitrine::translate

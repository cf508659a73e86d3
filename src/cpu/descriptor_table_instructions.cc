// LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR. Documentation: SDM Vol. 2 under each mnemonic.
// Missing: UMIP (no model shows it).
#include <array>
#include <cstring>

#include "cpu/access.h"
#include "cpu/descriptor_access.h"
#include "cpu/system_instructions.h"

namespace vitrine::cpu {

using x86::Descriptor;
using x86::Selector;
using x86::Vector;

namespace {

// The pseudo-descriptor: 16 bits of limit, 32 of base.
bool load_table_register(Core& core, const Instruction& i, DescriptorTableRegister& table) {
  const uint32_t where = effective_offset(core, i);
  uint16_t limit = 0;
  uint32_t base = 0;
  if (!load(core, i.segment, where, limit)) return false;
  if (!load(core, i.segment, (where + 2) & i.address_mask, base)) return false;
  // With a 16-bit operand the base has 24 bits.
  table = {.base = i.operand_size == 2 ? base & 0xffffff : base, .limit = limit};
  return true;
}

// One access of six bytes: its alignment is that of a doubleword (SDM Vol. 3A, table "Alignment Requirements
// by Data Type"), and a fault leaves all of them alone. All 32 bits of the base are stored at either operand
// size, as processors since the 386 do.
bool store_table_register(Core& core, const Instruction& i, const DescriptorTableRegister& table) {
  std::array<uint8_t, sizeof table.limit + sizeof table.base> bytes;
  std::memcpy(bytes.data(), &table.limit, sizeof table.limit);
  std::memcpy(bytes.data() + sizeof table.limit, &table.base, sizeof table.base);
  return store(core, i.segment, effective_offset(core, i), bytes);
}

bool read_selector(Core& core, const Instruction& i, Selector& selector) {
  if (!i.is_memory) {
    selector = Selector(core.get<uint16_t>(i.rm));
    return true;
  }
  return load_operand(core, i, selector.value);
}

bool store_selector(Core& core, const Instruction& i, uint16_t selector) {
  if (i.is_memory) return store_operand(core, i, selector);
  if (i.operand_size == 4) {
    core.set<uint32_t>(i.rm, selector);
  } else {
    core.set<uint16_t>(i.rm, selector);
  }
  return true;
}

}  // namespace

bool lgdt(Core& core, const Instruction& i) {
  return require_supervisor(core) && load_table_register(core, i, core.state.gdtr);
}

bool lidt(Core& core, const Instruction& i) {
  return require_supervisor(core) && load_table_register(core, i, core.state.idtr);
}

bool sgdt(Core& core, const Instruction& i) {
  return store_table_register(core, i, core.state.gdtr);
}

bool sidt(Core& core, const Instruction& i) {
  return store_table_register(core, i, core.state.idtr);
}

bool lldt(Core& core, const Instruction& i) {
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  if (!require_supervisor(core)) return false;
  Selector selector;
  if (!read_selector(core, i, selector)) return false;
  if (selector.null()) {
    core.state.ldtr = SegmentRegister{.selector = selector.value};
    return true;
  }
  if (selector.local()) return raise_selector(core, Vector::GeneralProtection, selector);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor)) return false;
  if (!x86::is_system_type(descriptor.attributes(), x86::SystemType::Ldt))
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(descriptor.attributes()))
    return raise_selector(core, Vector::SegmentNotPresent, selector);
  core.state.ldtr = segment_from(selector, descriptor);
  return true;
}

bool ltr(Core& core, const Instruction& i) {
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  if (!require_supervisor(core)) return false;
  Selector selector;
  if (!read_selector(core, i, selector)) return false;
  if (selector.null()) return core.raise(Vector::GeneralProtection);
  if (selector.local()) return raise_selector(core, Vector::GeneralProtection, selector);
  Descriptor descriptor;
  if (!read_descriptor(core, selector, descriptor)) return false;
  if (!x86::is_available_tss(descriptor.attributes()))
    return raise_selector(core, Vector::GeneralProtection, selector);
  if (!x86::is_present(descriptor.attributes()))
    return raise_selector(core, Vector::SegmentNotPresent, selector);
  if (!set_tss_busy(core, selector, descriptor, TssBusy::Set)) return false;
  core.state.tr = segment_from(selector, descriptor);
  return true;
}

bool sldt(Core& core, const Instruction& i) {
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  return store_selector(core, i, core.state.ldtr.selector);
}

bool str(Core& core, const Instruction& i) {
  if (!core.protected_mode()) return core.raise(Vector::InvalidOpcode);
  return store_selector(core, i, core.state.tr.selector);
}

}  // namespace vitrine::cpu

#include "translate/translator.h"

#include <algorithm>
#include <array>

#include "base/addresses.h"
#include "base/check.h"
#include "cpu/fetch.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

using Family = Verdict (*)(UnitBuilder&);
constexpr Family kFamilies[] = {&translate_integer, &translate_stack,  &translate_branch,
                                &translate_string,  &translate_flags,  &translate_segments,
                                &translate_control, &translate_vector, &translate_vex};

Verdict translate_instruction(UnitBuilder& builder) {
  if (builder.slow() != nullptr && !builder.check_access()) {
    builder.call_out();
    return Verdict::Declined;
  }
  for (const Family family : kFamilies) {
    const Verdict verdict = family(builder);
    if (verdict == Verdict::Next) builder.end_instruction();
    if (verdict != Verdict::Declined) return verdict;
    builder.undo_instruction();
  }
  builder.settle_before_instruction();
  // A kernel that makes calls wants no signal for it, whatever the policy.
  builder.instruction().operation == Operation::Vmcall ? builder.call_out() : builder.decline();
  return Verdict::Declined;
}

/// Whether an instruction that the interpreter executes never goes on to the one behind it.
bool leaves_for_good(Operation operation) {
  switch (operation) {
    case Operation::Invalid:
    case Operation::Iret:
    case Operation::Jmp:
    case Operation::JmpFar:
    case Operation::Ret:
    case Operation::RetFar:
    case Operation::Sysenter:
    case Operation::Sysexit:
    case Operation::Ud0:
    case Operation::Ud1:
    case Operation::Ud2: return true;
    default: return false;
  }
}

}  // namespace

uint32_t Translator::write(cpu::Core& core, UnitBuilder& builder, const uint8_t* bytes, uint32_t eip) {
  uint32_t at = eip & kPageMask;
  const bool again = builder.has(eip);
  Verdict verdict = Verdict::Next;
  while (at < kPageSize) {
    cpu::Instruction i;
    cpu::Encoding encoding{};
    const cpu::Decoded decoded = decoder_.decode(core, bytes + at, kPageSize - at, true, i, &encoding);
    if (decoded.status == cpu::DecodeStatus::NeedsMore) break;
    i.eip_offset = 0;
    builder.begin_instruction((eip & ~kPageMask) + at, i, encoding);
    verdict = translate_instruction(builder);
    at += i.length;
    if (verdict == Verdict::Declined && leaves_for_good(i.operation)) verdict = Verdict::Ends;
    // In the guest's own order, which a compiler has chosen with care, as long as something leads ahead.
    if (verdict == Verdict::Ends && !builder.leads_beyond((eip & ~kPageMask) + at)) break;
    if (builder.full()) break;
    if (at < kPageSize && !again && builder.has((eip & ~kPageMask) + at) && !builder.in_shadow()) break;
  }
  builder.settle_stack_pointer();
  if (verdict != Verdict::Ends) builder.branch(builder.out().jump(), (eip & ~kPageMask) + at);
  return at;
}

bool Translator::translate(cpu::Core& core, CodePage& page, const uint8_t* bytes, uint32_t eip, bool called) {
  std::vector<uint32_t> targets;
  const DeclineIndex first_decline = cache_.end_of_declines();
  for (;;) {
    UnitBuilder builder(cache_, page, glue_, options_, targets, called);
    const uint32_t end = write(core, builder, bytes, eip);
    if (builder.empty()) return false;
    const bool recursive = !called && builder.is_recursive();
    if (builder.finds_targets(targets) || recursive) {  // Once more, knowing it.
      called |= recursive;
      cache_.forget_declines(first_decline);
      continue;
    }
    builder.finish(static_cast<uint16_t>(std::min<uint32_t>(end, kPageSize) - 1));
    return true;
  }
}

void Translator::add_entry(CodePage& page, const TranslationCache::Pending& to) {
  UnitBuilder(cache_, page, glue_, options_, {}, false).finish_entry(to);
}

cpu::BlockPointer Translator::decode_single(cpu::Core& core, const uint8_t* bytes, uint32_t eip) {
  const uint32_t at = eip & kPageMask;
  cpu::Instruction i;
  const cpu::Decoded decoded = decoder_.decode(core, bytes + at, kPageSize - at, true, i);
  if (decoded.status != cpu::DecodeStatus::Done || is_near_branch(i.operation)) return nullptr;
  return cpu::make_single_block(i);
}

void Translator::translate_crossing(cpu::Core& core, CodePage& page, const uint8_t* bytes, CodePage& next,
                                    const uint8_t* next_bytes, uint32_t eip) {
  const uint32_t at = eip & kPageMask;
  const unsigned here = kPageSize - at;
  std::array<uint8_t, 16> joined{};
  std::copy_n(bytes + at, std::min(here, 15u), joined.data());
  if (here < 15) std::copy_n(next_bytes, 15 - here, joined.data() + here);
  cpu::Instruction i;
  cpu::Encoding encoding{};
  static_cast<void>(decoder_.decode(core, joined.data(), 15, true, i, &encoding));
  i.eip_offset = 0;
  UnitBuilder builder(cache_, page, glue_, options_, {}, false);
  builder.begin_instruction(eip, i, encoding);
  builder.check_page(next);
  const Verdict verdict = translate_instruction(builder);
  const bool goes_on =
      verdict == Verdict::Next || (verdict == Verdict::Declined && !leaves_for_good(i.operation));
  builder.settle_stack_pointer();
  if (goes_on) builder.branch(builder.out().jump(), eip + i.length);
  const unsigned tail = i.length > here ? i.length - here : 1;
  builder.finish(kPageSize - 1, &next, static_cast<uint16_t>(tail - 1));
}

}  // namespace vitrine::translate

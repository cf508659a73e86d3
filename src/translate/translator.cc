#include "translate/translator.h"

#include <algorithm>

#include "base/addresses.h"

namespace vitrine::translate {
namespace {

using cpu::Operation;

using Family = Verdict (*)(UnitBuilder&);
constexpr Family kFamilies[] = {&translate_integer, &translate_stack, &translate_branch,
                                &translate_string,  &translate_flags, &translate_vector};

Verdict translate_instruction(UnitBuilder& builder) {
  for (const Family family : kFamilies) {
    const Verdict verdict = family(builder);
    if (verdict != Verdict::Declined) return verdict;
    builder.undo_instruction();
  }
  builder.decline();
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

bool Translator::translate(cpu::Core& core, CodePage& page, const uint8_t* bytes, uint32_t eip) {
  UnitBuilder builder(cache_, page, glue_, options_);
  uint32_t at = eip & kPageMask;
  Verdict verdict = Verdict::Next;
  while (at < kPageSize) {
    cpu::Instruction i;
    cpu::Encoding encoding{};
    const cpu::Decoded decoded =
        decoder_.decode_anew(core, bytes + at, kPageSize - at, true, i, 0, &encoding);
    if (decoded.status == cpu::DecodeStatus::NeedsMore) break;
    i.eip_offset = 0;
    builder.begin_instruction((eip & ~kPageMask) + at, i, encoding);
    verdict = translate_instruction(builder);
    at += i.length;
    if (verdict == Verdict::Ends) break;
    if (verdict == Verdict::Declined && leaves_for_good(i.operation)) {
      verdict = Verdict::Ends;
      break;
    }
    if (builder.full()) break;
    if (at < kPageSize && builder.has((eip & ~kPageMask) + at) && !builder.in_shadow()) break;
  }
  if (builder.empty()) return false;
  if (verdict != Verdict::Ends) builder.branch(builder.out().jump(), (eip & ~kPageMask) + at);
  builder.finish(static_cast<uint16_t>(std::min<uint32_t>(at, kPageSize) - 1));
  return true;
}

}  // namespace vitrine::translate

// The pieces of host code between the monitor and translated code. Made once, at the start of code memory.
#pragma once

#include <cstdint>

#include "translate/emitter.h"
#include "translate/guest_context.h"

namespace vitrine::translate {

/// Offsets in code memory.
struct Glue {
  /// void enter(GuestContext*, const void* code): runs from `code` until something leaves.
  uint32_t enter = 0;
  /// It comes back by itself if GuestContext::kicked is set before this place in it, and `abort` brings it
  /// back (Leave::Aborted) from there to its end.
  uint32_t enter_asked = 0, enter_end = 0, abort = 0;
  // Ways out. r8d: guest EIP to go on at; r11d: the site (Link only).
  uint32_t link = 0, indirect_miss = 0, decline = 0, fpu = 0, kicked = 0, fault = 0, stale = 0, spent = 0,
           repeat = 0;
  /// Jumps to the code for the guest address in r8d, by the jump cache.
  uint32_t indirect = 0;
  /// Where a return finds itself that has no partner: what the bottom of the return stack holds.
  uint32_t unpaired_return = 0;
  /// A return address that was not the expected one: restores ECX from r9d, then as `indirect`.
  uint32_t mispredicted_return = 0;
  /// The same three where r13 is a target table (emit_table_jump).
  uint32_t table_jump = 0, unpaired_user_return = 0, mispredicted_user_return = 0;
  uint32_t end = 0;
};

struct GlueOptions {
  bool bmi2 = false;  ///< The host has SHRX, PEXT and PDEP.
  bool avx = false;
  bool xgetbv1 = false;  ///< XGETBV tells which state components are in use.
};

/// Jumps to the code for the guest address in r8d by the table at r13, which has the code memory offset for
/// each address, or 0, where Glue::indirect_miss is. `start` is the emitter's own offset in code memory.
void emit_table_jump(Emitter& out, uint32_t start);
/// The same with a CALL of the host's.
void emit_table_call(Emitter& out, uint32_t start);

/// Writes the glue at the beginning of `out`.
[[nodiscard]] Glue make_glue(Emitter& out, const GlueOptions& options);

}  // namespace vitrine::translate

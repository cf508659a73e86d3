// VMCALL: what a guest's kernel asks of the monitor. Documentation: docs/hypercalls.md;
// include/vitrine/hypercalls.h has the numbers. Every argument is the guest's, which is not trusted: whatever
// it says, the answer is an error or what the guest could have done without the call. The instruction itself
// is as outside VMX operation (SDM Vol. 3C, "VMCALL": #UD) wherever a kernel is not asking.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "cpu/access.h"
#include "cpu/control_registers.h"
#include "cpu/shared_page.h"
#include "cpu/system_instructions.h"
#include "vitrine/hypercalls.h"

namespace vitrine::cpu {
namespace {

using x86::Vector;

constexpr uint32_t kUpdateFlags = VITRINE_UPDATE_FORGET | VITRINE_UPDATE_WIDE;
static_assert(sizeof(VitrinePageUpdate) == VITRINE_UPDATE_SIZE);

uint64_t now(Core& core) {
  const uint64_t time = core.env.bus.time_stamp(core.env.index);
  update_shared_time(core, time);
  return time;
}

bool forget(Core& core, uint32_t what) {
  switch (what) {
    case VITRINE_FORGET_NOTHING: return true;
    case VITRINE_FORGET_NON_GLOBAL: flush_tlb_non_global(core); return true;
    case VITRINE_FORGET_ALL: flush_tlb(core); return true;
    default: return false;
  }
}

int update_page(Core& core, uint32_t linear) {
  VitrinePageUpdate update;
  if (!load_linear(core, linear, update)) return VITRINE_ERROR_ADDRESS;
  const uint32_t flags = update.page & kPageMask;
  const bool wide = (flags & VITRINE_UPDATE_WIDE) != 0;
  const uint32_t size = wide ? 8 : 4;
  const bool fits = wide || update.value >> 32 == 0;
  if ((flags & ~kUpdateFlags) != 0 || (update.entry & (size - 1)) != 0 || !fits)
    return VITRINE_ERROR_ARGUMENT;
  const bool written = wide ? store_linear(core, update.entry, update.value)
                            : store_linear(core, update.entry, static_cast<uint32_t>(update.value));
  if (!written) return VITRINE_ERROR_ADDRESS;
  if ((flags & VITRINE_UPDATE_FORGET) != 0) flush_tlb_page(core, update.page & ~kPageMask);
  return 0;
}

// As if the kernel had stored each entry itself, so that whoever watches page tables, code or memory notices.
int update_pages(Core& core) {
  auto& gpr = core.state.gpr;
  const uint32_t array = gpr[x86::kEbx], count = gpr[x86::kEcx], afterwards = gpr[x86::kEdx];
  gpr[x86::kEcx] = 0;
  if (count > VITRINE_MOST_UPDATES || afterwards > VITRINE_FORGET_ALL) return VITRINE_ERROR_ARGUMENT;
  for (uint32_t n = 0; n < count; ++n) {
    if (const int error = update_page(core, array + n * VITRINE_UPDATE_SIZE)) return error;
    gpr[x86::kEcx] = n + 1;
  }
  return forget(core, afterwards) ? 0 : VITRINE_ERROR_ARGUMENT;
}

int halt(Core& core) {
  CpuState& state = core.state;
  set_shared_flag(core);
  release_interrupt(core);
  static_cast<void>(now(core));
  state.eflags |= x86::kIf;
  state.activity = Activity::Halted;
  return 0;
}

int read_clock(Core& core) {
  const uint64_t time = now(core);
  core.state.gpr[x86::kEcx] = static_cast<uint32_t>(time);
  core.state.gpr[x86::kEdx] = static_cast<uint32_t>(time >> 32);
  return 0;
}

bool read_text(Core& core, uint32_t linear, std::span<uint8_t> text) {
  while (!text.empty()) {
    const auto size =
        static_cast<uint32_t>(std::min({text.size(), size_t{64}, size_t{kPageSize} - (linear & kPageMask)}));
    if (!load_slow(core, linear, size, current_privilege(core))) return false;
    std::copy_n(core.transfer.begin(), size, text.begin());
    text = text.subspan(size);
    linear += size;
  }
  return true;
}

// All of it or nothing.
int write_console(Core& core) {
  auto& gpr = core.state.gpr;
  const uint32_t linear = gpr[x86::kEbx], length = gpr[x86::kEcx];
  gpr[x86::kEcx] = 0;
  if (length > VITRINE_MOST_TEXT) return VITRINE_ERROR_ARGUMENT;
  std::array<uint8_t, VITRINE_MOST_TEXT> buffer;
  const std::span<uint8_t> text(buffer.data(), length);
  if (!read_text(core, linear, text)) return VITRINE_ERROR_ADDRESS;
  if (!core.env.bus.write_console(text)) return VITRINE_ERROR_NO_CONSOLE;
  gpr[x86::kEcx] = length;
  return 0;
}

int make_call(Core& core) {
  const auto& gpr = core.state.gpr;
  switch (gpr[x86::kEax]) {
    case VITRINE_CALL_NOTHING: return VITRINE_CALLS_VERSION;
    case VITRINE_CALL_PAGE_TABLES: return update_pages(core);
    case VITRINE_CALL_SWITCH: return load_cr3(core, gpr[x86::kEbx]) ? 0 : VITRINE_ERROR_ARGUMENT;
    case VITRINE_CALL_SHARE: {
      if (!share_page(core, gpr[x86::kEbx])) return VITRINE_ERROR_ADDRESS;
      static_cast<void>(now(core));
      return 0;
    }
    case VITRINE_CALL_INTERRUPTS: release_interrupt(core); return 0;
    case VITRINE_CALL_HALT: return halt(core);
    case VITRINE_CALL_CLOCK: return read_clock(core);
    case VITRINE_CALL_CONSOLE: return write_console(core);
    default: return VITRINE_ERROR_CALL;
  }
}

}  // namespace

bool vmcall(Core& core, const Instruction& /*i*/) {
  if (!core.protected_mode() || core.state.cpl != 0) return core.raise(Vector::InvalidOpcode);
  core.state.gpr[x86::kEax] = static_cast<uint32_t>(make_call(core));
  return true;
}

}  // namespace vitrine::cpu

// String instructions. SDM Vol. 1, "String Operations", "Repeating String Operations".
//
// A repeated instruction counts as one instruction for each iteration. It runs at most kRepeatChunk of them
// at a time, and no more than the budget has left; when there are more to do it ends with EIP still at
// itself, so that interrupts come in between. When instructions are single-stepped the chunk is one
// iteration. A fault leaves the registers at the iteration that caused it. Where the strings lie in directly
// accessible pages, MOVS and STOS go by the page, INS and OUTS by what the device moves in one go.
#include <algorithm>
#include <array>

#include "cpu/access.h"
#include "cpu/code_cache.h"
#include "cpu/fpu_state.h"
#include "cpu/host_arithmetic.h"
#include "cpu/host_traits.h"
#include "cpu/instruction_table.h"
#include "cpu/rows.h"
#include "cpu/system.h"
#include "cpu/translation.h"

namespace vitrine::cpu {
namespace {

constexpr uint32_t kRepeatChunk = 4096;

// ESI, EDI and ECX as far as the address size reaches.
[[gnu::always_inline]] inline uint32_t address_register(const Core& core, const Instruction& i,
                                                        x86::Gpr reg) {
  return core.state.gpr[reg] & i.address_mask;
}
[[gnu::always_inline]] inline void set_address_register(Core& core, const Instruction& i, x86::Gpr reg,
                                                        uint32_t value) {
  uint32_t& gpr = core.state.gpr[reg];
  gpr = (gpr & ~i.address_mask) | (value & i.address_mask);
}
[[gnu::always_inline]] inline void advance(Core& core, const Instruction& i, x86::Gpr reg,
                                           uint32_t distance) {
  set_address_register(core, i, reg, core.state.gpr[reg] + distance);
}

template <typename T>
[[gnu::always_inline]] inline uint32_t stride(const Core& core) {
  constexpr uint32_t kSize = sizeof(T);
  return (core.state.eflags & x86::kDf) != 0 ? 0 - kSize : kSize;
}

// One iteration each; false: core.fault, nothing advanced.

template <typename T>
struct Movs {
  static constexpr bool kReachesDevices = false;  // in bulk()
  static bool once(Core& core, const Instruction& i) {
    T value;
    if (!load(core, i.segment, address_register(core, i, x86::kEsi), value)) return false;
    if (!store(core, x86::kEs, address_register(core, i, x86::kEdi), value)) return false;
    advance(core, i, x86::kEsi, stride<T>(core));
    advance(core, i, x86::kEdi, stride<T>(core));
    return true;
  }
  static uint32_t bulk(Core& core, const Instruction& i, uint32_t count);
};

template <typename T>
struct Stos {
  static constexpr bool kReachesDevices = false;  // in bulk()
  static bool once(Core& core, const Instruction& i) {
    if (!store(core, x86::kEs, address_register(core, i, x86::kEdi), core.get<T>(x86::kEax))) return false;
    advance(core, i, x86::kEdi, stride<T>(core));
    return true;
  }
  static uint32_t bulk(Core& core, const Instruction& i, uint32_t count);
};

template <typename T>
struct Lods {
  static constexpr bool kReachesDevices = false;  // in bulk()
  static bool once(Core& core, const Instruction& i) {
    T value;
    if (!load(core, i.segment, address_register(core, i, x86::kEsi), value)) return false;
    core.set<T>(x86::kEax, value);
    advance(core, i, x86::kEsi, stride<T>(core));
    return true;
  }
  static uint32_t bulk(Core& /*core*/, const Instruction& /*i*/, uint32_t /*count*/) { return 0; }
};

template <typename T>
struct Cmps {
  static bool once(Core& core, const Instruction& i) {
    T a, b;
    // When both fault, the one that is reported is each processor's own.
    if (host_traits().compares_source_first) {
      if (!load(core, i.segment, address_register(core, i, x86::kEsi), a)) return false;
      if (!load(core, x86::kEs, address_register(core, i, x86::kEdi), b)) return false;
    } else {
      if (!load(core, x86::kEs, address_register(core, i, x86::kEdi), b)) return false;
      if (!load(core, i.segment, address_register(core, i, x86::kEsi), a)) return false;
    }
    host::Cmp::apply(a, b, core.flags);
    advance(core, i, x86::kEsi, stride<T>(core));
    advance(core, i, x86::kEdi, stride<T>(core));
    return true;
  }
};

template <typename T>
struct Scas {
  static bool once(Core& core, const Instruction& i) {
    T b;
    if (!load(core, x86::kEs, address_register(core, i, x86::kEdi), b)) return false;
    T a = core.get<T>(x86::kEax);
    host::Cmp::apply(a, b, core.flags);
    advance(core, i, x86::kEdi, stride<T>(core));
    return true;
  }
};

template <typename T>
struct Ins {
  static constexpr bool kReachesDevices = true;  // in bulk()
  static bool permitted(Core& core) { return io_permitted(core, core.get<uint16_t>(x86::kEdx), sizeof(T)); }
  // The port is read only when the memory can be written.
  static bool once(Core& core, const Instruction& i) {
    const auto port = core.get<uint16_t>(x86::kEdx);
    if (!permitted(core)) return false;
    const uint32_t offset = address_register(core, i, x86::kEdi);
    uint32_t linear;
    if (!linearise<Access::Write>(core, x86::kEs, offset, sizeof(T), linear)) return false;
    if (!probe_write(core, linear, sizeof(T), current_privilege(core))) return false;
    if (core.watch_data) note_port_access(core, port, sizeof(T));
    fpu_leave(core);
    const auto value = static_cast<T>(core.env.ports.read(port, sizeof(T)));
    if (!store_linear(core, linear, value)) return false;
    advance(core, i, x86::kEdi, stride<T>(core));
    return true;
  }
  static uint32_t bulk(Core& core, const Instruction& i, uint32_t count);
};

template <typename T>
struct Outs {
  static constexpr bool kReachesDevices = true;  // in bulk()
  static bool permitted(Core& core) { return io_permitted(core, core.get<uint16_t>(x86::kEdx), sizeof(T)); }
  static bool once(Core& core, const Instruction& i) {
    const auto port = core.get<uint16_t>(x86::kEdx);
    if (!permitted(core)) return false;
    T value;
    if (!load(core, i.segment, address_register(core, i, x86::kEsi), value)) return false;
    if (core.watch_data) note_port_access(core, port, sizeof(T));
    fpu_leave(core);
    core.env.ports.write(port, sizeof(T), value);
    advance(core, i, x86::kEsi, stride<T>(core));
    return true;
  }
  static uint32_t bulk(Core& core, const Instruction& i, uint32_t count);
};

// How many elements from `offset` upward lie in one directly accessible page, and where. Zero: none.
template <typename T, Access access>
uint32_t direct_run(Core& core, const Instruction& i, unsigned segment, uint32_t offset, uint32_t count,
                    uint8_t*& host) {
  const uint32_t to_page_end = [&] {
    uint32_t linear = offset;
    if (!core.flat[segment]) linear += core.views[segment].base;
    return kPageSize - (linear & kPageMask);
  }();
  uint32_t bytes = std::min<uint32_t>(to_page_end, count * static_cast<uint32_t>(sizeof(T)));
  // The offset must neither wrap at the address size nor leave the segment.
  const uint64_t highest =
      std::min<uint64_t>(core.flat[segment] ? 0xffffffff : core.views[segment].high, i.address_mask);
  if (offset > highest) return 0;
  bytes = static_cast<uint32_t>(std::min<uint64_t>(bytes, highest - offset + 1));
  const uint32_t elements = bytes / static_cast<uint32_t>(sizeof(T));
  if (elements == 0) return 0;
  if (!core.flat[segment]) {
    const SegmentView& view = core.views[segment];
    if (offset < view.low || !(access == Access::Write ? view.writable : view.readable)) return 0;
  }
  const uint32_t linear = core.flat[segment] ? offset : core.views[segment].base + offset;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if ((access == Access::Write ? entry.write_tag : entry.read_tag) != (linear & ~kPageMask)) return 0;
  host = host_pointer(entry, linear);
  return elements;
}

template <typename T>
uint32_t Movs<T>::bulk(Core& core, const Instruction& i, uint32_t count) {
  if ((core.state.eflags & x86::kDf) != 0) return 0;
  uint8_t* from = nullptr;
  uint8_t* to = nullptr;
  count = direct_run<T, Access::Read>(core, i, i.segment, address_register(core, i, x86::kEsi), count, from);
  if (count == 0) return 0;
  count = direct_run<T, Access::Write>(core, i, x86::kEs, address_register(core, i, x86::kEdi), count, to);
  if (count == 0) return 0;
  const uint32_t bytes = count * static_cast<uint32_t>(sizeof(T));
  if (to <= from || to >= from + bytes) {
    std::memmove(to, from, bytes);
  } else {
    // Overlapping upward: each element may be one that was just written.
    for (uint32_t at = 0; at < bytes; at += sizeof(T)) {
      T value;
      std::memcpy(&value, from + at, sizeof value);
      std::memcpy(to + at, &value, sizeof value);
    }
  }
  advance(core, i, x86::kEsi, bytes);
  advance(core, i, x86::kEdi, bytes);
  return count;
}

template <typename T>
uint32_t Stos<T>::bulk(Core& core, const Instruction& i, uint32_t count) {
  if ((core.state.eflags & x86::kDf) != 0) return 0;
  uint8_t* to = nullptr;
  count = direct_run<T, Access::Write>(core, i, x86::kEs, address_register(core, i, x86::kEdi), count, to);
  const T value = core.get<T>(x86::kEax);
  for (uint32_t n = 0; n < count; ++n) std::memcpy(to + n * sizeof(T), &value, sizeof value);
  advance(core, i, x86::kEdi, count * static_cast<uint32_t>(sizeof(T)));
  return count;
}

// INS and OUTS: what the device moves in one go. Permission was given before the first iteration; INS goes on
// one by one where it comes from the map in memory, which the data may overwrite. With breakpoints
// (watch_data) every access counts. The time that the device sees is that of the first iteration of a block:
// the budget is taken off for all of it afterwards.

template <typename T>
uint32_t Ins<T>::bulk(Core& core, const Instruction& i, uint32_t count) {
  if ((core.state.eflags & x86::kDf) != 0 || core.watch_data || !io_permitted_by_level(core)) return 0;
  uint8_t* to = nullptr;
  count = direct_run<T, Access::Write>(core, i, x86::kEs, address_register(core, i, x86::kEdi), count, to);
  if (count == 0) return 0;
  fpu_leave(core);
  const size_t moved =
      core.env.ports.read_block(core.get<uint16_t>(x86::kEdx), sizeof(T), std::span(to, count * sizeof(T)));
  advance(core, i, x86::kEdi, static_cast<uint32_t>(moved));
  return static_cast<uint32_t>(moved / sizeof(T));
}

template <typename T>
uint32_t Outs<T>::bulk(Core& core, const Instruction& i, uint32_t count) {
  if ((core.state.eflags & x86::kDf) != 0 || core.watch_data) return 0;
  uint8_t* from = nullptr;
  count = direct_run<T, Access::Read>(core, i, i.segment, address_register(core, i, x86::kEsi), count, from);
  if (count == 0) return 0;
  fpu_leave(core);
  const size_t moved = core.env.ports.write_block(core.get<uint16_t>(x86::kEdx), sizeof(T),
                                                  std::span<const uint8_t>(from, count * sizeof(T)));
  advance(core, i, x86::kEsi, static_cast<uint32_t>(moved));
  return static_cast<uint32_t>(moved / sizeof(T));
}

// The instructions behind the current one in its block have been taken off the budget already.
[[nodiscard]] uint32_t chunk_of(const Core& core, uint32_t count) {
  const bool stepping = (core.attention.load(std::memory_order_relaxed) & kAttentionStep) != 0;
  if (stepping) return std::min(count, 1u);
  const int64_t behind = core.block->count - (core.current - core.block->code) - 1;
  const int64_t left = core.remaining + behind + 1;
  return static_cast<uint32_t>(std::min({int64_t{count}, left, int64_t{kRepeatChunk}}));
}

// Takes the iterations off the budget. The instruction itself has been; a faulting one is given back.
class IterationCount {
 public:
  explicit IterationCount(Core& core) : core_(core), before_(core.remaining) {}
  void beginning(uint32_t iteration) { core_.remaining = before_ - int64_t{iteration}; }
  void completed(uint32_t iterations) { beginning(iterations == 0 ? 0 : iterations - 1); }
  void faulted(uint32_t iterations) { beginning(iterations); }

 private:
  Core& core_;
  int64_t before_;
};

// An instruction that has iterations left starts again at itself.
void end_repetition(Core& core, bool finished) {
  core.repeating = !finished;
  if (!finished) core.state.eip = core.restart_eip;
}

// Whether a slow access asked for the dispatcher: a breakpoint, a signal from a device. Kicks come from
// outside at any time and do not count, so that the number of iterations depends on the guest alone.
[[nodiscard]] bool interrupted(const Core& core) {
  return (core.attention.load(std::memory_order_relaxed) & ~uint32_t{kAttentionKick | kAttentionStep}) != 0;
}

// REP: an ending function.
template <typename Step>
bool repeat(Core& core, const Instruction& i) {
  const uint32_t count = address_register(core, i, x86::kEcx);
  const uint32_t chunk = chunk_of(core, count);
  if constexpr (requires { Step::permitted(core); }) {
    if (!Step::permitted(core)) return false;  // Even when there is nothing to repeat.
  }
  IterationCount counted(core);
  bool completed = true;
  uint32_t done = 0;
  while (done < chunk) {
    counted.beginning(done);
    const uint32_t bulk = Step::bulk(core, i, chunk - done);
    done += bulk;
    if (bulk == 0) {
      completed = Step::once(core, i);
      if (!completed) break;
      ++done;
    } else if constexpr (!Step::kReachesDevices) {
      continue;
    }
    if (interrupted(core)) break;
  }
  set_address_register(core, i, x86::kEcx, count - done);
  if (!completed) {
    counted.faulted(done);
    return false;
  }
  counted.completed(done);
  end_repetition(core, done == count);
  return true;
}

// REPE and REPNE with CMPS and SCAS. Until the last iteration the flags stay those from before the
// instruction, for a fault ("REP/REPE/REPZ/REPNE/REPNZ", SDM Vol. 2B) and, as Intel's processors do, for a
// trap or interrupt in between; or they are those of the last iteration (HostTraits).
template <typename Step>
bool repeat_while(Core& core, const Instruction& i) {
  const uint32_t count = address_register(core, i, x86::kEcx);
  const uint32_t chunk = chunk_of(core, count);
  const bool wanted = (i.prefixes & kPrefixRep) != 0;
  const bool keeps_flags = host_traits().repetition_keeps_flags;
  IterationCount counted(core);
  bool finished = count == 0;
  uint32_t done = 0;
  while (done < chunk) {
    counted.beginning(done);
    if (!Step::once(core, i)) {
      set_address_register(core, i, x86::kEcx, count - done);
      counted.faulted(done);
      if (keeps_flags) core.flags_to_state();
      return false;
    }
    ++done;
    finished = done == count || ((core.flags & kFlagZ) != 0) != wanted;
    if (finished || interrupted(core)) break;
  }
  set_address_register(core, i, x86::kEcx, count - done);
  counted.completed(done);
  if (finished || keeps_flags)
    core.flags_to_state();
  else
    core.flags_from_state();
  end_repetition(core, finished);
  return true;
}

enum class Repetition : uint8_t { Plain, Conditional };

// A repeat prefix makes it an ending instruction of another function; ports end a block in any case.
template <typename Step, Repetition repetition>
void run_string(Core& core, const Instruction* i) {
  if ((i->prefixes & (kPrefixRep | kPrefixRepne)) == 0) return run_inline<&Step::once>(core, i);
  if constexpr (repetition == Repetition::Plain)
    return run_ending<&repeat<Step>>(core, i);
  else
    return run_ending<&repeat_while<Step>>(core, i);
}

constexpr auto kRows = for_all_widths([]<typename T>() {
  using R = Repetition;
  constexpr RowOptions kSize = {.size = sizeof(T)};
  return std::array{
      handler_row(Operation::Movs, &run_string<Movs<T>, R::Plain>, Flow::Inline, kSize),
      handler_row(Operation::Stos, &run_string<Stos<T>, R::Plain>, Flow::Inline, kSize),
      handler_row(Operation::Lods, &run_string<Lods<T>, R::Plain>, Flow::Inline, kSize),
      handler_row(Operation::Cmps, &run_string<Cmps<T>, R::Conditional>, Flow::Inline, kSize),
      handler_row(Operation::Scas, &run_string<Scas<T>, R::Conditional>, Flow::Inline, kSize),
      handler_row(Operation::Ins, &run_string<Ins<T>, R::Plain>, Flow::Ending, kSize),
      handler_row(Operation::Outs, &run_string<Outs<T>, R::Plain>, Flow::Ending, kSize),
  };
});

}  // namespace

std::span<const InstructionRow> string_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

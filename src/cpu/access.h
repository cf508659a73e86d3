// How instructions reach the guest's memory. The fast path is one TLB lookup; everything else (page walks,
// page crossings, devices, watched pages, alignment checks, breakpoints) is in access.cc. All return false
// with core.fault set.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/core.h"
#include "cpu/system.h"

namespace vitrine::cpu {

[[nodiscard]] inline Privilege current_privilege(const Core& core) {
  return core.state.cpl == 3 ? Privilege::User : Privilege::Supervisor;
}

// The slow paths; data passes through core.transfer. `size` is at most 64.
[[nodiscard]] bool load_slow(Core& core, uint32_t linear, unsigned size, Privilege privilege);
[[nodiscard]] bool store_slow(Core& core, uint32_t linear, unsigned size, Privilege privilege);
/// Checks the write, then reads; finish_update() does the write and cannot fail.
[[nodiscard]] bool begin_update_slow(Core& core, uint32_t linear, unsigned size);
void finish_update_slow(Core& core, unsigned size);
/// Before a read-modify-write of memory, while a native engine may run other processors at this moment: if
/// it is a locked one, they stop until it is done. (On watched pages nobody writes but under the lock that
/// the interpreter holds.)
void lock_bus(Core& core);
/// Raises what a failed segment check raises: #SS(0) for SS, else #GP(0).
bool raise_segment_fault(Core& core, unsigned segment);

/// Whether `size` bytes at `linear` could be written; marks the pages dirty. Changes nothing else.
[[nodiscard]] bool probe_write(Core& core, uint32_t linear, unsigned size, Privilege privilege);

/// Segment check: limit, type, presence. `linear` is the sum with the base.
template <Access kind>
[[nodiscard, gnu::always_inline]] inline bool linearise(Core& core, unsigned segment, uint32_t offset,
                                                        unsigned size, uint32_t& linear) {
  if (core.flat[segment]) [[likely]] {
    linear = offset;
    return true;
  }
  const SegmentView& view = core.views[segment];
  const bool allowed = kind == Access::Write ? view.writable : view.readable;
  // As with flat segments, an access may wrap around at 4 GiB where the segment has all of it.
  const bool beyond = uint64_t{offset} + size - 1 > view.high && (view.high != 0xffffffff || view.low != 0);
  if (!allowed || offset < view.low || beyond) {
    raise_segment_fault(core, segment);
    return false;
  }
  linear = view.base + offset;
  return true;
}

/// The entry in which an access of `size` bytes would be found: compare tag_of() with its tag.
[[nodiscard, gnu::always_inline]] inline uint32_t tag_of(uint32_t linear, unsigned size) {
  return (linear + (size - 1)) & ~kPageMask;
}

// SAFETY: an entry's tag matches only when the whole page at addend + linear is mapped guest memory and the
// access stays in it.
[[nodiscard, gnu::always_inline]] inline uint8_t* host_pointer(const TlbEntry& entry, uint32_t linear) {
  return reinterpret_cast<uint8_t*>(entry.addend + linear);
}

/// A read at the current privilege of an address after segmentation.
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool load_linear(Core& core, uint32_t linear, T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 64);
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, sizeof(T)) == entry.read_tag) [[likely]] {
    std::memcpy(&value, host_pointer(entry, linear), sizeof(T));
    return true;
  }
  if (!load_slow(core, linear, sizeof(T), current_privilege(core))) return false;
  std::memcpy(&value, core.transfer.data(), sizeof(T));
  return true;
}

template <typename T>
[[nodiscard, gnu::always_inline]] inline bool store_linear(Core& core, uint32_t linear, const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 64);
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, sizeof(T)) == entry.write_tag) [[likely]] {
    std::memcpy(host_pointer(entry, linear), &value, sizeof(T));
    return true;
  }
  std::memcpy(core.transfer.data(), &value, sizeof(T));
  return store_slow(core, linear, sizeof(T), current_privilege(core));
}

// With an explicit privilege: pushes onto an inner stack before CPL changes, and the like.
template <typename T>
[[nodiscard]] inline bool load_linear(Core& core, uint32_t linear, T& value, Privilege privilege) {
  if (!load_slow(core, linear, sizeof(T), privilege)) return false;
  std::memcpy(&value, core.transfer.data(), sizeof(T));
  return true;
}
template <typename T>
[[nodiscard]] inline bool store_linear(Core& core, uint32_t linear, const T& value, Privilege privilege) {
  std::memcpy(core.transfer.data(), &value, sizeof(T));
  return store_slow(core, linear, sizeof(T), privilege);
}

/// Implicit accesses to GDT, LDT, IDT and TSS are the supervisor's at any CPL (SDM Vol. 3A, "Access Rights").
template <typename T>
[[nodiscard]] inline bool load_system(Core& core, uint32_t linear, T& value) {
  return load_linear(core, linear, value, Privilege::Supervisor);
}
template <typename T>
[[nodiscard]] inline bool store_system(Core& core, uint32_t linear, const T& value) {
  return store_linear(core, linear, value, Privilege::Supervisor);
}

/// A read through a segment register.
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool load(Core& core, unsigned segment, uint32_t offset, T& value) {
  uint32_t linear;
  if (!linearise<Access::Read>(core, segment, offset, sizeof(T), linear)) [[unlikely]]
    return false;
  return load_linear(core, linear, value);
}

/// A write through a segment register.
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool store(Core& core, unsigned segment, uint32_t offset,
                                                    const T& value) {
  uint32_t linear;
  if (!linearise<Access::Write>(core, segment, offset, sizeof(T), linear)) [[unlikely]]
    return false;
  return store_linear(core, linear, value);
}

/// The memory operand of an instruction.
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool load_operand(Core& core, const Instruction& i, T& value) {
  return load(core, i.segment, effective_offset(core, i), value);
}
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool store_operand(Core& core, const Instruction& i,
                                                            const T& value) {
  return store(core, i.segment, effective_offset(core, i), value);
}

/// Read-modify-write. begin_update() checks that the place may be written and reads it; nothing between it
/// and finish_update() may access memory or fail.
struct Update {
  uint8_t* host = nullptr;  ///< Null: the slow path, in core.pending_write.
};
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool begin_update(Core& core, unsigned segment, uint32_t offset,
                                                           T& value, Update& update) {
  uint32_t linear;
  if (!linearise<Access::Write>(core, segment, offset, sizeof(T), linear)) [[unlikely]]
    return false;
  const TlbEntry& entry = core.tlb[Tlb::slot(linear)];
  if (tag_of(linear, sizeof(T)) == entry.write_tag) [[likely]] {
    update.host = host_pointer(entry, linear);
    if (core.native != nullptr) [[unlikely]]
      lock_bus(core);
    std::memcpy(&value, update.host, sizeof(T));
    return true;
  }
  if (!begin_update_slow(core, linear, sizeof(T))) return false;
  std::memcpy(&value, core.transfer.data(), sizeof(T));
  update.host = nullptr;
  return true;
}
template <typename T>
[[gnu::always_inline]] inline void finish_update(Core& core, const Update& update, const T& value) {
  if (update.host != nullptr) [[likely]] {
    std::memcpy(update.host, &value, sizeof(T));
    return;
  }
  std::memcpy(core.transfer.data(), &value, sizeof(T));
  finish_update_slow(core, sizeof(T));
}

// The stack, with the width of ESP that SS.B gives. ESP changes only when the access has succeeded.

[[nodiscard, gnu::always_inline]] inline uint32_t stack_pointer(const Core& core) {
  return core.state.gpr[x86::kEsp] & core.stack_mask;
}
[[gnu::always_inline]] inline void set_stack_pointer(Core& core, uint32_t value) {
  uint32_t& esp = core.state.gpr[x86::kEsp];
  esp = (esp & ~core.stack_mask) | (value & core.stack_mask);
}
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool push(Core& core, T value) {
  const uint32_t top = (core.state.gpr[x86::kEsp] - static_cast<uint32_t>(sizeof(T))) & core.stack_mask;
  if (!store(core, x86::kSs, top, value)) [[unlikely]]
    return false;
  set_stack_pointer(core, top);
  return true;
}
template <typename T>
[[nodiscard, gnu::always_inline]] inline bool pop(Core& core, T& value) {
  const uint32_t top = stack_pointer(core);
  if (!load(core, x86::kSs, top, value)) [[unlikely]]
    return false;
  set_stack_pointer(core, top + static_cast<uint32_t>(sizeof(T)));
  return true;
}

}  // namespace vitrine::cpu

// Values that an event or a far call pushes together onto a stack, which may be a stack that SS does not name
// yet: all of them or none.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/system.h"

namespace vitrine::cpu {

class StackFrame {
 public:
  /// `ss:esp` is the stack before the pushes. `error_code` goes with the #SS when it has no room.
  StackFrame(const SegmentRegister& ss, uint32_t esp, Privilege privilege, uint32_t error_code);

  /// `size` is 2 or 4. At most kCapacity pushes.
  void push(unsigned size, uint32_t value);
  /// Whether there is room for all. False: core.fault.
  [[nodiscard]] bool check(Core& core) const;
  /// Writes what check() has found room for.
  [[nodiscard]] bool write(Core& core) const;
  /// ESP after the pushes. With a 16-bit stack its upper half is unchanged.
  [[nodiscard]] uint32_t esp() const { return esp_; }

  /// 31 parameters and what an interrupt from virtual-8086 mode pushes, with room to spare.
  static constexpr unsigned kCapacity = 40;

 private:
  struct Slot {
    uint32_t offset;
    uint32_t value;
    unsigned size;
  };

  SegmentRegister ss_;
  uint32_t mask_;
  uint32_t esp_;
  Privilege privilege_;
  uint32_t error_code_;
  std::array<Slot, kCapacity> slots_{};
  unsigned count_ = 0;
};

/// Reads values from the current stack without moving ESP.
class StackReader {
 public:
  explicit StackReader(Core& core) : core_(core), offset_(core.state.gpr[x86::kEsp]) {}

  /// `size` is 2 or 4; a word is zero-extended.
  [[nodiscard]] bool pop(unsigned size, uint32_t& value);
  void skip(uint32_t bytes) { offset_ += bytes; }
  /// ESP as it would be after what was read.
  [[nodiscard]] uint32_t esp() const;

 private:
  Core& core_;
  uint32_t offset_;
};

/// `value` as ESP of a stack segment: with a 16-bit stack only SP is loaded.
[[nodiscard]] uint32_t merged_esp(const SegmentRegister& ss, uint32_t old_esp, uint32_t value);

}  // namespace vitrine::cpu

// Writes host machine code: the few forms that translated guest code and our own glue consist of.
// SDM Vol. 2A, "Instruction Format".
//
// Guest operands are gs:[32-bit address] (GS base = the window; prefixes 65 67), which wraps as the guest's
// addresses do, or plain addresses in the window, which are two cycles faster and may reach into its guards.
// The monitor's own data is relative to r12, r13, r14, rsp. Whoever builds a HostMemory says which.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace vitrine::translate {

enum HostRegister : uint8_t {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
};
inline constexpr uint8_t kNoHostRegister = 0xff;

enum class AddressSpace : uint8_t {
  Guest,    ///< gs:[32-bit effective address]
  Window,   ///< [r11 + 32-bit register + small displacement] or [r15 + small displacement]
  Monitor,  ///< Plain 64-bit address.
};

struct HostMemory {
  AddressSpace space = AddressSpace::Monitor;
  uint8_t base = kNoHostRegister;
  uint8_t index = kNoHostRegister;  ///< Not rsp.
  uint8_t scale = 0;                ///< Shift count.
  int32_t displacement = 0;
};

/// An instruction with a ModRM byte.
struct HostInstruction {
  uint8_t prefix66 = 0;   ///< Operand size, or mandatory.
  uint8_t mandatory = 0;  ///< F2 or F3, or 0.
  bool lock = false;
  bool wide = false;      ///< REX.W or VEX.W
  bool byte_reg = false;  ///< `reg` names a byte register by the encoding without REX (4–7: AH–BH).
  bool byte_rm = false;   ///< The same for `rm`.
  uint8_t map = 0;        ///< 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A
  uint8_t opcode = 0;
  uint8_t reg = 0;  ///< Register number 0–15 or opcode extension.
  bool is_memory = false;
  uint8_t rm = 0;  ///< Register number.
  HostMemory memory{};
  uint8_t immediate_size = 0;
  uint32_t immediate = 0;
  bool vex = false;  ///< With a VEX prefix, which stands for prefix66 or mandatory, too.
  uint8_t vex_l = 0;
  uint8_t vvvv = 0;  ///< Register number; 0 also where there is none.
};

class Emitter {
 public:
  Emitter(uint8_t* buffer, size_t size) : begin_(buffer), at_(buffer), end_(buffer + size) {}

  [[nodiscard]] size_t size() const { return static_cast<size_t>(at_ - begin_); }
  [[nodiscard]] size_t room() const { return static_cast<size_t>(end_ - at_); }
  [[nodiscard]] uint8_t* begin() const { return begin_; }
  void rewind(size_t size) { at_ = begin_ + size; }

  template <typename... Bytes>
  void bytes(Bytes... values) {
    (byte(static_cast<uint8_t>(values)), ...);
  }
  void byte(uint8_t value) {
    CHECK(at_ < end_);
    *at_++ = value;
  }
  void dword(uint32_t value) {
    CHECK(room() >= 4);
    std::memcpy(at_, &value, 4);
    at_ += 4;
  }
  void patch_dword(size_t where, uint32_t value) { std::memcpy(begin_ + where, &value, 4); }

  /// False, and nothing emitted: AH–BH together with a register or address that needs REX.
  [[nodiscard]] bool instruction(const HostInstruction& i);
  /// Whether an instruction since forget_r15() may have written r15d or a part of it.
  [[nodiscard]] bool wrote_r15() const { return wrote_r15_; }
  /// Whether it has, and the upper half is zero.
  [[nodiscard]] bool wrote_all_of_r15() const { return wrote_all_of_r15_; }
  void forget_r15() { wrote_r15_ = wrote_all_of_r15_ = false; }

  // Glue. None of these touches the flags.
  void move(HostRegister to, HostRegister from);                  // mov r32, r32
  void move_immediate(HostRegister to, uint32_t value);           // mov r32, imm32
  void load(HostRegister to, const HostMemory& from);             // mov r32, m
  void store(const HostMemory& to, HostRegister from);            // mov m, r32
  void store_immediate(const HostMemory& to, uint32_t value);     // mov m32, imm32
  void load_wide(HostRegister to, const HostMemory& from);        // mov r64, m
  void store_wide(const HostMemory& to, HostRegister from);       // mov m, r64
  void load_address(HostRegister to, const HostMemory& of);       // lea r32, m
  void load_address_wide(HostRegister to, const HostMemory& of);  // lea r64, m
  void jump_memory(const HostMemory& to);                         // jmp [m]

  /// jrcxz with a distance to be filled in by bind_short(). Returns where.
  [[nodiscard]] size_t jump_if_rcx_zero();
  void bind_short(size_t site);
  /// jmp, call, jcc with a 32-bit distance; returns the offset of the distance.
  [[nodiscard]] size_t jump();
  [[nodiscard]] size_t call();
  [[nodiscard]] size_t jump_if(unsigned condition);
  void bind(size_t site) { patch_dword(site, static_cast<uint32_t>(size() - site - 4)); }

 private:
  uint8_t* begin_;
  uint8_t* at_;
  uint8_t* end_;
  bool wrote_r15_ = false, wrote_all_of_r15_ = false;
};

}  // namespace vitrine::translate

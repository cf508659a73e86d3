// Arithmetic by the host's own instructions, so that every flag, the undefined ones included, is what a
// processor makes of it. (Shifts always go by CL: after a shift by an immediate count above one the undefined
// OF may be another.) Each function takes the flags before (core.flags) and leaves those after, in the form
// of arithmetic_flags.h.
//
// SAFETY of the assembly: registers and flags only, all of them declared; LAHF and SAHF exist on every x86-64
// host that has AVX.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "cpu/arithmetic_flags.h"

namespace vitrine::cpu::host {

// Restores the six flags from AX; the next instruction sees them.
#define VITRINE_SET_FLAGS "addb $0x7f, %%al\n\tsahf\n\t"
#define VITRINE_SET_CARRY "btw $8, %%ax\n\t"
#define VITRINE_GET_FLAGS "\n\tlahf\n\tseto %%al"

/// What an operation does with its first operand.
enum class Result : uint8_t { Written, Discarded };

#define VITRINE_BINARY(Name, text, setup, kind)                                                        \
  struct Name {                                                                                        \
    static constexpr Result kResult = Result::kind;                                                    \
    template <typename T>                                                                              \
    [[gnu::always_inline]] static void apply(T& a, T b, ArithmeticFlags& flags) {                      \
      asm(setup text " %[b], %[a]" VITRINE_GET_FLAGS : [a] "+q"(a), "+&a"(flags) : [b] "q"(b) : "cc"); \
    }                                                                                                  \
  };
#define VITRINE_BINARY_NO_INPUT(Name, text, kind)                                                \
  struct Name {                                                                                  \
    static constexpr Result kResult = Result::kind;                                              \
    template <typename T>                                                                        \
    [[gnu::always_inline]] static void apply(T& a, T b, ArithmeticFlags& flags) {                \
      asm(text " %[b], %[a]" VITRINE_GET_FLAGS : [a] "+q"(a), "=&a"(flags) : [b] "q"(b) : "cc"); \
    }                                                                                            \
  };
VITRINE_BINARY_NO_INPUT(Add, "add", Written)
VITRINE_BINARY_NO_INPUT(Sub, "sub", Written)
VITRINE_BINARY_NO_INPUT(Cmp, "cmp", Discarded)
VITRINE_BINARY_NO_INPUT(And, "and", Written)
VITRINE_BINARY_NO_INPUT(Or, "or", Written)
VITRINE_BINARY_NO_INPUT(Xor, "xor", Written)
VITRINE_BINARY_NO_INPUT(Test, "test", Discarded)
VITRINE_BINARY(Adc, "adc", VITRINE_SET_CARRY, Written)
VITRINE_BINARY(Sbb, "sbb", VITRINE_SET_CARRY, Written)
#undef VITRINE_BINARY
#undef VITRINE_BINARY_NO_INPUT

#define VITRINE_UNARY(Name, text)                                                                 \
  struct Name {                                                                                   \
    template <typename T>                                                                         \
    [[gnu::always_inline]] static void apply(T& a, ArithmeticFlags& flags) {                      \
      asm(VITRINE_SET_CARRY text " %[a]" VITRINE_GET_FLAGS : [a] "+q"(a), "+&a"(flags) : : "cc"); \
    }                                                                                             \
  };
VITRINE_UNARY(Inc, "inc")
VITRINE_UNARY(Dec, "dec")
VITRINE_UNARY(Neg, "neg")
#undef VITRINE_UNARY

struct Not {
  template <typename T>
  [[gnu::always_inline]] static void apply(T& a, ArithmeticFlags& /*flags*/) {
    a = static_cast<T>(~a);
  }
};

#define VITRINE_SHIFT(Name, text)                                                           \
  struct Name {                                                                             \
    template <typename T>                                                                   \
    [[gnu::always_inline]] static void apply(T& a, uint8_t count, ArithmeticFlags& flags) { \
      asm(VITRINE_SET_FLAGS text " %[count], %[a]" VITRINE_GET_FLAGS                        \
          : [a] "+q"(a), "+&a"(flags)                                                       \
          : [count] "c"(count)                                                              \
          : "cc");                                                                          \
    }                                                                                       \
  };
VITRINE_SHIFT(Shl, "shl")
VITRINE_SHIFT(Shr, "shr")
VITRINE_SHIFT(Sar, "sar")
VITRINE_SHIFT(Rol, "rol")
VITRINE_SHIFT(Ror, "ror")
VITRINE_SHIFT(Rcl, "rcl")
VITRINE_SHIFT(Rcr, "rcr")
#undef VITRINE_SHIFT

#define VITRINE_DOUBLE_SHIFT(Name, text)                                                         \
  struct Name {                                                                                  \
    template <typename T>                                                                        \
    [[gnu::always_inline]] static void apply(T& a, T b, uint8_t count, ArithmeticFlags& flags) { \
      asm(VITRINE_SET_FLAGS text " %[count], %[b], %[a]" VITRINE_GET_FLAGS                       \
          : [a] "+r"(a), "+&a"(flags)                                                            \
          : [b] "r"(b), [count] "c"(count)                                                       \
          : "cc");                                                                               \
    }                                                                                            \
  };
VITRINE_DOUBLE_SHIFT(Shld, "shld")
VITRINE_DOUBLE_SHIFT(Shrd, "shrd")
#undef VITRINE_DOUBLE_SHIFT

/// Source to destination; the destination keeps its value where the host's does (BSF of zero).
#define VITRINE_SCAN(Name, text)                                                  \
  struct Name {                                                                   \
    template <typename T>                                                         \
    [[gnu::always_inline]] static void apply(T& a, T b, ArithmeticFlags& flags) { \
      asm(VITRINE_SET_FLAGS text " %[b], %[a]" VITRINE_GET_FLAGS                  \
          : [a] "+r"(a), "+&a"(flags)                                             \
          : [b] "r"(b)                                                            \
          : "cc");                                                                \
    }                                                                             \
  };
VITRINE_SCAN(Bsf, "bsf")
VITRINE_SCAN(Bsr, "bsr")
VITRINE_SCAN(Popcnt, "popcnt")
VITRINE_SCAN(Lzcnt, "lzcnt")
VITRINE_SCAN(Tzcnt, "tzcnt")
VITRINE_SCAN(Imul2, "imul")
VITRINE_SCAN(Bt, "bt")
VITRINE_SCAN(Bts, "bts")
VITRINE_SCAN(Btr, "btr")
VITRINE_SCAN(Btc, "btc")
VITRINE_SCAN(Blsr, "blsr")
VITRINE_SCAN(Blsi, "blsi")
VITRINE_SCAN(Blsmsk, "blsmsk")
VITRINE_SCAN(Adcx, "adcx")
VITRINE_SCAN(Adox, "adox")
#undef VITRINE_SCAN

/// AMD and Intel syntax: destination, first source (vvvv or r/m as the instruction has it), second source.
#define VITRINE_THREE(Name, text)                                                                           \
  struct Name {                                                                                             \
    [[gnu::always_inline]] static void apply(uint32_t& a, uint32_t b, uint32_t c, ArithmeticFlags& flags) { \
      asm(VITRINE_SET_FLAGS text " %[c], %[b], %[a]" VITRINE_GET_FLAGS                                      \
          : [a] "=r"(a), "+&a"(flags)                                                                       \
          : [b] "r"(b), [c] "r"(c)                                                                          \
          : "cc");                                                                                          \
    }                                                                                                       \
  };
VITRINE_THREE(Andn, "andn")
VITRINE_THREE(Bextr, "bextr")
VITRINE_THREE(Bzhi, "bzhi")
VITRINE_THREE(Pdep, "pdep")
VITRINE_THREE(Pext, "pext")
VITRINE_THREE(Sarx, "sarx")
VITRINE_THREE(Shlx, "shlx")
VITRINE_THREE(Shrx, "shrx")
#undef VITRINE_THREE

// The accumulator instructions: EAX is both theirs and LAHF's, so the result moves out first (MOV leaves the
// flags alone).
#define VITRINE_MULTIPLY(Name, Type, text, low, high)                                                 \
  [[gnu::always_inline]] inline void Name(Type& lo, Type& hi, Type b, ArithmeticFlags& flags) {       \
    Type a = lo;                                                                                      \
    asm(VITRINE_SET_FLAGS "mov %[a], " low "\n\t" text " %[b]\n\tmov " low ", %[a]" VITRINE_GET_FLAGS \
        : [a] "+&r"(a), "=&d"(hi), "+&a"(flags)                                                       \
        : [b] "r"(b)                                                                                  \
        : "cc");                                                                                      \
    lo = a;                                                                                           \
  }
VITRINE_MULTIPLY(mul, uint32_t, "mull", "%%eax", "%%edx")
VITRINE_MULTIPLY(mul, uint16_t, "mulw", "%%ax", "%%dx")
VITRINE_MULTIPLY(imul, uint32_t, "imull", "%%eax", "%%edx")
VITRINE_MULTIPLY(imul, uint16_t, "imulw", "%%ax", "%%dx")
#undef VITRINE_MULTIPLY

#define VITRINE_MULTIPLY_BYTE(Name, text)                                                         \
  [[gnu::always_inline]] inline void Name(uint16_t& ax, uint8_t b, ArithmeticFlags& flags) {      \
    uint16_t a = ax;                                                                              \
    asm(VITRINE_SET_FLAGS "movw %[a], %%ax\n\t" text " %[b]\n\tmovw %%ax, %[a]" VITRINE_GET_FLAGS \
        : [a] "+&r"(a), "+&a"(flags)                                                              \
        : [b] "q"(b)                                                                              \
        : "cc");                                                                                  \
    ax = a;                                                                                       \
  }
VITRINE_MULTIPLY_BYTE(mul, "mulb")
VITRINE_MULTIPLY_BYTE(imul, "imulb")
// The caller has made sure that the quotient fits.
VITRINE_MULTIPLY_BYTE(div, "divb")
VITRINE_MULTIPLY_BYTE(idiv, "idivb")
#undef VITRINE_MULTIPLY_BYTE

#define VITRINE_DIVIDE(Name, Type, text, low)                                                         \
  [[gnu::always_inline]] inline void Name(Type& lo, Type& hi, Type b, ArithmeticFlags& flags) {       \
    Type a = lo;                                                                                      \
    asm(VITRINE_SET_FLAGS "mov %[a], " low "\n\t" text " %[b]\n\tmov " low ", %[a]" VITRINE_GET_FLAGS \
        : [a] "+&r"(a), "+&d"(hi), "+&a"(flags)                                                       \
        : [b] "r"(b)                                                                                  \
        : "cc");                                                                                      \
    lo = a;                                                                                           \
  }
VITRINE_DIVIDE(div, uint32_t, "divl", "%%eax")
VITRINE_DIVIDE(div, uint16_t, "divw", "%%ax")
VITRINE_DIVIDE(idiv, uint32_t, "idivl", "%%eax")
VITRINE_DIVIDE(idiv, uint16_t, "idivw", "%%ax")
#undef VITRINE_DIVIDE

#undef VITRINE_SET_FLAGS
#undef VITRINE_SET_CARRY
#undef VITRINE_GET_FLAGS

}  // namespace vitrine::cpu::host

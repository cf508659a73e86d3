// What running against the host (tests/differential) cannot show of MMX and SSE: control bits, SIMD
// exceptions in both guises, models.
#include <cstring>

#include "cpu/test_machine.h"
#include "cpu/vector_forms.h"
#include "cpu/vector_stub.h"

namespace vitrine::cpu {
namespace {

constexpr int kNothing = -1, kUndefined = 6, kProtection = 13, kSimd = 19;

void set_floats(CpuState& state, unsigned xmm, float value) {
  for (unsigned n = 0; n < 4; ++n) std::memcpy(state.fpu.xmm[xmm].data() + 4 * n, &value, 4);
}

struct SimdMachine : TestMachine {
  explicit SimdMachine(uint32_t cr4, std::string_view model = "max")
      : TestMachine(TestMode::Protected32, model) {
    trap_exceptions();
    state().cr4 |= cr4;
    set_floats(state(), 0, 1.0f);
    set_floats(state(), 1, 0.0f);
  }
};

#define DIVPS 0x0f, 0x5e, 0xc1

TEST(Vector, UnmaskedSimdExceptionLeavesTheDestination) {
  SimdMachine m(x86::kCr4Osfxsr | x86::kCr4Osxmmexcpt);
  m.state().fpu.mxcsr = 0x1d80;  // zero divide unmasked
  const auto before = m.state().fpu.xmm;
  m.run_code({DIVPS});
  EXPECT_EQ(m.exception(), kSimd);
  EXPECT_EQ(m.stacked(0), TestMachine::kCode);
  EXPECT_EQ(m.state().fpu.xmm, before);
  EXPECT_EQ(m.state().fpu.mxcsr, 0x1d84u);
}

TEST(Vector, SimdExceptionIsUndefinedOpcodeWithoutOsxmmexcpt) {
  SimdMachine m(x86::kCr4Osfxsr);
  m.state().fpu.mxcsr = 0x1d80;
  m.run_code({DIVPS});
  EXPECT_EQ(m.exception(), kUndefined);
  EXPECT_EQ(m.state().fpu.mxcsr, 0x1d84u);
}

TEST(Vector, MaskedExceptionOnlySetsItsFlag) {
  SimdMachine m(x86::kCr4Osfxsr | x86::kCr4Osxmmexcpt);
  m.run_code({DIVPS});
  EXPECT_EQ(m.exception(), kNothing);
  EXPECT_EQ(m.state().fpu.mxcsr, 0x1f84u);
}

// Vitrine's own arithmetic must not feel the guest's modes.
TEST(Vector, HostModesAreRestored) {
  SimdMachine m(x86::kCr4Osfxsr);
  m.state().fpu.mxcsr = 0xff80;  // flush to zero, towards zero
  m.run_code({DIVPS});
  uint32_t mxcsr = 0;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  EXPECT_EQ(mxcsr & 0xffc0, 0x1f80u);
}

TEST(Vector, OsfxsrEnablesSseButNotMmx) {
  SimdMachine m(0);
  m.run_code({DIVPS});
  EXPECT_EQ(m.exception(), kUndefined);
  SimdMachine mmx(0);
  mmx.run_code({0x0f, 0xef, 0xc0, 0x0f, 0x70, 0xc1, 0x00});  // pxor mm0, mm0; pshufw mm0, mm1, 0
  EXPECT_EQ(mmx.exception(), kNothing);
  EXPECT_NE(mmx.state().fpu.tag, 0xffff);
}

TEST(Vector, AlignmentIsCheckedForAlignedForms) {
  SimdMachine aligned(x86::kCr4Osfxsr);
  aligned.run_code({0x0f, 0x28, 0x05, 0x08, 0x00, 0x02, 0x00});  // movaps xmm0, [20008h]
  EXPECT_EQ(aligned.exception(), kProtection);
  SimdMachine computing(x86::kCr4Osfxsr);
  computing.run_code({0x0f, 0x58, 0x05, 0x08, 0x00, 0x02, 0x00});  // addps xmm0, [20008h]
  EXPECT_EQ(computing.exception(), kProtection);
  SimdMachine unaligned(x86::kCr4Osfxsr);
  unaligned.run_code({0x0f, 0x10, 0x05, 0x08, 0x00, 0x02, 0x00});  // movups
  EXPECT_EQ(unaligned.exception(), kNothing);
}

TEST(Vector, LdmxcsrRefusesReservedBits) {
  SimdMachine m(x86::kCr4Osfxsr);
  m.put<uint32_t>(TestMachine::kData, 0x10000);
  m.run_code({0x0f, 0xae, 0x15, 0x00, 0x00, 0x02, 0x00});
  EXPECT_EQ(m.exception(), kProtection);
  EXPECT_EQ(m.state().fpu.mxcsr, 0x1f80u);
}

TEST(Vector, FeaturesOfTheModelDecide) {
  const auto exception = [](std::string_view model, std::initializer_list<uint8_t> code) {
    SimdMachine m(x86::kCr4Osfxsr, model);
    m.run_code(code);
    return m.exception();
  };
  EXPECT_EQ(exception("max,-ssse3", {0x66, 0x0f, 0x38, 0x00, 0xc1}), kUndefined);  // pshufb
  EXPECT_EQ(exception("max,-sse2", {0x66, 0x0f, 0xfc, 0xc1}), kUndefined);         // paddb xmm
  EXPECT_EQ(exception("max,-sse2", {0x0f, 0xfc, 0xc1}), kNothing);                 // paddb mm
}

// The bound of host_code.h: every stub that can exist fits.
TEST(Vector, AllStubsFitThePool) {
  size_t bytes = 0;
  for (const VectorForm& form : vector_forms()) {
    const size_t immediates = form.has(kVectorImmediate) ? 256 : 1;
    const size_t regs = form.reg == VectorOperand::Mmx ? 8 : 1, rms = form.rm == VectorOperand::Mmx ? 8 : 1;
    const auto rounded = [&](bool memory) {
      const size_t size = build_vector_stub(form, {.memory = memory}).bytes().size();
      return (size + 15) & ~size_t{15};
    };
    if (!form.has(kVectorMemoryOnly)) bytes += rounded(false) * immediates * regs * rms;
    if (form.memory_size != 0) bytes += rounded(true) * immediates * regs;
  }
  constexpr size_t kX87Stubs = (8 * 64 + 64) * 16;
  EXPECT_LE(bytes + kX87Stubs, kHostCodeSize);
}

}  // namespace
}  // namespace vitrine::cpu

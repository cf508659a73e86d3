// Processor models, CPUID, MSRs and the time-stamp counter.
#include "cpu/cpu_model.h"

#include "cpu/system_test_core.h"
#include "x86/msrs.h"

namespace vitrine::cpu {
namespace {

using x86::Msr;
using x86::Vector;

TEST(CpuModels, AllCanBeMade) {
  for (const auto& [name, description] : CpuModel::list()) {
    const auto model = CpuModel::create(name);
    ASSERT_TRUE(model) << name;
    EXPECT_TRUE(model->has(Feature::Fpu));
    EXPECT_FALSE(description.empty());
    const CpuModel::Leaf vendor = model->cpuid(0, 0);
    EXPECT_EQ(vendor.ebx, 0x756e6547u);  // "Genu"
    EXPECT_GE(vendor.eax, 1u);
  }
}

TEST(CpuModels, HaveTheFeaturesOfTheirTime) {
  const auto pentium2 = CpuModel::create("pentium2").value();
  EXPECT_EQ(pentium2.cpuid(1, 0).eax, 0x652u);
  EXPECT_FALSE(pentium2.has(Feature::Sse));
  EXPECT_TRUE(pentium2.has(Feature::Cmov) && pentium2.has(Feature::Fxsr) && pentium2.has(Feature::Sep));
  EXPECT_EQ(pentium2.cpuid(1, 0).edx & (1u << 25), 0u);
  EXPECT_TRUE(CpuModel::create("pentium3").value().has(Feature::Sse));
  const auto old = CpuModel::create("486").value();
  EXPECT_EQ(old.cpuid(1, 0).eax >> 8, 4u);
  EXPECT_FALSE(old.has(Feature::Tsc));
  EXPECT_EQ(old.cpuid(0x80000000, 0).eax, old.cpuid(1, 0).eax);  // beyond the last leaf
  const auto max = CpuModel::create("max").value();
  EXPECT_EQ(max.cpuid(0x80000000, 0).eax, 0x80000008u);
  EXPECT_EQ(max.cpuid(0x80000008, 0).eax & 0xff, 36u);
  EXPECT_EQ(max.cpuid(0x80000002, 0).eax, 0x72746956u);  // "Vitr"
}

TEST(CpuModels, SayHowFastTheTimeStampCounterIs) {
  const auto max = CpuModel::create("max").value();
  const auto clock = max.cpuid(0x15, 0);
  EXPECT_EQ(uint64_t{clock.ecx} * clock.ebx / clock.eax, kTimeStampFrequency);
  EXPECT_EQ(max.cpuid(0x16, 0).eax, kTimeStampFrequency / 1'000'000);
  EXPECT_EQ(max.cpuid(0x14, 0).ebx, 0u);
}

TEST(CpuModels, FeaturesCanBeSwitched) {
  auto model = CpuModel::create("max,-sse2,nx=off,sse4_1=off").value();
  EXPECT_FALSE(model.has(Feature::Sse2) || model.has(Feature::Sse3) || model.has(Feature::Nx));
  EXPECT_TRUE(model.has(Feature::Sse));
  model = CpuModel::create("pentium2,+sse2").value();
  EXPECT_TRUE(model.has(Feature::Sse) && model.has(Feature::Sse2));
  EXPECT_FALSE(CpuModel::create("pentium9"));
  EXPECT_FALSE(CpuModel::create("max,+warp"));
  EXPECT_FALSE(CpuModel::create("max,sse=maybe"));
}

TEST(CpuModels, ExtendedStateIsShownAsFarAsItIsThere) {
  const auto sse = CpuModel::create("pentium3,+xsave,+xsaveopt").value();
  EXPECT_EQ(sse.cpuid(0, 0).eax, 13u);
  EXPECT_NE(sse.cpuid(1, 0).ecx & 1u << 26, 0u);
  EXPECT_EQ(sse.cpuid(13, 0).eax, 3u);
  EXPECT_EQ(sse.cpuid(13, 0).ecx, 576u);
  EXPECT_EQ(sse.cpuid(13, 1).eax, 1u);
  EXPECT_EQ(sse.cpuid(13, 2).eax, 0u);
  EXPECT_EQ(CpuModel::create("pentium3").value().cpuid(0, 0).eax, 2u);
  const auto avx = CpuModel::create("core2duo,+avx2");
  if (!avx) GTEST_SKIP() << avx.error().message();
  EXPECT_TRUE(avx->has(Feature::Avx) && avx->has(Feature::Xsave));
  EXPECT_EQ(avx->cpuid(0, 0).eax, 13u);
  EXPECT_EQ(avx->cpuid(7, 0).ebx, 1u << 5);
  EXPECT_EQ(avx->cpuid(13, 0).eax, 7u);
  EXPECT_EQ(avx->cpuid(13, 0).ecx, 832u);
  EXPECT_EQ(avx->cpuid(13, 2).eax, 256u);
  EXPECT_EQ(avx->cpuid(13, 2).ebx, 576u);
  EXPECT_EQ(avx->cpuid(13, 3).eax, 0u);
  const auto without = CpuModel::create("max,-xsave").value();
  EXPECT_FALSE(without.has(Feature::Avx) || without.has(Feature::Avx2) || without.has(Feature::Fma));
}

class Msrs : public SystemTest {
 protected:
  bool write(Msr number, uint64_t value) {
    state().gpr[x86::kEcx] = static_cast<uint32_t>(number);
    state().gpr[x86::kEax] = static_cast<uint32_t>(value);
    state().gpr[x86::kEdx] = static_cast<uint32_t>(value >> 32);
    return wrmsr(core(), instruction());
  }
  uint64_t read(Msr number) {
    state().gpr[x86::kEcx] = static_cast<uint32_t>(number);
    EXPECT_TRUE(rdmsr(core(), instruction())) << std::hex << static_cast<uint32_t>(number);
    return uint64_t{state().gpr[x86::kEdx]} << 32 | state().gpr[x86::kEax];
  }
};

TEST_F(Msrs, TimeStampCounter) {
  ASSERT_TRUE(write(Msr::TimeStampCounter, 0x1'00000000));
  bus_.ticks += 5;
  EXPECT_EQ(read(Msr::TimeStampCounter), 0x1'00000005u);
  ASSERT_TRUE(rdtsc(core(), instruction()));
  EXPECT_EQ(state().gpr[x86::kEax], 5u);
  EXPECT_EQ(state().gpr[x86::kEdx], 1u);
  enter_protected(3);
  EXPECT_TRUE(rdtsc(core(), instruction()));
  state().cr4 = x86::kCr4Tsd;
  expect_fault(Vector::GeneralProtection, 0, [&] { return rdtsc(core(), instruction()); });
  expect_fault(Vector::GeneralProtection, 0, [&] { return rdpmc(core(), instruction()); });
}

TEST_F(Msrs, Mtrrs) {
  EXPECT_EQ(read(Msr::MtrrCapabilities), 0x508u);
  ASSERT_TRUE(write(Msr::MtrrFixed16k1, 0x0606060606060606));
  EXPECT_EQ(read(Msr::MtrrFixed16k1), 0x0606060606060606u);
  EXPECT_FALSE(write(Msr::MtrrFixed16k1, 0x0606060606060602));
  ASSERT_TRUE(write(Msr::MtrrPhysicalBase0, 0xf'c0000006));
  EXPECT_FALSE(write(Msr::MtrrPhysicalBase0, 0x10'00000000));
  EXPECT_FALSE(write(Msr::MtrrPhysicalMask7, 0x400));
  ASSERT_TRUE(write(Msr::MtrrPhysicalMask7, 0xf'fff00800));
  ASSERT_TRUE(write(Msr::MtrrDefaultType, 0xc06));
  EXPECT_FALSE(write(Msr::MtrrDefaultType, 0xc03));
  EXPECT_FALSE(write(Msr::MtrrCapabilities, 0));
}

TEST_F(Msrs, OthersAndTheUnknown) {
  ASSERT_TRUE(write(Msr::Efer, x86::kEferNxe));
  EXPECT_EQ(read(Msr::Efer), x86::kEferNxe);
  EXPECT_FALSE(write(Msr::Efer, 1u << 8));  // LME: there is no long mode
  EXPECT_FALSE(write(Msr::PageAttributeTable, 2));
  ASSERT_TRUE(write(Msr::PageAttributeTable, 0x0007040600070406));
  ASSERT_TRUE(write(Msr::TscAux, 7));
  EXPECT_FALSE(write(Msr::TscAux, uint64_t{1} << 32));
  ASSERT_TRUE(rdtscp(core(), instruction()));
  EXPECT_EQ(state().gpr[x86::kEcx], 7u);
  ASSERT_TRUE(write(Msr::TscDeadline, 99));
  EXPECT_EQ(bus_.deadline, 99u);
  EXPECT_NE(read(Msr::ApicBase) & x86::kApicBaseBootstrap, 0u);
  EXPECT_FALSE(write(Msr::ApicBase, 1));
  ASSERT_TRUE(write(Msr::MicrocodeUpdate, 0));
  state().gpr[x86::kEcx] = 0xdead;
  expect_fault(Vector::GeneralProtection, 0, [&] { return rdmsr(core(), instruction()); });
  enter_protected(3);
  expect_fault(Vector::GeneralProtection, 0, [&] { return rdmsr(core(), instruction()); });
}

TEST_F(Msrs, CpuidShowsWhatDependsOnTheProcessor) {
  const auto ask = [&](uint32_t leaf) {
    state().gpr[x86::kEax] = leaf;
    state().gpr[x86::kEcx] = 0;
    EXPECT_TRUE(cpuid(core(), instruction()));
  };
  ask(1);
  EXPECT_NE(state().gpr[x86::kEdx] & 1u << 9, 0u);
  state().apic_base &= ~x86::kApicBaseEnable;
  ask(1);
  EXPECT_EQ(state().gpr[x86::kEdx] & 1u << 9, 0u);
}

}  // namespace
}  // namespace vitrine::cpu

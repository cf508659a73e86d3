// Which processor the guest sees: what CPUID answers, and which instructions exist.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::cpu {

/// Features that CPUID shows and the processor then really has; without its feature an instruction is #UD or
/// has its older meaning. Bits of CpuModel::features.
enum class Feature : uint8_t {
  Fpu,
  Vme,
  De,
  Pse,
  Tsc,
  Msr,
  Pae,
  Mce,
  Cx8,
  Apic,
  Sep,
  Mtrr,
  Pge,
  Cmov,
  Pat,
  Pse36,
  Clflush,
  Mmx,
  Fxsr,
  Sse,
  Sse2,
  Sse3,
  Pclmulqdq,
  Monitor,
  Ssse3,
  Sse41,
  Sse42,
  Movbe,
  Popcnt,
  Aes,
  Rdrand,
  Rdseed,
  TscDeadline,
  Nx,
  Abm,
  Bmi1,
  Bmi2,
  Adx,
  Rdtscp,
  Sha,
  Xsave,
  Xsaveopt,
  Avx,
  F16c,
  Fma,
  Avx2,
  Hypervisor,
  Hypercalls,  ///< VMCALL is for kernels (docs/hypercalls.md); else it is #UD.
  Count
};

/// Ticks of the time-stamp counter in a second of guest time, as CPUID says it (leaves 15H and 16H).
inline constexpr uint32_t kTimeStampFrequency = 1'000'000'000;

class CpuModel {
 public:
  /// `specification` as `-cpu` takes it: a model's name, then `,+feature`, `,-feature`, `,feature=on|off`. A
  /// feature whose instructions this host lacks is left out of "max" and is an error when asked for by name.
  [[nodiscard]] static Result<CpuModel> create(std::string_view specification);
  /// Name and one-line description of each model, for `-cpu help`.
  [[nodiscard]] static std::vector<std::pair<std::string, std::string>> list();

  [[nodiscard]] bool has(Feature feature) const {
    return (features_ >> static_cast<unsigned>(feature) & 1) != 0;
  }
  [[nodiscard]] const std::string& name() const { return name_; }

  struct Leaf {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  };
  /// What CPUID returns, apart from what depends on the processor (APIC ID, OSXSAVE, the size of the enabled
  /// state): the caller fills that in.
  [[nodiscard]] Leaf cpuid(uint32_t leaf, uint32_t subleaf) const;

 private:
  [[nodiscard]] Leaf state_leaf(uint32_t subleaf) const;
  [[nodiscard]] uint32_t last_hypervisor_leaf() const;

  std::string name_;
  uint64_t features_ = 0;
  uint32_t signature_ = 0;  ///< Leaf 1, EAX: family, model, stepping.
  uint32_t last_leaf_ = 1;  ///< Highest basic leaf.
  std::string vendor_, brand_;
};

}  // namespace vitrine::cpu

#include "cpu/host_traits.h"

#include <cpuid.h>

#include <array>
#include <cstring>
#include <string_view>

namespace vitrine::cpu {
namespace {

bool ask_for_amd() {
  std::array<unsigned, 3> name{};
  unsigned highest = 0;
  if (__get_cpuid(0, &highest, name.data(), name.data() + 2, name.data() + 1) == 0) return false;
  std::array<char, 12> text{};
  std::memcpy(text.data(), name.data(), text.size());
  const std::string_view maker(text.data(), text.size());
  return maker == "AuthenticAMD" || maker == "HygonGenuine";
}

// AMD's and Intel's manuals alike, CPUID function 1: EAX bits 11 to 8, and from 0fh on bits 27 to 20 more.
unsigned family() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return 0;
  const unsigned base = eax >> 8 & 0xf;
  return base == 0xf ? base + (eax >> 20 & 0xff) : base;
}

constexpr unsigned kZen5 = 0x1a;

}  // namespace

bool host_is_amd() {
  static const bool amd = ask_for_amd();
  return amd;
}

const HostTraits& host_traits() {
  static const HostTraits traits = host_is_amd() ? HostTraits{.repetition_keeps_flags = true,
                                                              .compares_source_first = family() >= kZen5,
                                                              .sha_operands_align = false,
                                                              .gather_keeps_rest = true}
                                                 : HostTraits{};
  return traits;
}

}  // namespace vitrine::cpu

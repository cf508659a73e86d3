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

}  // namespace

bool host_is_amd() {
  static const bool amd = ask_for_amd();
  return amd;
}

const HostTraits& host_traits() {
  static const HostTraits traits = host_is_amd() ? HostTraits{.repetition_keeps_flags = true,
                                                              .compares_source_first = true,
                                                              .sha_operands_align = false,
                                                              .gather_keeps_rest = true}
                                                 : HostTraits{};
  return traits;
}

}  // namespace vitrine::cpu

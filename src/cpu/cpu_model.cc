// Processor models and what CPUID answers for them. Documentation: SDM Vol. 2, "CPUID". Signatures, feature
// sets and cache descriptors are those that the named processors show, less what Vitrine does not have.
#include "cpu/cpu_model.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>

#include "vitrine/hypercalls.h"
#include "x86/extended_state.h"

namespace vitrine::cpu {

namespace {

using Mask = uint64_t;
constexpr Mask bit(Feature feature) {
  return Mask{1} << static_cast<unsigned>(feature);
}
constexpr Mask set_of(std::initializer_list<Feature> features) {
  Mask mask = 0;
  for (const Feature feature : features) mask |= bit(feature);
  return mask;
}

// Where CPUID shows a feature.
enum class Word : uint8_t { Leaf1Edx, Leaf1Ecx, Leaf7Ebx, Leaf13Eax, Extended1Edx, Extended1Ecx, OurOwn };
// Whether the host must have the instructions, because they run on it.
enum class Needs : uint8_t { Nothing, Host };

struct FeatureRow {
  Feature feature;
  std::string_view name;
  std::string_view alias;
  Word word;
  unsigned shift;
  Needs needs = Needs::Nothing;
  Mask requires_also = 0;  ///< Makes no sense without these.
};

constexpr FeatureRow kFeatures[] = {
    {Feature::Fpu, "fpu", "", Word::Leaf1Edx, 0},
    {Feature::Vme, "vme", "", Word::Leaf1Edx, 1},
    {Feature::De, "de", "", Word::Leaf1Edx, 2},
    {Feature::Pse, "pse", "", Word::Leaf1Edx, 3},
    {Feature::Tsc, "tsc", "", Word::Leaf1Edx, 4},
    {Feature::Msr, "msr", "", Word::Leaf1Edx, 5},
    {Feature::Pae, "pae", "", Word::Leaf1Edx, 6},
    {Feature::Mce, "mce", "", Word::Leaf1Edx, 7, Needs::Nothing, bit(Feature::Msr)},
    {Feature::Cx8, "cx8", "", Word::Leaf1Edx, 8},
    {Feature::Apic, "apic", "", Word::Leaf1Edx, 9, Needs::Nothing, bit(Feature::Msr)},
    {Feature::Sep, "sep", "", Word::Leaf1Edx, 11, Needs::Nothing, bit(Feature::Msr)},
    {Feature::Mtrr, "mtrr", "", Word::Leaf1Edx, 12, Needs::Nothing, bit(Feature::Msr)},
    {Feature::Pge, "pge", "", Word::Leaf1Edx, 13},
    {Feature::Cmov, "cmov", "", Word::Leaf1Edx, 15},
    {Feature::Pat, "pat", "", Word::Leaf1Edx, 16, Needs::Nothing, bit(Feature::Msr)},
    {Feature::Pse36, "pse36", "pse-36", Word::Leaf1Edx, 17, Needs::Nothing, bit(Feature::Pse)},
    {Feature::Clflush, "clflush", "clfsh", Word::Leaf1Edx, 19},
    {Feature::Mmx, "mmx", "", Word::Leaf1Edx, 23, Needs::Nothing, bit(Feature::Fpu)},
    {Feature::Fxsr, "fxsr", "", Word::Leaf1Edx, 24, Needs::Nothing, bit(Feature::Fpu)},
    {Feature::Sse, "sse", "", Word::Leaf1Edx, 25, Needs::Nothing, bit(Feature::Fxsr)},
    {Feature::Sse2, "sse2", "", Word::Leaf1Edx, 26, Needs::Nothing, bit(Feature::Sse)},
    {Feature::Sse3, "sse3", "pni", Word::Leaf1Ecx, 0, Needs::Host, bit(Feature::Sse2)},
    {Feature::Pclmulqdq, "pclmulqdq", "pclmuldq", Word::Leaf1Ecx, 1, Needs::Host, bit(Feature::Sse2)},
    {Feature::Monitor, "monitor", "", Word::Leaf1Ecx, 3},
    {Feature::Ssse3, "ssse3", "", Word::Leaf1Ecx, 9, Needs::Host, bit(Feature::Sse3)},
    {Feature::Sse41, "sse4.1", "sse4-1", Word::Leaf1Ecx, 19, Needs::Host, bit(Feature::Ssse3)},
    {Feature::Sse42, "sse4.2", "sse4-2", Word::Leaf1Ecx, 20, Needs::Host, bit(Feature::Sse41)},
    {Feature::Movbe, "movbe", "", Word::Leaf1Ecx, 22, Needs::Host},
    {Feature::Popcnt, "popcnt", "", Word::Leaf1Ecx, 23, Needs::Host},
    {Feature::TscDeadline, "tsc-deadline", "", Word::Leaf1Ecx, 24, Needs::Nothing,
     bit(Feature::Apic) | bit(Feature::Tsc)},
    {Feature::Aes, "aes", "", Word::Leaf1Ecx, 25, Needs::Host, bit(Feature::Sse2)},
    {Feature::Fma, "fma", "", Word::Leaf1Ecx, 12, Needs::Host, bit(Feature::Avx)},
    {Feature::Xsave, "xsave", "", Word::Leaf1Ecx, 26, Needs::Host, bit(Feature::Sse)},
    {Feature::Avx, "avx", "", Word::Leaf1Ecx, 28, Needs::Host, bit(Feature::Xsave) | bit(Feature::Sse42)},
    {Feature::F16c, "f16c", "", Word::Leaf1Ecx, 29, Needs::Host, bit(Feature::Avx)},
    {Feature::Rdrand, "rdrand", "", Word::Leaf1Ecx, 30, Needs::Host},
    {Feature::Hypervisor, "hypervisor", "", Word::Leaf1Ecx, 31},
    {Feature::Hypercalls, "hypercalls", "", Word::OurOwn, 0, Needs::Nothing, bit(Feature::Hypervisor)},
    {Feature::Bmi1, "bmi1", "", Word::Leaf7Ebx, 3, Needs::Host},
    {Feature::Avx2, "avx2", "", Word::Leaf7Ebx, 5, Needs::Host, bit(Feature::Avx)},
    {Feature::Bmi2, "bmi2", "", Word::Leaf7Ebx, 8, Needs::Host},
    {Feature::Rdseed, "rdseed", "", Word::Leaf7Ebx, 18, Needs::Host},
    {Feature::Adx, "adx", "", Word::Leaf7Ebx, 19, Needs::Host},
    {Feature::Sha, "sha", "sha-ni", Word::Leaf7Ebx, 29, Needs::Host, bit(Feature::Sse2)},
    {Feature::Xsaveopt, "xsaveopt", "", Word::Leaf13Eax, 0, Needs::Nothing, bit(Feature::Xsave)},
    {Feature::Nx, "nx", "xd", Word::Extended1Edx, 20, Needs::Nothing, bit(Feature::Pae) | bit(Feature::Msr)},
    {Feature::Rdtscp, "rdtscp", "", Word::Extended1Edx, 27, Needs::Nothing,
     bit(Feature::Tsc) | bit(Feature::Msr)},
    {Feature::Abm, "abm", "lzcnt", Word::Extended1Ecx, 5, Needs::Host},
};
static_assert(std::size(kFeatures) == static_cast<size_t>(Feature::Count), "a feature has no row");

constexpr Mask k486 = set_of({Feature::Fpu, Feature::Vme});
constexpr Mask kPentium = k486 | set_of({Feature::De, Feature::Pse, Feature::Tsc, Feature::Msr, Feature::Mce,
                                         Feature::Cx8, Feature::Apic, Feature::Mmx});
constexpr Mask kPentium2 = kPentium | set_of({Feature::Pae, Feature::Sep, Feature::Mtrr, Feature::Pge,
                                              Feature::Cmov, Feature::Pat, Feature::Pse36, Feature::Fxsr});
constexpr Mask kPentium3 = kPentium2 | bit(Feature::Sse);
constexpr Mask kQemu32 =
    (kPentium3 & ~bit(Feature::Vme)) |
    set_of({Feature::Sse2, Feature::Sse3, Feature::Clflush, Feature::Hypervisor, Feature::Hypercalls});
constexpr Mask kCore2 =
    kPentium3 | set_of({Feature::Sse2, Feature::Sse3, Feature::Ssse3, Feature::Clflush, Feature::Nx});
// Everything that host and interpreter offer. MONITOR is left out: its MWAIT does not wait.
constexpr Mask kMax = ((Mask{1} << static_cast<unsigned>(Feature::Count)) - 1) & ~bit(Feature::Monitor);

struct ModelRow {
  std::string_view name;
  std::string_view description;
  uint32_t signature;
  uint32_t last_leaf;             ///< Highest basic leaf.
  uint32_t last_extended_leaf;    ///< 0: none.
  std::array<uint32_t, 4> leaf2;  ///< Cache descriptors: EAX, EBX, ECX, EDX.
  std::string_view brand;
  Mask features;
};

constexpr uint32_t kExtended = 0x80000008;
constexpr std::string_view kBrand = "Vitrine Virtual Processor";

constexpr ModelRow kModels[] = {
    {"486", "Intel 486DX4", 0x480, 1, 0, {}, "", k486},
    {"pentium", "Intel Pentium with MMX", 0x543, 1, 0, {}, "", kPentium},
    {"pentium2", "Intel Pentium II", 0x652, 2, 0, {0x03020101, 0, 0, 0x0c040843}, "", kPentium2},
    {"pentium3", "Intel Pentium III", 0x673, 2, 0, {0x03020101, 0, 0, 0x0c040843}, "", kPentium3},
    {"qemu32",
     "A 32-bit processor with SSE3, like QEMU's of that name",
     0x663,
     4,
     kExtended,
     {0x00000001, 0, 0, 0x002c307d},
     kBrand,
     kQemu32},
    {"core2duo",
     "Intel Core 2, its 32-bit part",
     0x6fb,
     10,
     kExtended,
     {0x05b0b101, 0x005657f0, 0, 0x2cb4304e},
     kBrand,
     kCore2},
    {"max",
     "All that this host and Vitrine offer",
     0x6fb,
     22,
     kExtended,
     {0x00000001, 0, 0, 0x002c307d},
     kBrand,
     kMax},
};

const FeatureRow* find_feature(std::string_view name) {
  std::string wanted(name);
  std::ranges::replace(wanted, '_', '-');
  for (const FeatureRow& row : kFeatures) {
    if (row.name == wanted || (!row.alias.empty() && row.alias == wanted)) return &row;
  }
  return nullptr;
}

bool host_has(const FeatureRow& row) {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  const auto ask = [&](uint32_t leaf) {
    if (__get_cpuid_count(leaf, 0, &eax, &ebx, &ecx, &edx) == 0) eax = ebx = ecx = edx = 0;
  };
  uint32_t word = 0;
  switch (row.word) {
    case Word::Leaf1Edx:
      ask(1);
      word = edx;
      break;
    case Word::Leaf1Ecx:
      ask(1);
      word = ecx;
      break;
    case Word::Leaf7Ebx:
      ask(7);
      word = ebx;
      break;
    case Word::Leaf13Eax:
      if (__get_cpuid_count(13, 1, &eax, &ebx, &ecx, &edx) != 0) word = eax;
      break;
    case Word::OurOwn: return true;
    case Word::Extended1Edx:
      ask(0x80000001);
      word = edx;
      break;
    case Word::Extended1Ecx:
      ask(0x80000001);
      word = ecx;
      break;
  }
  return (word >> row.shift & 1) != 0;
}

Mask available_on_host() {
  Mask mask = 0;
  for (const FeatureRow& row : kFeatures) {
    if (row.needs == Needs::Nothing || host_has(row)) mask |= bit(row.feature);
  }
  return mask;
}

// A feature and all that it rests on.
Mask with_requirements(Mask mask) {
  for (Mask before = 0; before != mask;) {
    before = mask;
    for (const FeatureRow& row : kFeatures) {
      if ((mask & bit(row.feature)) != 0) mask |= row.requires_also;
    }
  }
  return mask;
}

// The highest leaf that shows the features, where the model itself would have fewer.
uint32_t leaf_for(Mask features) {
  uint32_t leaf = (features & bit(Feature::Xsave)) != 0 ? 13 : 1;
  for (const FeatureRow& row : kFeatures) {
    if (row.word == Word::Leaf7Ebx && (features & bit(row.feature)) != 0) leaf = std::max(leaf, 7u);
  }
  return leaf;
}

// Features whose requirements have gone, gone too.
Mask without_orphans(Mask mask) {
  for (Mask before = ~mask; before != mask;) {
    before = mask;
    for (const FeatureRow& row : kFeatures) {
      if ((row.requires_also & ~mask) != 0) mask &= ~bit(row.feature);
    }
  }
  return mask;
}

Result<void> apply(std::string_view word, Mask& features, Mask available) {
  bool on = true;
  std::string_view name = word;
  if (const size_t equals = word.find('='); equals != std::string_view::npos) {
    const std::string_view value = word.substr(equals + 1);
    if (value != "on" && value != "off")
      return std::unexpected(Error{"a processor feature is either on or off", std::string(word)});
    on = value == "on";
    name = word.substr(0, equals);
  } else if (word.starts_with('+') || word.starts_with('-')) {
    on = word.front() == '+';
    name = word.substr(1);
  }
  const FeatureRow* row = find_feature(name);
  if (row == nullptr) return std::unexpected(Error{"there is no such processor feature", std::string(name)});
  if (!on) {
    features = without_orphans(features & ~bit(row->feature));
    return {};
  }
  const Mask wanted = with_requirements(bit(row->feature));
  if ((wanted & ~available) != 0)
    return std::unexpected(Error{"this host's processor lacks the feature", std::string(name)});
  features |= wanted;
  return {};
}

uint32_t four_characters(std::string_view text, size_t position) {
  char bytes[4] = {};
  for (size_t n = 0; n < 4 && position + n < text.size(); ++n) bytes[n] = text[position + n];
  uint32_t value = 0;
  std::memcpy(&value, bytes, 4);
  return value;
}

// The brand string: 48 bytes, NUL-padded, in leaves 80000002h to 80000004h.
CpuModel::Leaf brand_leaf(std::string_view brand, unsigned part) {
  const size_t start = part * 16;
  return {four_characters(brand, start), four_characters(brand, start + 4), four_characters(brand, start + 8),
          four_characters(brand, start + 12)};
}

// SDM Vol. 2, "CPUID", leaf 04H: two first-level caches of 32 KiB and a second-level one of 2 MiB, 64-byte
// lines, 8 ways.
CpuModel::Leaf cache_leaf(uint32_t subleaf) {
  struct Cache {
    uint32_t type, level, sets;
  };
  constexpr Cache kCaches[] = {{1, 1, 64}, {2, 1, 64}, {3, 2, 4096}};
  if (subleaf >= std::size(kCaches)) return {};
  const Cache& cache = kCaches[subleaf];
  constexpr uint32_t kWays = 8, kLine = 64;
  return {cache.type | cache.level << 5 | 1u << 8, (kWays - 1) << 22 | (kLine - 1), cache.sets - 1, 0};
}

}  // namespace

Result<CpuModel> CpuModel::create(std::string_view specification) {
  const std::string_view name = specification.substr(0, specification.find(','));
  const auto model = std::ranges::find(kModels, name, &ModelRow::name);
  if (model == std::end(kModels)) {
    return std::unexpected(
        Error{"there is no such processor model", std::string(name), 0, "ask for -cpu help to see them"});
  }
  const Mask available = available_on_host();
  CpuModel result;
  result.name_ = name;
  result.vendor_ = "GenuineIntel";
  result.brand_ = model->brand;
  result.signature_ = model->signature;
  result.features_ = without_orphans(model->features & available);
  std::string_view rest = specification.substr(name.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the comma
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(word.size());
    if (word.empty()) continue;
    if (auto applied = apply(word, result.features_, available); !applied)
      return std::unexpected(std::move(applied).error());
  }
  result.last_leaf_ = std::max(model->last_leaf, leaf_for(result.features_));
  return result;
}

std::vector<std::pair<std::string, std::string>> CpuModel::list() {
  std::vector<std::pair<std::string, std::string>> models;
  for (const ModelRow& row : kModels) models.emplace_back(row.name, row.description);
  return models;
}

// SDM Vol. 2, "CPUID", leaf 0DH.
CpuModel::Leaf CpuModel::state_leaf(uint32_t subleaf) const {
  using x86::kXstateAvx;
  const uint64_t components = x86::kXstateX87 | x86::kXstateSse | (has(Feature::Avx) ? kXstateAvx : 0);
  switch (subleaf) {
    case 0: {
      const uint32_t size = x86::xsave_size(components);
      return {static_cast<uint32_t>(components), size, size, 0};
    }
    case 1: return {has(Feature::Xsaveopt) ? 1u : 0u, 0, 0, 0};
    case 2: return has(Feature::Avx) ? Leaf{x86::kXsaveAvxSize, x86::kXsaveAvx, 0, 0} : Leaf{};
    default: return {};
  }
}

uint32_t CpuModel::last_hypervisor_leaf() const {
  return has(Feature::Hypercalls) ? VITRINE_CPUID_CALLS : VITRINE_CPUID_SIGNATURE;
}

CpuModel::Leaf CpuModel::cpuid(uint32_t leaf, uint32_t subleaf) const {
  const auto model = std::ranges::find(kModels, name_, &ModelRow::name);
  if (model == std::end(kModels)) return {};
  const auto word = [&](Word wanted) {
    uint32_t value = 0;
    for (const FeatureRow& row : kFeatures) {
      if (row.word == wanted && has(row.feature)) value |= 1u << row.shift;
    }
    return value;
  };
  const bool hypervisor_leaf =
      has(Feature::Hypervisor) && leaf >= VITRINE_CPUID_SIGNATURE && leaf <= last_hypervisor_leaf();
  const bool extended = (leaf & 0x80000000) != 0 && leaf <= model->last_extended_leaf;
  // SDM Vol. 2, "CPUID": above the highest leaf the data of the highest basic leaf are returned.
  if (!hypervisor_leaf && !extended && leaf > last_leaf_) leaf = last_leaf_;
  switch (leaf) {
    case 0:
      return {last_leaf_, four_characters(vendor_, 0), four_characters(vendor_, 8),
              four_characters(vendor_, 4)};
    case 1: {
      constexpr uint32_t kLine = 8;  // of CLFLUSH, in units of 8 bytes
      return {signature_, has(Feature::Clflush) ? kLine << 8 : 0, word(Word::Leaf1Ecx), word(Word::Leaf1Edx)};
    }
    case 2: return {model->leaf2[0], model->leaf2[1], model->leaf2[2], model->leaf2[3]};
    case 4: return cache_leaf(subleaf);
    case 7: return subleaf == 0 ? Leaf{0, word(Word::Leaf7Ebx), 0, 0} : Leaf{};
    case 13: return has(Feature::Xsave) ? state_leaf(subleaf) : Leaf{};
    // So that no guest has to measure: the counter, and the clock that the local APIC's timer divides. In Hz;
    // in MHz.
    case 21: return {1, 1, has(Feature::Tsc) ? kTimeStampFrequency : 0, 0};
    case 22: {
      constexpr uint32_t kMegahertz = kTimeStampFrequency / 1'000'000;
      return {kMegahertz, kMegahertz, kMegahertz, 0};
    }
    case VITRINE_CPUID_SIGNATURE:
      return {last_hypervisor_leaf(), VITRINE_SIGNATURE_EBX, VITRINE_SIGNATURE_ECX, VITRINE_SIGNATURE_EDX};
    case VITRINE_CPUID_CALLS: return {VITRINE_CALLS_VERSION, (1u << VITRINE_CALL_COUNT) - 1, 0, 0};
    case 0x80000000: return {model->last_extended_leaf, 0, 0, 0};
    case 0x80000001: return {0, 0, word(Word::Extended1Ecx), word(Word::Extended1Edx)};
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: return brand_leaf(brand_, leaf - 0x80000002);
    case 0x80000006: return has(Feature::Clflush) ? Leaf{0, 0, 0x02000000 | 6u << 12 | 64, 0} : Leaf{};
    case 0x80000007: return {0, 0, 0, has(Feature::Tsc) ? 1u << 8 : 0};  // the TSC counts time
    case 0x80000008: return {36 | 32 << 8, 0, 0, 0};
    default: return {};
  }
}

}  // namespace vitrine::cpu

// Random page tables and control registers against a model of the walk that is written differently: it
// collects the entries first, and looks at rights and reserved bits afterwards. Also the memory that a walk
// leaves behind, and the walk without effects.
#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "base/check.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"
#include "paging/page_walker.h"
#include "x86/control_registers.h"

namespace vitrine::fuzz {
namespace {

using paging::AccessKind;
using paging::Effects;
using paging::Privilege;

constexpr uint32_t kFrames = 8;
constexpr uint32_t kRamSize = kFrames * kPageSize;

struct Outcome {
  std::optional<uint32_t> error_code;
  uint64_t address = 0;
  uint32_t page_size = kPageSize;
  bool writable = true, user = true, executable = true, global = false, dirty = false;
  bool in_ram = true;  // all of the entries
};

// One entry on the way, as it was read.
struct Step {
  uint64_t address;  // where the entry lies
  uint64_t entry;
};

// SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Access Rights", "Page-Fault Exceptions", for tables in RAM.
class Model {
 public:
  Model(std::vector<uint8_t>& ram, const paging::PagingRegisters& registers)
      : ram_(ram), registers_(registers) {}

  Outcome walk(uint32_t linear, AccessKind kind, Privilege privilege) {
    Outcome outcome;
    if ((registers_.cr0 >> 31 & 1) == 0) return identity(linear);
    const bool pae = (registers_.cr4 & x86::kCr4Pae) != 0;
    const bool nx = pae && (registers_.efer & x86::kEferNxe) != 0;
    uint32_t code = 0;
    if (kind == AccessKind::Write) code |= 2;
    if (privilege == Privilege::User) code |= 4;
    if (kind == AccessKind::Fetch && nx) code |= 16;

    std::vector<Step> steps;
    const std::optional<bool> mapped = pae ? pae_steps(linear, nx, steps) : legacy_steps(linear, steps);
    for (const Step& step : steps) outcome.in_ram = outcome.in_ram && step.address < ram_.size();
    if (!mapped || !*mapped) {
      outcome.error_code = mapped ? code : code | 9;
      return outcome;
    }
    const Step& leaf = steps.back();
    const bool large = steps.size() == 1;
    for (const Step& step : steps) {
      outcome.writable = outcome.writable && (step.entry & 2) != 0;
      outcome.user = outcome.user && (step.entry & 4) != 0;
      outcome.executable = outcome.executable && !(nx && step.entry >> 63 != 0);
    }
    const bool is_user = privilege == Privilege::User;
    const bool protects = is_user || (registers_.cr0 & x86::kCr0Wp) != 0;
    if ((is_user && !outcome.user) || (kind == AccessKind::Write && !outcome.writable && protects) ||
        (kind == AccessKind::Fetch && !outcome.executable)) {
      outcome.error_code = code | 1;
      return outcome;
    }
    outcome.global = (leaf.entry & 0x100) != 0 && (registers_.cr4 & x86::kCr4Pge) != 0;
    outcome.dirty = (leaf.entry & 0x40) != 0 || kind == AccessKind::Write;
    outcome.page_size = !large ? kPageSize : pae ? 2u << 20 : 4u << 20;
    outcome.address = frame(leaf.entry, pae, large) + linear % outcome.page_size;
    for (const Step& step : steps) {
      if (step.address < ram_.size()) ram_[step.address] |= 0x20;
    }
    if (kind == AccessKind::Write && leaf.address < ram_.size()) ram_[leaf.address] |= 0x40;
    return outcome;
  }

 private:
  static Outcome identity(uint32_t linear) {
    Outcome outcome;
    outcome.address = linear;
    return outcome;
  }

  [[nodiscard]] uint64_t frame(uint64_t entry, bool pae, bool large) const {
    if (!pae && !large) return entry & 0xfffff000;
    if (!pae) return (entry & 0xffc00000) | (entry >> 13 & (registers_.pse36 ? 0xf : 0)) << 32;
    return entry & (large ? 0xfffe00000 : 0xffffff000);
  }
  // True: present and well formed. False: not present. Nothing: a reserved bit.
  [[nodiscard]] std::optional<bool> legacy_steps(uint32_t linear, std::vector<Step>& steps) const {
    const uint64_t directory = (registers_.cr3 & 0xfffff000) + (linear >> 22) * 4;
    const auto pde = static_cast<uint32_t>(load(directory, 4));
    steps.push_back({directory, pde});
    if ((pde & 1) == 0) return false;
    if ((pde & 0x80) != 0 && (registers_.cr4 & x86::kCr4Pse) != 0) {
      uint32_t reserved = registers_.pse36 ? 0x3e0000 : 0x3fe000;
      if (!registers_.pat) reserved |= 0x1000;
      if ((pde & reserved) != 0) return std::nullopt;
      return true;
    }
    const uint64_t table = (pde & 0xfffff000) + (linear >> 12 & 1023) * 4;
    const auto pte = static_cast<uint32_t>(load(table, 4));
    steps.push_back({table, pte});
    if ((pte & 1) == 0) return false;
    // Without CR4.PSE there are no reserved bits.
    if ((pte & 0x80) != 0 && !registers_.pat && (registers_.cr4 & x86::kCr4Pse) != 0) return std::nullopt;
    return true;
  }
  [[nodiscard]] std::optional<bool> pae_steps(uint32_t linear, bool nx, std::vector<Step>& steps) const {
    const uint64_t always = 0x7ffffff000000000 | (nx ? 0 : uint64_t{1} << 63);
    const uint64_t pointer = registers_.pdptes[linear >> 30];
    if ((pointer & 1) == 0) return false;
    const uint64_t directory = (pointer & 0xffffff000) + (linear >> 21 & 511) * 8;
    const uint64_t pde = load(directory, 8);
    steps.push_back({directory, pde});
    if ((pde & 1) == 0) return false;
    if ((pde & always) != 0) return std::nullopt;
    if ((pde & 0x80) != 0) {
      const uint64_t reserved = 0x1fe000 | (registers_.pat ? 0 : 0x1000);
      if ((pde & reserved) != 0) return std::nullopt;
      return true;
    }
    const uint64_t table = (pde & 0xffffff000) + (linear >> 12 & 511) * 8;
    const uint64_t pte = load(table, 8);
    steps.push_back({table, pte});
    if ((pte & 1) == 0) return false;
    if ((pte & always) != 0 || ((pte & 0x80) != 0 && !registers_.pat)) return std::nullopt;
    return true;
  }
  [[nodiscard]] uint64_t load(uint64_t address, unsigned size) const {
    uint64_t value = ~uint64_t{0};  // where nothing is
    if (address < ram_.size()) {
      value = 0;
      std::memcpy(&value, ram_.data() + address, size);
    }
    return value;
  }

  std::vector<uint8_t>& ram_;
  const paging::PagingRegisters& registers_;
};

// Fills memory with entries: most of them name frames that exist, so that walks get far.
void make_tables(FuzzInput& input, std::span<uint8_t> ram, bool pae) {
  const size_t entry_size = pae ? 8 : 4;
  const auto pattern = input.bytes(256);
  for (size_t at = 0; at < ram.size(); at += entry_size) {
    const size_t n = at / entry_size;
    const auto pick = [&](size_t salt) {
      return pattern.empty() ? uint8_t{0} : pattern[(n * 7 + salt * 31 + (at >> 12)) % pattern.size()];
    };
    uint64_t entry = (pick(0) & 0xffu) | (pick(1) % kFrames) << 12;
    if (pick(2) % 8 != 0) entry |= 7;
    if (pick(3) % 4 != 0) entry &= ~uint64_t{0x80};
    entry |= uint64_t{pick(4) & 1u} << 8;
    if (pick(5) % 8 == 0) entry |= uint64_t{1} << (pick(6) % (entry_size * 8));
    if (pae && pick(7) % 4 == 0) entry |= uint64_t{1} << 63;
    const uint64_t outside = pae ? 0xfffff8000 : 0xffff8000;
    if ((entry & 0x80) == 0) entry &= ~outside;
    std::memcpy(ram.data() + at, &entry, entry_size);
  }
}

paging::PagingRegisters make_registers(FuzzInput& input) {
  paging::PagingRegisters registers;
  const uint16_t bits = input.word();
  registers.cr0 =
      x86::kCr0Pe | ((bits & 0xf) != 0 ? x86::kCr0Pg : 0) | ((bits & 0x10) != 0 ? x86::kCr0Wp : 0);
  registers.cr4 = ((bits & 0x20) != 0 ? x86::kCr4Pse : 0) | ((bits & 0x40) != 0 ? x86::kCr4Pae : 0) |
                  ((bits & 0x80) != 0 ? x86::kCr4Pge : 0);
  registers.efer = (bits & 0x100) != 0 ? x86::kEferNxe : 0;
  registers.pse36 = (bits & 0x600) != 0;
  registers.pat = (bits & 0x1800) != 0;
  registers.cr3 = input.below(kFrames) << 12 | (bits >> 8 & 0x18);
  for (uint64_t& entry : registers.pdptes) entry = input.below(kFrames) << 12 | (input.below(4) != 0 ? 1 : 0);
  return registers;
}

std::string describe(const paging::PagingRegisters& r, uint32_t linear, AccessKind kind,
                     Privilege privilege) {
  return fmt::format(
      "CR0={:x} CR3={:x} CR4={:x} EFER={:x} PSE36={} PAT={}, address {:08x}, access {}, privilege {}", r.cr0,
      r.cr3, r.cr4, r.efer, r.pse36, r.pat, linear, static_cast<int>(kind), static_cast<int>(privilege));
}

void compare(const std::expected<paging::Translation, paging::WalkFault>& result, const Outcome& expected,
             const std::string& where) {
  CHECK(result.has_value() == !expected.error_code, "{}", where);
  if (!result) {
    CHECK(result.error().error_code == *expected.error_code, "{}: {:x}, not {:x}", where,
          result.error().error_code, *expected.error_code);
    return;
  }
  CHECK(result->address.value == expected.address, "{}: {:x}, not {:x}", where, result->address.value,
        expected.address);
  CHECK(result->page_size == expected.page_size, "{}", where);
  CHECK(result->writable == expected.writable && result->user == expected.user, "{}", where);
  CHECK(result->executable == expected.executable && result->global == expected.global, "{}", where);
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (uint64_t i = 0; i < 64; ++i) all.push_back(noise(i, 320));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  static const auto block = memory::RamBlock::create("ram", kRamSize).value();
  memory::PhysicalMap map;
  map.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *block, 0));
  const std::span<uint8_t> ram(block->data(), kRamSize);

  FuzzInput input(data, size);
  const paging::PagingRegisters registers = make_registers(input);
  make_tables(input, ram, (registers.cr4 & x86::kCr4Pae) != 0);
  std::vector<uint8_t> copy(ram.begin(), ram.end());
  Model model(copy, registers);
  for (unsigned i = 0; i < 64; ++i) {
    const uint32_t linear = input.empty() ? i * 0x04015123 : input.dword();
    const auto kind = static_cast<AccessKind>(input.empty() ? i % 3 : input.below(3));
    const auto privilege = static_cast<Privilege>(input.empty() ? i / 3 % 2 : input.below(2));
    const std::string where = describe(registers, linear, kind, privilege);
    const auto peek = paging::walk(map, registers, VirtualAddress(linear), kind, privilege, Effects::None);
    CHECK(std::memcmp(ram.data(), copy.data(), kRamSize) == 0, "a walk without effects has one: {}", where);
    const Outcome expected = model.walk(linear, kind, privilege);
    if (expected.in_ram) compare(peek, expected, where);  // elsewhere it looks at nothing
    const auto result =
        paging::walk(map, registers, VirtualAddress(linear), kind, privilege, Effects::SetAccessedAndDirty);
    compare(result, expected, where);
    if (result && (registers.cr0 & x86::kCr0Pg) != 0) CHECK(result->dirty == expected.dirty, "{}", where);
    CHECK(std::memcmp(ram.data(), copy.data(), kRamSize) == 0, "accessed and dirty bits differ: {}", where);
  }
  return 0;
}

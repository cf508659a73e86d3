// The comparison of memory, and the report of a difference.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/disassembler.h"
#include "cpu/print_state.h"
#include "lockstep/block_contents.h"
#include "lockstep/comparison.h"
#include "lockstep/lockstep.h"
#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace vitrine::lockstep {
namespace {

std::span<const uint8_t> bytes_of(const memory::RamBlock& block, uint64_t page) {
  return {block.data() + (page << kPageShift), kPageSize};
}

uint64_t entry_at(const memory::PhysicalMap& memory, uint64_t address, unsigned size) {
  uint64_t value = 0;
  memory.read(PhysicalAddress(address), std::span(reinterpret_cast<uint8_t*>(&value), size));
  return value;
}

}  // namespace

// What the leader's processor wrote, and what the follower wrote other than by translated code (which leaves
// no trace but in memory).
void Lockstep::compare_pages() {
  std::vector<PageOf>& written = recorder_.processor_pages();
  for (const PageOf& page : written) {
    ++counters_.pages;
    if (!same_page(*page.block, page.page)) break;
    env_.memory.watch(*page.block, page.page, memory::Watch::Recorded);
  }
  written.clear();
  std::vector<PageOf>& own = follower_->written_pages();
  for (const PageOf& page : own) {
    const auto found = std::ranges::find_if(
        follower_->blocks(), [&](const auto& pair) { return pair.second.get() == page.block; });
    if (found != follower_->blocks().end() && !same_page(*found->first, page.page)) break;
  }
  own.clear();
}

bool Lockstep::compare_all() {
  if (different_) return false;
  prepare();
  ++counters_.whole;
  for (const auto& [block, own] : follower_->blocks()) {
    for_each_used_page(*block, *own, [&, leader = block](uint64_t page) {
      if (!different_) static_cast<void>(same_page(*leader, page));
    });
  }
  return !different_;
}

// Accessed and dirty flags: a processor may keep a translation after the guest has cleared the flags of its
// entry, and set them again only when it reads that again (SDM Vol. 3A, "Invalidation of TLBs and
// Paging-Structure Caches"). So an engine that forgets translations more often sets more of them. Where that
// is all, the flags that either side has set are set in both.
bool Lockstep::same_page(memory::RamBlock& block, uint64_t page) {
  memory::RamBlock* const own = follower_->twin(block);
  if (own == nullptr) return true;
  const auto leader = bytes_of(block, page), follower = bytes_of(*own, page);
  if (std::memcmp(leader.data(), follower.data(), kPageSize) == 0) [[likely]]
    return true;
  if (differ_as_tables_only(leader, follower) && is_page_table(block, page)) {
    ++counters_.tables;
    std::array<uint8_t, kPageSize> merged;
    for (size_t n = 0; n < kPageSize; ++n) merged[n] = leader[n] | follower[n];
    env_.memory.note_write(block, page);
    follower_->memory().note_write(*own, page);
    std::memcpy(block.data() + (page << kPageShift), merged.data(), kPageSize);
    std::memcpy(own->data() + (page << kPageShift), merged.data(), kPageSize);
    return true;
  }
  difference(fmt::format("memory differs: {}, page {:#x}\n{}", block.name(), page,
                         describe_difference(page << kPageShift, leader, follower)));
  return false;
}

// Whether any page table that was loaded has this page in it.
bool Lockstep::is_page_table(const memory::RamBlock& block, uint64_t page) {
  const cpu::CpuState& state = leader_->state();
  const memory::PhysicalMap& memory = env_.memory;
  const auto is = [&](uint64_t physical) {
    const memory::Region& region = memory.find(PhysicalAddress(physical));
    return region.read_block == &block && region.read_page(memory.gated(PhysicalAddress(physical))) == page;
  };
  roots_.insert(state.cr3);
  const bool pae = (state.cr4 & x86::kCr4Pae) != 0;
  const auto directory_has = [&](uint64_t directory) {
    if (is(directory)) return true;
    const unsigned size = pae ? 8 : 4;
    for (unsigned n = 0; n < kPageSize / size; ++n) {
      const uint64_t entry = entry_at(memory, directory + uint64_t{n} * size, size);
      const bool table = (entry & (x86::kPagePresent | x86::kPageLarge)) == x86::kPagePresent;
      if (table && is(pae ? x86::pae_frame(entry) : entry & x86::kLegacyFrameMask)) return true;
    }
    return false;
  };
  return std::ranges::any_of(roots_, [&](uint32_t root) {
    if (!pae) return directory_has(root & x86::kLegacyFrameMask);
    for (unsigned n = 0; n < 4; ++n) {
      const uint64_t pointer = entry_at(memory, (root & x86::kPaeCr3Mask) + n * 8, 8);
      if ((pointer & x86::kPagePresent) != 0 && directory_has(x86::pae_frame(pointer))) return true;
    }
    return false;
  });
}

std::string Lockstep::disassembly() const {
  constexpr uint32_t kDefaultSize32 = 1u << 22;
  const bool wide = (before_.segments[x86::kCs].attributes & kDefaultSize32) != 0;
  std::string text;
  uint32_t eip = before_.eip;
  for (uint64_t n = 0; n < std::clamp<uint64_t>(step_instructions_, 1, 32); ++n) {
    std::array<uint8_t, 15> code{};
    const VirtualAddress address(before_.segments[x86::kCs].base + eip);
    if (!leader_->debug_read(address, code) && !leader_->debug_read(address, std::span(code).first(1))) break;
    const cpu::Disassembly line =
        cpu::disassemble(code, eip, wide ? cpu::CodeSize::Bits32 : cpu::CodeSize::Bits16);
    text += fmt::format("  {:08x}  {}\n", eip, line.text);
    eip += line.length;
  }
  return text;
}

void Lockstep::difference(const std::string& what) {
  if (different_) return;
  different_ = true;
  env_.report(fmt::format(
      "lockstep: step {}, {} instructions from {:04x}:{:08x}, {} before: {}\n"
      "  {:<18} {:>18} {:>18}\n\ncode from there on, branches not followed:\n{}\nbefore the step:\n{}\n"
      "interpreter:\n{}\ntranslator:\n{}",
      counters_.steps, step_instructions_, before_.segments[x86::kCs].selector, before_.eip,
      counters_.native + counters_.interpreted - step_instructions_, what, "", "interpreter", "translator",
      disassembly(), cpu::print_state_with_fpu(before_), cpu::print_state_with_fpu(leader_->state()),
      cpu::print_state_with_fpu(follower_->vcpu().state())));
}

}  // namespace vitrine::lockstep

// The comparison of memory, and the report of a difference.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

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
  using Tried = GuestTables::Tried;
  std::vector<PageOf>& written = recorder_.processor_pages();
  // What was set early has been set by now, unless an interrupt came before the instruction.
  const uint64_t acknowledged = recorder_.acknowledged_at();
  const bool interrupted = std::exchange(acknowledged_before_, acknowledged) != acknowledged;
  tried_ = interrupted ? Tried::YesButInterrupted : Tried::No;
  for (const PageOf& page : std::exchange(early_, {}))
    if (!same_page(*page.block, page.page)) break;
  tried_ = declined_ ? Tried::Yes : Tried::No;
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
  tables_.step_ended();
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

// Where the tables are. What they were loaded from in this step, too, is known.
void Lockstep::follow_tables() {
  const cpu::CpuState& now = leader_->state();
  if (now.cr3 != before_.cr3 || now.cr0 != before_.cr0 || now.cr4 != before_.cr4 ||
      now.pdptes != before_.pdptes)
    tables_.learn(now);
}

// Accessed and dirty flags that differ where they may become set in both.
bool Lockstep::same_page(memory::RamBlock& block, uint64_t page) {
  memory::RamBlock* const own = follower_->twin(block);
  if (own == nullptr) return true;
  const auto leader = bytes_of(block, page), follower = bytes_of(*own, page);
  const bool same = std::memcmp(leader.data(), follower.data(), kPageSize) == 0;
  const PageOf which{&block, page};
  if (!tables_.knows(which)) {
    if (same) [[likely]]
      return true;
    difference(fmt::format("memory differs: {}, page {:#x}\n{}", block.name(), page,
                           describe_difference(page << kPageShift, leader, follower)));
    return false;
  }
  std::array<uint8_t, kPageSize> merged;
  std::ranges::copy(leader, merged.begin());
  const GuestTables::Verdict verdict = tables_.judge(which, merged, follower, tried_);
  if (same) return true;
  if (verdict.early) early_.push_back(which);
  const bool in_use =
      is_page_table(block, page, before_.cr3) || is_page_table(block, page, leader_->state().cr3);
  if (!verdict.difference.empty() || !in_use) {
    difference(fmt::format("{} differs: {}, page {:#x}\n{}", in_use ? "a page table" : "memory", block.name(),
                           page, describe_difference(page << kPageShift, leader, follower)) +
               verdict.difference);
    return false;
  }
  if (!verdict.merged) return true;
  ++counters_.tables;
  env_.memory.note_write(block, page);
  follower_->memory().note_write(*own, page);
  std::memcpy(block.data() + (page << kPageShift), merged.data(), kPageSize);
  std::memcpy(own->data() + (page << kPageShift), merged.data(), kPageSize);
  return true;
}

// Whether the page tables that a value of CR3 leads to have this page among them.
bool Lockstep::is_page_table(const memory::RamBlock& block, uint64_t page, uint32_t root) const {
  const memory::PhysicalMap& memory = env_.memory;
  const auto is = [&](uint64_t physical) {
    const memory::Region& region = memory.find(PhysicalAddress(physical));
    return region.read_block == &block && region.read_page(memory.gated(PhysicalAddress(physical))) == page;
  };
  const bool pae = (leader_->state().cr4 & x86::kCr4Pae) != 0;
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
  if (!pae) return directory_has(root & x86::kLegacyFrameMask);
  for (unsigned n = 0; n < 4; ++n) {
    const uint64_t pointer = entry_at(memory, (root & x86::kPaeCr3Mask) + n * 8, 8);
    if ((pointer & x86::kPagePresent) != 0 && directory_has(x86::pae_frame(pointer))) return true;
  }
  return false;
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

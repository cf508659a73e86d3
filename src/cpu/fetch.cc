// Instruction fetch: see fetch.h. A fetch faults only for bytes that the instruction at EIP really has.
#include "cpu/fetch.h"

#include <algorithm>
#include <array>

#include "cpu/block_flow.h"
#include "cpu/code_cache.h"
#include "cpu/mode.h"
#include "cpu/translation.h"

namespace vitrine::cpu {
namespace {

Privilege fetch_privilege(const Core& core) {
  return core.state.cpl == 3 ? Privilege::User : Privilege::Supervisor;
}

// The host byte at a linear address of code, or null: fault, or memory that is not storage (`resolved` tells
// which).
const uint8_t* host_code_byte(Core& core, uint32_t linear, bool& resolved) {
  const Privilege privilege = fetch_privilege(core);
  const TlbEntry* table = privilege == Privilege::User ? core.tlbs->user() : core.tlbs->supervisor();
  const TlbEntry* entry = &table[Tlb::slot(linear)];
  resolved = true;
  if (entry->execute_tag != (linear & ~kPageMask)) {
    entry = resolve(core, linear, Access::Execute, privilege);
    resolved = entry != nullptr;
    if (!resolved || entry->execute_tag == kNoTag) return nullptr;
  }
  return reinterpret_cast<const uint8_t*>(entry->addend + linear);
}

// Where the code at an address that resolves to storage lies.
CodeCache::Place place_of_code(Core& core, uint32_t linear) {
  const TlbEntry* entry = resolve(core, linear, Access::Execute, fetch_privilege(core));
  const PhysicalAddress where = core.env.memory.gated(physical_of(*entry, linear));
  const memory::Region& region = core.env.memory.find(where);
  return {region.read_block, region.read_page(where)};
}

// Before its bytes are looked at: another processor may be writing them natively, and what it writes after
// this is noticed. Where no block comes of it, the next write ends the watch.
void watch_code(Core& core, uint32_t linear) {
  if (core.native == nullptr) return;
  const CodeCache::Place place = place_of_code(core, linear);
  core.env.memory.watch(*place.owner, place.page, memory::Watch::Code);
}

bool branches_in_page(const Instruction& i, uint32_t page_offset) {
  if (i.form != OperandForm::Relative) return false;
  const int64_t target =
      int64_t{page_offset} + i.eip_offset + i.length + static_cast<int32_t>(i.displacement);
  return target >= 0 && target < kPageSize;
}

// Fixes the block's end once its instructions are known.
BlockPointer finish(std::span<const Instruction> code, const uint8_t* host, uint32_t mode, bool in_page) {
  BlockPointer block = make_block(static_cast<unsigned>(code.size()));
  const Instruction& last = code.back();
  block->host = host;
  block->mode = mode;
  block->last_byte = last.eip_offset + last.length - 1u;
  std::ranges::copy(code, block->code);
  Instruction& end = block->code[code.size()];
  end = Instruction{};
  end.handler = (mode & kModeSingle) != 0 ? &fall_out : &fall_through;
  end.eip_offset = static_cast<uint16_t>(block->last_byte + 1);
  const uint32_t offset = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(host) & kPageMask);
  if (!in_page || (mode & kModeSingle) != 0) return block;
  if (offset + block->last_byte + 1 < kPageSize) {
    end.links = 1;
    block->code[code.size() - 1].links = 1;
  }
  if (branches_in_page(last, offset)) block->code[code.size() - 1].links |= 2;
  return block;
}

}  // namespace

BlockPointer make_single_block(Instruction instruction) {
  instruction.eip_offset = 0;
  return finish(std::span(&instruction, 1), nullptr, kModeSingle, false);
}

BlockPointer Fetcher::decode_within_page(Core& core, const uint8_t* host, uint32_t linear, uint32_t mode) {
  const unsigned limit = (mode & kModeSingle) != 0 ? 1 : CodeCache::kMaximumBlock;
  const unsigned available = kPageSize - (linear & kPageMask);
  unsigned at = 0, count = 0;
  while (count < limit && at < available) {
    Instruction& i = decoded_[count];
    const Decoded decoded = decoder_.decode(core, host + at, available - at, (mode & kModeCode32) != 0, i);
    if (decoded.status == DecodeStatus::NeedsMore) break;
    i.eip_offset = static_cast<uint16_t>(at);
    at += i.length;
    ++count;
    if (decoded.flow == Flow::Ending) break;
  }
  if (count == 0) return nullptr;
  return finish(std::span(decoded_).first(count), host, mode, true);
}

Block* Fetcher::keep(Core& core, BlockPointer block, uint32_t linear) {
  if (core.code->full()) {
    core.code->drop_all();
    new_mapping(core);
    core.link_slot = nullptr;
  }
  const CodeCache::Place first = place_of_code(core, linear);
  const CodeCache::Place second = block->second_page != nullptr
                                      ? place_of_code(core, linear + static_cast<uint32_t>(block->last_byte))
                                      : CodeCache::Place{};
  return core.code->insert(std::move(block), first, second);
}

Block* Fetcher::across_pages(Core& core, const uint8_t* host, uint32_t linear, uint32_t mode) {
  const unsigned available = kPageSize - (linear & kPageMask);
  bool resolved = false;
  const uint8_t* next = host_code_byte(core, linear + available, resolved);
  if (!resolved) return nullptr;
  if (next == nullptr) return uncached(core, linear, mode);
  watch_code(core, linear + available);
  std::array<uint8_t, 16> bytes{};
  std::copy_n(host, available, bytes.data());
  std::copy_n(next, bytes.size() - available, bytes.data() + available);
  Instruction i;
  static_cast<void>(decoder_.decode(core, bytes.data(), 15, (mode & kModeCode32) != 0, i));
  i.eip_offset = 0;
  if (i.length <= available) {
    // Undefined because of what the second page holds: not worth remembering.
    scratch_ = make_single_block(i);
    return scratch_.get();
  }
  auto block = finish(std::span(&i, 1), host, mode, false);
  block->second_page = next;
  return keep(core, std::move(block), linear);
}

// Code in a device's registers, or in nothing: one instruction, decoded each time.
Block* Fetcher::uncached(Core& core, uint32_t linear, uint32_t mode) {
  std::array<uint8_t, 15> bytes{};
  unsigned have = 0;
  Instruction i;
  while (have < bytes.size()) {
    const TlbEntry* entry = resolve(core, linear + have, Access::Execute, fetch_privilege(core));
    if (entry == nullptr) return nullptr;
    bytes[have] = static_cast<uint8_t>(core.env.memory.read(physical_of(*entry, linear + have), 1));
    ++have;
    if (decoder_.decode(core, bytes.data(), have, (mode & kModeCode32) != 0, i).status == DecodeStatus::Done)
      break;
  }
  scratch_ = make_single_block(i);
  return scratch_.get();
}

Block* Fetcher::block(Core& core, BlockSize size) {
  const uint32_t eip = core.state.eip;
  if (eip > core.cs_limit) {
    core.raise(x86::Vector::GeneralProtection);
    return nullptr;
  }
  const uint32_t linear = core.state.segments[x86::kCs].base + eip;
  const uint32_t mode = core.block_mode | (size == BlockSize::OneInstruction ? uint32_t{kModeSingle} : 0);
  bool resolved = false;
  const uint8_t* host = host_code_byte(core, linear, resolved);
  if (!resolved) return nullptr;
  Block* block = nullptr;
  if (host == nullptr) {
    block = uncached(core, linear, mode);
  } else {
    block = core.code->find(host, mode);
    if (block != nullptr && block->second_page != nullptr) {
      // The second page may be another one by now.
      const uint8_t* next = host_code_byte(core, linear + kPageSize - (linear & kPageMask), resolved);
      if (!resolved) return nullptr;
      if (next != block->second_page) {
        core.code->drop_block(block);
        new_mapping(core);
        block = nullptr;
      }
    }
    if (block == nullptr) {
      watch_code(core, linear);
      if (auto made = decode_within_page(core, host, linear, mode)) {
        block = keep(core, std::move(made), linear);
      } else {
        block = across_pages(core, host, linear, mode);
      }
    }
  }
  if (block == nullptr) return nullptr;
  // SDM Vol. 3A, "Limit Checking": whether what goes beyond an effective limit of FFFFFFFFH faults is the
  // processor's own affair. Here, as on processors of today and as with data (access.h), code wraps around.
  const bool wraps = core.cs_limit == 0xffffffff;
  if (!wraps && uint64_t{eip} + block->last_byte > core.cs_limit) {
    if (size == BlockSize::Full && block->count > 1) return this->block(core, BlockSize::OneInstruction);
    core.raise(x86::Vector::GeneralProtection);
    return nullptr;
  }
  return block;
}

}  // namespace vitrine::cpu

// Filling and emptying the translation look-aside buffer: see tlb.h.
#include "cpu/tlb.h"

#include <cstddef>

namespace vitrine::cpu {

void Tlb::permit_write(TlbEntry& entry) {
  forbid_write(entry);
  entry.write_tag = entry.page;
  Writers& writers = writers_of(entry.addend + entry.page);
  ++writers.count;
  writers.last = &entry;
}

void Tlb::forbid_write(TlbEntry& entry) {
  if (entry.write_tag == kNoTag) return;
  entry.write_tag = kNoTag;
  --writers_of(entry.addend + entry.page).count;
}

void Tlb::flush(TlbTable& table, std::vector<uint16_t>& used, bool keep_global) {
  size_t kept = 0;
  for (const uint16_t slot : used) {
    if (keep_global && table[slot].has(kTlbGlobal)) {
      used[kept++] = slot;
    } else {
      forbid_write(table[slot]);
      table[slot] = TlbEntry();
    }
  }
  used.resize(kept);
}

void Tlb::invalidate(TlbTable& table, std::vector<uint16_t>& used, uint32_t linear) {
  const unsigned slot = Tlb::slot(linear);
  if (table[slot].page != (linear & ~kPageMask)) return;
  forbid_write(table[slot]);
  table[slot] = TlbEntry();
  std::erase(used, static_cast<uint16_t>(slot));
}

void Tlb::forbid(TlbTable& table, const std::vector<uint16_t>& used, const uint8_t* host_page) {
  for (const uint16_t slot : used) {
    TlbEntry& entry = table[slot];
    if (entry.write_tag != kNoTag && entry.addend + entry.page == reinterpret_cast<uintptr_t>(host_page))
      forbid_write(entry);
  }
}

TlbEntry& Tlb::claim(TlbEntry* table, uint32_t linear) {
  const unsigned index = slot(linear);
  TlbEntry& entry = table[index];
  if (entry.page == kNoTag)
    (table == user() ? used_user_ : used_supervisor_).push_back(static_cast<uint16_t>(index));
  forbid_write(entry);
  entry = TlbEntry();
  entry.page = linear & ~kPageMask;
  return entry;
}

void Tlb::flush_page(uint32_t linear) {
  invalidate(supervisor_, used_supervisor_, linear);
  invalidate(user_, used_user_, linear);
}

void Tlb::flush_all() {
  flush(supervisor_, used_supervisor_, false);
  flush(user_, used_user_, false);
}

void Tlb::flush_non_global() {
  flush(supervisor_, used_supervisor_, true);
  flush(user_, used_user_, true);
}

void Tlb::forbid_writes(const uint8_t* host_page) {
  const auto page = reinterpret_cast<uintptr_t>(host_page);
  const Writers& writers = writers_of(page);
  if (writers.count == 0) return;
  TlbEntry& last = *writers.last;
  if (last.write_tag != kNoTag && last.addend + last.page == page) {
    forbid_write(last);
    if (writers.count == 0) return;
  }
  forbid(supervisor_, used_supervisor_, host_page);
  forbid(user_, used_user_, host_page);
}

}  // namespace vitrine::cpu

#include "devices/msix.h"

namespace vitrine::devices {

void ApicMessageSink::send_message(uint64_t address, uint32_t data) {
  if (address >> 20 != 0xfee) return;
  ApicMessage message;
  message.destination = static_cast<uint8_t>(address >> 12);
  // SDM Vol. 3A, "Message Address Register Format": without the redirection hint the mode is said not to
  // count; processors take it as it is, and systems rely on that.
  message.destination_mode =
      (address & 4) != 0 ? ApicDestinationMode::Logical : ApicDestinationMode::Physical;
  message.delivery = static_cast<ApicDelivery>((data >> 8) & 7);
  message.trigger = (data & 0x8000) != 0 ? ApicTrigger::Level : ApicTrigger::Edge;
  message.vector = static_cast<uint8_t>(data);
  bus_.deliver(message);
}

void Msix::reset() {
  for (Entry& entry : table_) entry = {0, 0, 0, kMasked};
  pending_ = 0;
  enabled_ = false;
  held_back_ = false;
}

void Msix::set_control(uint16_t control, bool may_send) {
  enabled_ = (control & kEnable) != 0;
  held_back_ = (control & kFunctionMask) != 0 || !may_send;
  send_pending();
}

void Msix::raise(unsigned vector) {
  if (vector >= vectors_ || !enabled_) return;
  pending_ |= 1u << vector;
  send_pending();
}

void Msix::send_pending() {
  if (!enabled_ || held_back_ || pending_ == 0) return;
  for (unsigned vector = 0; vector < vectors_; ++vector) {
    const Entry& entry = table_[vector];
    if ((pending_ >> vector & 1) == 0 || (entry[3] & kMasked) != 0) continue;
    pending_ &= ~(1u << vector);
    sink_.send_message(entry[0] | uint64_t{entry[1]} << 32, entry[2]);
  }
}

uint32_t Msix::read_dword(uint64_t offset) const {
  const uint64_t index = offset / kEntrySize;
  if (index < vectors_) return table_[index][offset % kEntrySize / 4];
  return offset == kPendingOffset ? pending_ : 0;
}

// "MSI-X Table": software uses aligned dwords and quadwords; others are ours to define, and do nothing.
uint64_t Msix::read_memory(uint64_t offset, unsigned size) {
  if (offset % 4 != 0 || size < 4) return 0;
  const uint64_t low = read_dword(offset);
  return size == 8 ? low | uint64_t{read_dword(offset + 4)} << 32 : low;
}

void Msix::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  if (offset % 4 != 0 || size < 4) return;
  for (unsigned done = 0; done < size; done += 4, offset += 4, value >>= 32) {
    const uint64_t index = offset / kEntrySize;
    if (index >= vectors_) continue;
    const uint64_t which = offset % kEntrySize / 4;
    table_[index][which] = static_cast<uint32_t>(value) & (which == 3 ? kMasked : ~0u);
  }
  send_pending();
}

void Msix::serialize(StateArchive& archive) {
  archive.section("msix", 1);
  for (Entry& entry : table_) archive.field(entry);
  archive.field(pending_);
  pending_ &= (1u << vectors_) - 1;
}

}  // namespace vitrine::devices

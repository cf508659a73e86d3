#include "devices/io_apic.h"

namespace vitrine::devices {
namespace {

constexpr uint64_t kSelect = 0x00;
constexpr uint64_t kWindow = 0x10;

enum Register : uint8_t { kId = 0, kVersion = 1, kArbitration = 2, kTable = 0x10 };

constexpr uint32_t kVersionValue = 0x11 | (IoApic::kPins - 1) << 16;
constexpr uint32_t kIdShift = 24;
constexpr uint8_t kIdBits = 0x0f;

constexpr uint32_t kWritableLow = 0x1afff;  // without delivery status and remote IRR
constexpr uint64_t kWritableHigh = 0xff000000;

constexpr bool is_level(uint64_t entry) {
  // "Trigger Mode", "Delivery Mode": NMI, SMI, INIT and ExtINT are edges whatever the bit says.
  const auto delivery = static_cast<ApicDelivery>(entry >> 8 & 7);
  return (entry & IoApic::kLevelTriggered) != 0 && delivery <= ApicDelivery::LowestPriority;
}

}  // namespace

IoApic::IoApic(ApicBus& bus) : bus_(bus) {
  entries_.fill(kMasked);
  bus_.attach(*this);
}

void IoApic::reset() {
  index_ = id_ = 0;
  entries_.fill(kMasked);  // The wires' levels stay.
}

bool IoApic::send(unsigned pin) {
  const uint64_t entry = entries_[pin];
  ++delivered_[pin];
  return bus_.deliver({
      .destination = static_cast<uint8_t>(entry >> 56),
      .destination_mode =
          (entry & kLogical) != 0 ? ApicDestinationMode::Logical : ApicDestinationMode::Physical,
      .delivery = static_cast<ApicDelivery>(entry >> 8 & 7),
      .trigger = is_level(entry) ? ApicTrigger::Level : ApicTrigger::Edge,
      .vector = static_cast<uint8_t>(entry),
  });
}

void IoApic::serve_level(unsigned pin) {
  uint64_t& entry = entries_[pin];
  if (!is_level(entry) || !level(pin) || (entry & (kMasked | kRemoteIrr)) != 0) return;
  entry |= kRemoteIrr;  // Before the message: its end may come while it is being delivered.
  if (!send(pin)) entry &= ~kRemoteIrr;
}

void IoApic::set_irq_line(unsigned line, bool level_now) {
  if (line >= kPins) return;
  const bool rising = level_now && !level(line);
  levels_ = level_now ? levels_ | 1u << line : levels_ & ~(1u << line);
  const uint64_t entry = entries_[line];
  if (is_level(entry)) {
    serve_level(line);
  } else if (rising && (entry & kMasked) == 0) {
    send(line);
  }
}

void IoApic::end_of_interrupt(uint8_t vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    if (static_cast<uint8_t>(entries_[pin]) != vector || (entries_[pin] & kRemoteIrr) == 0) continue;
    entries_[pin] &= ~kRemoteIrr;
    serve_level(pin);
  }
}

uint32_t IoApic::read_register() const {
  if (index_ == kId || index_ == kArbitration) return uint32_t{id_} << kIdShift;
  if (index_ == kVersion) return kVersionValue;
  const unsigned pin = (index_ - kTable) / 2u;
  if (index_ < kTable || pin >= kPins) return 0;
  return static_cast<uint32_t>(entries_[pin] >> ((index_ & 1) != 0 ? 32 : 0));
}

void IoApic::write_register(uint32_t value) {
  if (index_ == kId) id_ = value >> kIdShift & kIdBits;
  const unsigned pin = (index_ - kTable) / 2u;
  if (index_ < kTable || pin >= kPins) return;
  uint64_t& entry = entries_[pin];
  if ((index_ & 1) != 0) {
    entry = (entry & 0xffffffff) | (value & kWritableHigh) << 32;
    return;
  }
  entry = (entry & ~uint64_t{kWritableLow}) | (value & kWritableLow);
  if (!is_level(entry)) entry &= ~kRemoteIrr;
  serve_level(pin);
}

uint64_t IoApic::read_memory(uint64_t offset, unsigned size) {
  const uint64_t mask = size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1;
  const uint64_t at = offset & (kWindowSize - 1) & ~uint64_t{15};
  const unsigned within = offset & 15;
  if (within >= 4) return 0;
  const uint32_t value = at == kSelect ? index_ : at == kWindow ? read_register() : 0;
  return (uint64_t{value} >> (8 * within)) & mask;
}

void IoApic::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  offset &= kWindowSize - 1;
  if (offset == kSelect) {
    index_ = static_cast<uint8_t>(value);
  } else if (offset == kWindow && size >= 4) {
    write_register(static_cast<uint32_t>(value));
  }
}

void IoApic::serialize(StateArchive& archive) {
  archive.section("io apic", 1);
  archive.fields(index_, id_, levels_, entries_, delivered_);
  if (!archive.loading()) return;
  id_ &= kIdBits;
  for (uint64_t& entry : entries_) entry &= kWritableHigh << 32 | kWritableLow | kRemoteIrr;
}

}  // namespace vitrine::devices

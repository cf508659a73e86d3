#include "devices/apic_bus.h"

namespace vitrine::devices {

bool ApicBus::deliver(const ApicMessage& message) {
  if (message.delivery == ApicDelivery::LowestPriority) return deliver_to_lowest(message);
  bool taken = false;
  for (ApicAgent* agent : agents_) {
    if (!agent->addressed_by(message.destination, message.destination_mode)) continue;
    if (message.delivery == ApicDelivery::Fixed && !agent->takes_interrupts()) continue;
    agent->accept(message);
    taken = true;
  }
  return taken;
}

bool ApicBus::deliver_to_lowest(const ApicMessage& message) {
  ApicAgent* chosen = nullptr;
  uint32_t chosen_place = 0;
  const auto count = static_cast<uint32_t>(agents_.size());
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t place = (turn_ + i) % count;
    ApicAgent* agent = agents_[place];
    if (!agent->addressed_by(message.destination, message.destination_mode) || !agent->takes_interrupts())
      continue;
    if (chosen != nullptr && agent->processor_priority() >= chosen->processor_priority()) continue;
    chosen = agent;
    chosen_place = place;
  }
  if (chosen == nullptr) return false;
  turn_ = (chosen_place + 1) % count;
  chosen->accept(message);
  return true;
}

void ApicBus::broadcast(const ApicMessage& message, const ApicAgent* except) {
  for (ApicAgent* agent : agents_) {
    if (agent == except || !agent->addressed_by(kBroadcast, ApicDestinationMode::Physical)) continue;
    if (message.delivery <= ApicDelivery::LowestPriority && !agent->takes_interrupts()) continue;
    agent->accept(message);
  }
}

void ApicBus::broadcast_eoi(uint8_t vector) {
  for (EoiListener* listener : listeners_) listener->end_of_interrupt(vector);
}

void ApicBus::serialize(StateArchive& archive) {
  archive.section("apic bus", 1);
  archive.field(turn_);
  if (!agents_.empty()) turn_ %= static_cast<uint32_t>(agents_.size());
}

}  // namespace vitrine::devices

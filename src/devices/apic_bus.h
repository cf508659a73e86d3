// The bus on which local APICs and I/O APICs send each other interrupt messages.
//
// Documentation: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)", "Determining IPI
// Destination"
//   and "Lowest Priority Delivery Mode".
// A message arrives at once. Lowest priority goes to the addressed processor with the lowest processor
// priority; among equals they take turns.
#pragma once

#include <cstdint>
#include <vector>

#include "base/state_archive.h"

namespace vitrine::devices {

enum class ApicDelivery : uint8_t {
  Fixed = 0,
  LowestPriority = 1,
  Smi = 2,
  Reserved = 3,
  Nmi = 4,
  Init = 5,
  Startup = 6,
  ExtInt = 7,
};
enum class ApicTrigger : uint8_t { Edge = 0, Level = 1 };
enum class ApicDestinationMode : uint8_t { Physical = 0, Logical = 1 };

struct ApicMessage {
  uint8_t destination = 0;
  ApicDestinationMode destination_mode = ApicDestinationMode::Physical;
  ApicDelivery delivery = ApicDelivery::Fixed;
  ApicTrigger trigger = ApicTrigger::Edge;
  uint8_t vector = 0;
};

/// A local APIC, as the bus sees it.
class ApicAgent {
 public:
  virtual ~ApicAgent() = default;
  /// Whether the message is for this one; false while it is switched off (IA32_APIC_BASE).
  [[nodiscard]] virtual bool addressed_by(uint8_t destination, ApicDestinationMode mode) const = 0;
  /// Whether it takes fixed interrupts at all (software enable).
  [[nodiscard]] virtual bool takes_interrupts() const = 0;
  [[nodiscard]] virtual uint8_t processor_priority() const = 0;
  virtual void accept(const ApicMessage& message) = 0;
};

/// Hears of each level-triggered interrupt that a processor has ended: an I/O APIC.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  virtual void end_of_interrupt(uint8_t vector) = 0;
};

class ApicBus final : public Serializable {
 public:
  static constexpr uint8_t kBroadcast = 0xff;

  ApicBus() = default;
  ApicBus(const ApicBus&) = delete;
  ApicBus& operator=(const ApicBus&) = delete;

  /// Agents and listeners live as long as the bus is used.
  void attach(ApicAgent& agent) { agents_.push_back(&agent); }
  void attach(EoiListener& listener) { listeners_.push_back(&listener); }

  /// Sends to whom the message is addressed. Whether anybody took it.
  bool deliver(const ApicMessage& message);
  /// Sends to everyone but `except` (null: to everyone), whatever the message's destination says.
  void broadcast(const ApicMessage& message, const ApicAgent* except);
  void broadcast_eoi(uint8_t vector);

  void serialize(StateArchive& archive) override;

 private:
  bool deliver_to_lowest(const ApicMessage& message);

  std::vector<ApicAgent*> agents_;
  std::vector<EoiListener*> listeners_;
  uint32_t turn_ = 0;  // who comes first among equals
};

}  // namespace vitrine::devices

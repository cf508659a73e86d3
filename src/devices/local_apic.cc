#include "devices/local_apic.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace vitrine::devices {
namespace {

// SDM Vol. 3A, "Local APIC Register Address Map".
enum Offset : uint64_t {
  kId = 0x020,
  kVersion = 0x030,
  kTaskPriority = 0x080,
  kArbitrationPriority = 0x090,
  kProcessorPriority = 0x0a0,
  kEoi = 0x0b0,
  kLogicalDestination = 0x0d0,
  kDestinationFormat = 0x0e0,
  kSpurious = 0x0f0,
  kIsr = 0x100,
  kTmr = 0x180,
  kIrr = 0x200,
  kErrorStatus = 0x280,
  kCommandLow = 0x300,
  kCommandHigh = 0x310,
  kEntriesFirst = 0x320,
  kEntriesLast = 0x370,
  kInitialCount = 0x380,
  kCurrentCount = 0x390,
  kDivide = 0x3e0,
};

// IA32_APIC_BASE.
constexpr uint64_t kBootProcessorBit = 0x100;
constexpr uint64_t kEnableBit = 0x800;
constexpr uint64_t kBaseBits = 0xffffff000;

constexpr uint32_t kVersionValue = 0x00050014;  // six LVT entries, an integrated APIC
constexpr uint32_t kSoftwareEnable = 0x100;
constexpr uint32_t kSpuriousBits = 0x3ff;

// Local vector table.
constexpr uint32_t kDeliveryShift = 8;
constexpr uint32_t kRemoteIrr = 0x4000;
constexpr uint32_t kLevelTriggered = 0x8000;
constexpr uint32_t kMasked = 0x10000;
constexpr uint32_t kTimerModeShift = 17;
constexpr uint32_t kTimerPeriodic = 0x20000;
constexpr uint32_t kTimerTscDeadline = 0x40000;
// Bits that can be written, in the order of the entries.
constexpr std::array<uint32_t, 6> kEntryBits = {0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

// Interrupt command register.
constexpr uint32_t kCommandBits = 0xccfff & ~0x1000u;
constexpr uint32_t kCommandAssert = 0x4000;

// Error status register.
constexpr uint32_t kSendIllegalVector = 0x20;
constexpr uint32_t kReceiveIllegalVector = 0x40;
constexpr uint32_t kIllegalRegister = 0x80;

constexpr unsigned kFirstLegalVector = 16;

template <typename Vectors>
std::optional<uint8_t> highest(const Vectors& vectors) {
  for (unsigned i = 8; i-- > 0;) {
    if (vectors[i] != 0) return static_cast<uint8_t>(i * 32 + 31 - std::countl_zero(vectors[i]));
  }
  return std::nullopt;
}
template <typename Vectors>
bool test(const Vectors& vectors, uint8_t vector) {
  return (vectors[vector / 32] >> (vector % 32) & 1) != 0;
}
template <typename Vectors>
void set(Vectors& vectors, uint8_t vector) {
  vectors[vector / 32] |= 1u << (vector % 32);
}
template <typename Vectors>
void clear(Vectors& vectors, uint8_t vector) {
  vectors[vector / 32] &= ~(1u << (vector % 32));
}

constexpr ApicDelivery delivery_of(uint32_t entry) {
  return static_cast<ApicDelivery>(entry >> kDeliveryShift & 7);
}

}  // namespace

LocalApic::LocalApic(Wiring wiring, uint8_t id, Role role)
    : bus_(wiring.bus),
      processor_(wiring.processor),
      pic_(wiring.pic),
      base_changed_(std::move(wiring.base_changed)),
      initial_id_(id),
      role_(role),
      timer_(
          wiring.clock, [this] { fire_entry(kTimer); }, std::move(wiring.time_of_tsc)) {
  base_msr_ = kDefaultBase | kEnableBit | (role == Role::BootProcessor ? kBootProcessorBit : 0);
  id_ = id;
  reset_state();
  bus_.attach(*this);
}

void LocalApic::reset() {
  const uint64_t old = base_msr_;
  base_msr_ = kDefaultBase | kEnableBit | (role_ == Role::BootProcessor ? kBootProcessorBit : 0);
  id_ = initial_id_;
  reset_state();
  if (base_msr_ != old && base_changed_) base_changed_();
}

void LocalApic::reset_state() {
  // SDM Vol. 3A, "Local APIC State After Power-Up or Reset". The ID and the wires' levels stay.
  timer_.reset();
  task_priority_ = logical_id_ = 0;
  destination_format_ = 0xf;
  spurious_ = 0xff;
  error_status_ = new_errors_ = command_low_ = command_high_ = 0;
  isr_ = tmr_ = irr_ = {};
  entries_.fill(kMasked);
  external_message_ = false;
  update_intr();
}

void LocalApic::enter_virtual_wire_mode() {
  write_spurious(spurious_ | kSoftwareEnable);
  write_entry(kLint0Entry, static_cast<uint32_t>(ApicDelivery::ExtInt) << kDeliveryShift);
  write_entry(kLint1Entry, static_cast<uint32_t>(ApicDelivery::Nmi) << kDeliveryShift);
  update_intr();
}

bool LocalApic::enabled() const {
  return (base_msr_ & kEnableBit) != 0;
}
bool LocalApic::software_enabled() const {
  return (spurious_ & kSoftwareEnable) != 0;
}

void LocalApic::set_base_msr(uint64_t value) {
  const uint64_t old = base_msr_;
  base_msr_ = (value & (kBaseBits | kEnableBit)) | (old & kBootProcessorBit);
  // "Enabling or Disabling the Local APIC": to enable it again is as a power-up reset, which gives it its ID
  // back.
  if (((base_msr_ ^ old) & kEnableBit) != 0) {
    id_ = initial_id_;
    reset_state();
  }
  if (base_msr_ != old && base_changed_) base_changed_();
  update_intr();
}

uint8_t LocalApic::processor_priority() const {
  // "Task and Processor Priorities".
  const uint8_t in_service = highest(isr_).value_or(0) & 0xf0;
  return (task_priority_ & 0xf0) >= in_service ? task_priority_ : in_service;
}

std::optional<uint8_t> LocalApic::deliverable() const {
  if (!takes_interrupts()) return std::nullopt;
  const auto vector = highest(irr_);
  if (!vector || (*vector & 0xf0) <= (processor_priority() & 0xf0)) return std::nullopt;
  return vector;
}

bool LocalApic::external_pending() const {
  if (!enabled()) return lint_levels_[kLint0];
  if (external_message_) return true;
  for (unsigned line : {kLint0, kLint1}) {
    const uint32_t entry = entries_[kLint0Entry + line];
    if ((entry & kMasked) == 0 && delivery_of(entry) == ApicDelivery::ExtInt && lint_levels_[line])
      return true;
  }
  return false;
}

bool LocalApic::pending() const {
  return external_pending() || deliverable().has_value();
}

void LocalApic::update_intr() {
  const bool level = pending();
  if (level == intr_) return;
  intr_ = level;
  processor_.set_intr(level);
}

int LocalApic::acknowledge() {
  int vector = static_cast<int>(spurious_ & 0xff);
  if (const auto fixed = deliverable()) {
    clear(irr_, *fixed);
    set(isr_, *fixed);
    ++delivered_;
    vector = *fixed;
  } else if ((external_pending() || !enabled()) && pic_ != nullptr) {
    external_message_ = false;
    ++delivered_external_;
    vector = pic_->acknowledge();
  } else {
    external_message_ = false;
  }
  update_intr();
  return vector;
}

void LocalApic::request(uint8_t vector, ApicTrigger trigger) {
  if (vector < kFirstLegalVector) return raise_error(kReceiveIllegalVector);
  set(irr_, vector);
  if (trigger == ApicTrigger::Level) {
    set(tmr_, vector);
  } else {
    clear(tmr_, vector);
  }
  update_intr();
}

void LocalApic::accept(const ApicMessage& message) {
  if (!enabled()) return;
  switch (message.delivery) {
    case ApicDelivery::Fixed:
    case ApicDelivery::LowestPriority:
      if (software_enabled()) request(message.vector, message.trigger);
      break;
    case ApicDelivery::Smi: processor_.raise_smi(); break;
    case ApicDelivery::Nmi: processor_.raise_nmi(); break;
    case ApicDelivery::Init:
      // "Local APIC State After It Receives an INIT-Deassert IPI" aside, INIT resets all but the ID.
      reset_state();
      processor_.init();
      break;
    case ApicDelivery::Startup: processor_.startup(message.vector); break;
    case ApicDelivery::ExtInt:
      external_message_ = true;
      update_intr();
      break;
    case ApicDelivery::Reserved: break;
  }
}

bool LocalApic::addressed_by(uint8_t destination, ApicDestinationMode mode) const {
  if (!enabled()) return false;
  if (destination == ApicBus::kBroadcast) return true;
  if (mode == ApicDestinationMode::Physical) return destination == id_;
  // "Logical Destination Mode": flat when the model is all ones, else cluster.
  if (destination_format_ == 0xf) return (destination & logical_id_) != 0;
  return (destination & 0xf0) == (logical_id_ & 0xf0) && (destination & logical_id_ & 0x0f) != 0;
}

void LocalApic::end_of_interrupt() {
  const auto vector = highest(isr_);
  if (!vector) return;
  clear(isr_, *vector);
  if (test(tmr_, *vector)) {
    for (unsigned line : {kLint0, kLint1}) {
      uint32_t& entry = entries_[kLint0Entry + line];
      if ((entry & 0xff) != *vector || (entry & kRemoteIrr) == 0) continue;
      entry &= ~kRemoteIrr;
      sample_lint(line, false);
    }
    bus_.broadcast_eoi(*vector);
  }
  update_intr();
}

void LocalApic::send_command() {
  const ApicMessage message = {
      .destination = static_cast<uint8_t>(command_high_ >> 24),
      .destination_mode = static_cast<ApicDestinationMode>(command_low_ >> 11 & 1),
      .delivery = delivery_of(command_low_),
      .trigger = ApicTrigger::Edge,  // "The trigger mode is used only with INIT level de-assert."
      .vector = static_cast<uint8_t>(command_low_),
  };
  const bool fixed = message.delivery <= ApicDelivery::LowestPriority;
  if (message.delivery == ApicDelivery::Reserved || message.delivery == ApicDelivery::ExtInt) return;
  if (fixed && message.vector < kFirstLegalVector) return raise_error(kSendIllegalVector);
  // INIT level de-assert only synchronised arbitration IDs, on processors that had them.
  const bool deassert = (command_low_ & kLevelTriggered) != 0 && (command_low_ & kCommandAssert) == 0;
  if (message.delivery == ApicDelivery::Init && deassert) return;
  switch (command_low_ >> 18 & 3) {
    case 0: bus_.deliver(message); break;
    case 1:
      if (message.delivery == ApicDelivery::Fixed) accept(message);
      break;
    case 2: bus_.broadcast(message, nullptr); break;
    default: bus_.broadcast(message, this); break;
  }
}

void LocalApic::raise_error(uint32_t error) {
  // One interrupt for each kind until the guest has looked; so an illegal vector in the error entry cannot
  // recur.
  if ((new_errors_ & error) != 0) return;
  new_errors_ |= error;
  fire_entry(kError);
}

void LocalApic::fire_entry(unsigned entry) {
  if ((entries_[entry] & kMasked) != 0) return;
  request(static_cast<uint8_t>(entries_[entry]), ApicTrigger::Edge);
}

void LocalApic::set_irq_line(unsigned line, bool level) {
  if (line > kLint1) return;
  const bool rising = level && !lint_levels_[line];
  lint_levels_[line] = level;
  if (enabled()) {
    sample_lint(line, rising);
  } else if (line == kLint1 && rising) {
    processor_.raise_nmi();
  }
  update_intr();
}

void LocalApic::sample_lint(unsigned line, bool rising) {
  uint32_t& entry = entries_[kLint0Entry + line];
  if ((entry & kMasked) != 0) return;
  switch (delivery_of(entry)) {
    case ApicDelivery::Fixed:
      if ((entry & kLevelTriggered) == 0) {
        if (rising) request(static_cast<uint8_t>(entry), ApicTrigger::Edge);
      } else if (lint_levels_[line] && (entry & kRemoteIrr) == 0) {
        entry |= kRemoteIrr;
        request(static_cast<uint8_t>(entry), ApicTrigger::Level);
      }
      break;
    case ApicDelivery::Nmi:
      if (rising) processor_.raise_nmi();
      break;
    case ApicDelivery::Smi:
      if (rising) processor_.raise_smi();
      break;
    case ApicDelivery::Init:
      if (rising) accept({.delivery = ApicDelivery::Init});
      break;
    default: break;  // ExtINT is a level: see external_pending().
  }
}

void LocalApic::configure_timer() {
  const uint32_t entry = entries_[kTimer];
  const auto mode = static_cast<LocalApicTimer::Mode>(entry >> kTimerModeShift & 3);
  timer_.configure(
      mode, (entry & kMasked) != 0 ? LocalApicTimer::Interrupts::Masked : LocalApicTimer::Interrupts::Open);
}

uint32_t LocalApic::writable_bits(unsigned entry) const {
  return kEntryBits[entry] | (entry == kTimer && timer_.has_tsc_deadline() ? kTimerTscDeadline : 0);
}

void LocalApic::write_entry(unsigned entry, uint32_t value) {
  value &= writable_bits(entry);
  // Periodic together with TSC-deadline is reserved: the deadline wins.
  if (entry == kTimer && (value & kTimerTscDeadline) != 0) value &= ~kTimerPeriodic;
  // "Local APIC State After It Has Been Software Disabled": the masks cannot be cleared.
  if (!software_enabled()) value |= kMasked;
  // Remote IRR is of level-triggered fixed interrupts only.
  const bool level = (value & kLevelTriggered) != 0 && delivery_of(value) == ApicDelivery::Fixed;
  entries_[entry] = value | (level ? entries_[entry] & kRemoteIrr : 0);
  if (entry == kTimer) configure_timer();
  if (entry == kLint0Entry || entry == kLint1Entry) sample_lint(entry - kLint0Entry, false);
}

void LocalApic::write_spurious(uint32_t value) {
  spurious_ = value & kSpuriousBits;
  if (software_enabled()) return;
  for (uint32_t& entry : entries_) entry |= kMasked;
  configure_timer();
}

std::optional<uint32_t> LocalApic::peek(uint64_t offset) const {
  if (offset >= kIsr && offset < kErrorStatus) {
    const Vectors& vectors = offset < kTmr ? isr_ : offset < kIrr ? tmr_ : irr_;
    return vectors[offset >> 4 & 7];
  }
  if (offset >= kEntriesFirst && offset <= kEntriesLast) return entries_[(offset - kEntriesFirst) >> 4];
  switch (offset) {
    case kId: return uint32_t{id_} << 24;
    case kVersion: return kVersionValue;
    case kTaskPriority: return task_priority_;
    case kArbitrationPriority: {
      const uint8_t requested = highest(irr_).value_or(0) & 0xf0,
                    in_service = highest(isr_).value_or(0) & 0xf0;
      const uint8_t task_class = task_priority_ & 0xf0;
      if (task_class >= requested && task_class > in_service) return task_priority_;
      return std::max({task_class, requested, in_service});
    }
    case kProcessorPriority: return processor_priority();
    case kEoi: return 0;
    case kLogicalDestination: return uint32_t{logical_id_} << 24;
    case kDestinationFormat: return uint32_t{destination_format_} << 28 | 0x0fffffff;
    case kSpurious: return spurious_;
    case kErrorStatus: return error_status_;
    case kCommandLow: return command_low_;
    case kCommandHigh: return command_high_;
    case kInitialCount: return timer_.initial_count();
    case kCurrentCount: return timer_.current_count();
    case kDivide: return timer_.divide();
    default: return std::nullopt;
  }
}

uint64_t LocalApic::read_memory(uint64_t offset, unsigned size) {
  offset &= kWindowSize - 1;
  const unsigned within = offset & 15;
  const auto value = peek(offset & ~uint64_t{15});
  if (!value) {
    raise_error(kIllegalRegister);
    return 0;
  }
  if (within >= 4) return 0;
  const uint64_t mask = size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1;
  return (uint64_t{*value} >> (8 * within)) & mask;
}

bool LocalApic::is_steady(uint64_t offset, unsigned size) const {
  const uint64_t where = offset & (kWindowSize - 1);
  return size == 4 && (where == kId || where == kVersion);
}

void LocalApic::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  offset &= kWindowSize - 1;
  if (size < 4 || (offset & 15) != 0) return;
  write_register(offset, static_cast<uint32_t>(value));
  update_intr();
}

void LocalApic::write_register(uint64_t offset, uint32_t value) {
  if (offset >= kEntriesFirst && offset <= kEntriesLast) {
    return write_entry(static_cast<unsigned>((offset - kEntriesFirst) >> 4), value);
  }
  switch (offset) {
    case kId: id_ = static_cast<uint8_t>(value >> 24); break;
    case kTaskPriority: task_priority_ = static_cast<uint8_t>(value); break;
    case kEoi: end_of_interrupt(); break;
    case kLogicalDestination: logical_id_ = static_cast<uint8_t>(value >> 24); break;
    case kDestinationFormat: destination_format_ = static_cast<uint8_t>(value >> 28); break;
    case kSpurious: write_spurious(value); break;
    case kErrorStatus: error_status_ = std::exchange(new_errors_, 0); break;
    case kCommandLow:
      command_low_ = value & kCommandBits;
      send_command();
      break;
    case kCommandHigh: command_high_ = value & 0xff000000; break;
    case kInitialCount: timer_.set_initial_count(value); break;
    case kDivide: timer_.set_divide(value); break;
    default:
      if (!peek(offset)) raise_error(kIllegalRegister);
      break;  // The others are for reading.
  }
}

void LocalApic::serialize(StateArchive& archive) {
  archive.section("local apic", 1);
  timer_.serialize(archive);
  archive.fields(base_msr_, id_, task_priority_, logical_id_, destination_format_, spurious_, error_status_,
                 new_errors_);
  archive.fields(command_low_, command_high_, isr_, tmr_, irr_, entries_, lint_levels_, external_message_);
  archive.fields(delivered_, delivered_external_);
  if (!archive.loading()) return;
  base_msr_ &= kBaseBits | kEnableBit | kBootProcessorBit;
  destination_format_ &= 0xf;
  for (unsigned i = 0; i < kEntries; ++i) entries_[i] &= writable_bits(i) | kRemoteIrr;
  intr_ = pending();
  processor_.set_intr(intr_);
  if (base_changed_) base_changed_();
}

}  // namespace vitrine::devices

#include "lockstep/recorder.h"

#include <algorithm>

namespace vitrine::lockstep {

// A call into the machine: what happens inside is none of the processor's doing.
class Recorder::Depth {
 public:
  explicit Depth(Recorder& recorder) : recorder_(recorder), top_(recorder.by_processor()) {
    ++recorder_.depth_;
  }
  ~Depth() { --recorder_.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

  /// After the call.
  void record(Access access) const {
    if (!top_) return;
    access.intr_after = recorder_.vcpu_->interrupt_requested();
    recorder_.log_.record(access);
  }

 private:
  Recorder& recorder_;
  bool top_;
};

Recorder::Recorder(const Outside& outside) : outside_(outside) {
  ports_.map(0, 65536, *this, memory::PortWidth::Dword);
  outside_.memory.set_device_gate(this);
  outside_.memory.set_write_observer(this);
  outside_.memory.add_listener(*this);
}

Recorder::~Recorder() {
  outside_.memory.set_device_gate(nullptr);
  outside_.memory.set_write_observer(nullptr);
  outside_.memory.remove_listener(*this);
}

void Recorder::signalled() {
  if (recording_) vcpu_->kick();
}

void Recorder::physical_map_changed() {
  map_changed_ = true;
  signalled();
}

void Recorder::write_noted(memory::RamBlock& block, uint64_t page) {
  const PageOf written{&block, page};
  std::vector<PageOf>& pages = by_processor() ? processor_pages_ : device_pages_;
  if (std::ranges::find(pages, written) != pages.end()) return;
  pages.push_back(written);
  if (!by_processor()) signalled();
}

uint32_t Recorder::read_port(uint16_t port, unsigned size) {
  const Depth depth(*this);
  const uint32_t value = outside_.ports.read(port, size);
  depth.record({.kind = AccessKind::PortRead, .address = port, .size = size, .answer = value});
  return value;
}

void Recorder::write_port(uint16_t port, unsigned size, uint32_t value) {
  const Depth depth(*this);
  outside_.ports.write(port, size, value);
  depth.record({.kind = AccessKind::PortWrite, .address = port, .size = size, .written = value});
}

uint64_t Recorder::read_device(memory::MemoryDevice& device, uint64_t offset, PhysicalAddress address,
                               unsigned size) {
  const Depth depth(*this);
  const uint64_t value = device.read_memory(offset, size);
  depth.record({.kind = AccessKind::MemoryRead, .address = address.value, .size = size, .answer = value});
  return value;
}

void Recorder::write_device(memory::MemoryDevice& device, uint64_t offset, PhysicalAddress address,
                            unsigned size, uint64_t value) {
  const Depth depth(*this);
  device.write_memory(offset, size, value);
  depth.record({.kind = AccessKind::MemoryWrite, .address = address.value, .size = size, .written = value});
}

std::optional<uint8_t> Recorder::acknowledge_interrupt(unsigned vcpu) {
  const Depth depth(*this);
  const auto vector = outside_.bus.acknowledge_interrupt(vcpu);
  depth.record({.kind = AccessKind::Acknowledge, .answer = vector ? *vector : kNoVector});
  if (vector) acknowledged_at_ = vcpu_->executed();
  return vector;
}

uint64_t Recorder::time_stamp(unsigned vcpu) {
  const Depth depth(*this);
  const uint64_t value = outside_.bus.time_stamp(vcpu);
  depth.record({.kind = AccessKind::TimeStamp, .answer = value});
  return value;
}

bool Recorder::set_apic_base(unsigned vcpu, uint64_t value) {
  const Depth depth(*this);
  const bool accepted = outside_.bus.set_apic_base(vcpu, value);
  depth.record({.kind = AccessKind::SetApicBase, .written = value, .answer = accepted ? 1u : 0u});
  return accepted;
}

void Recorder::set_tsc_deadline(unsigned vcpu, uint64_t value) {
  const Depth depth(*this);
  outside_.bus.set_tsc_deadline(vcpu, value);
  depth.record({.kind = AccessKind::SetTscDeadline, .written = value});
}

uint64_t Recorder::tsc_deadline(unsigned vcpu) {
  const Depth depth(*this);
  const uint64_t value = outside_.bus.tsc_deadline(vcpu);
  depth.record({.kind = AccessKind::TscDeadline, .answer = value});
  return value;
}

void Recorder::set_ferr(unsigned vcpu, bool level) {
  const Depth depth(*this);
  outside_.bus.set_ferr(vcpu, level);
  depth.record({.kind = AccessKind::Ferr, .written = level ? 1u : 0u});
}

bool Recorder::write_console(std::span<const uint8_t> text) {
  const Depth depth(*this);
  const bool written = outside_.bus.write_console(text);
  for (const Access& piece : pieces_of_text(text)) {
    Access made = piece;
    made.answer = written ? 1 : 0;
    depth.record(made);
  }
  return written;
}

}  // namespace vitrine::lockstep

#include "lockstep/follower.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "lockstep/block_contents.h"

namespace vitrine::lockstep {

// Between the processor and its engine: runs the engine once, or not at all, and then ends the processor's
// run.
class Follower::Pilot final : public cpu::NativeEngine {
 public:
  Pilot(translate::Engine& engine, std::vector<Forgot>& forgot) : engine_(engine), forgot_(forgot) {}

  void fly(bool natively) {
    natively_ = natively;
    last_ = Outcome::Advanced;
  }
  [[nodiscard]] Outcome last() const { return last_; }

  Outcome run(cpu::Core& core) override {
    if (!natively_) return Outcome::Unsuitable;
    last_ = engine_.run(core);
    core.attention.fetch_or(cpu::kAttentionKick);
    return Outcome::Advanced;
  }
  void invalidated(cpu::Invalidation what, uint32_t linear) override {
    engine_.invalidated(what, linear);
    if (!natively_) forgot_.push_back({what, linear});
  }
  void return_fpu(cpu::Core& core) override { engine_.return_fpu(core); }
  void interpreted(cpu::Operation operation) override { engine_.interpreted(operation); }
  void stop_others() override {}
  void kick() override {}

 private:
  translate::Engine& engine_;
  std::vector<Forgot>& forgot_;
  bool natively_ = false;
  Outcome last_ = Outcome::Advanced;
};

Follower::Follower(AccessLog& log) : log_(log) {
  ports_.map(0, 65536, *this, memory::PortWidth::Dword);
  memory_.set_write_observer(this);
}

Follower::~Follower() {
  if (vcpu_) vcpu_->set_native_engine(nullptr);
}

Result<std::unique_ptr<Follower>> Follower::create(const cpu::CpuModel& model, AccessLog& log,
                                                   const translate::EngineOptions& options) {
  std::unique_ptr<Follower> follower(new Follower(log));
  Follower& f = *follower;
  f.vcpu_ = std::make_unique<cpu::Vcpu>(cpu::CoreEnvironment{f.memory_, f.ports_, f, model, 0});
  f.vcpu_->prepare();
  f.engine_ = TRY(translate::Engine::create(f.memory_, model, options));
  f.pilot_ = std::make_unique<Pilot>(*f.engine_, f.forgot_);
  f.vcpu_->set_native_engine(f.pilot_.get());
  return follower;
}

Result<memory::RamBlock*> Follower::twin_of(memory::RamBlock* block,
                                            const std::function<void(memory::RamBlock&)>& added) {
  if (block == nullptr) return nullptr;
  auto& twin = blocks_[block];
  if (twin == nullptr) {
    twin = TRY(memory::RamBlock::create("lockstep-" + block->name(), block->size()));
    for_each_used_page(*block, *twin, [&](uint64_t page) {
      std::memcpy(twin->data() + (page << kPageShift), block->data() + (page << kPageShift), kPageSize);
    });
    added(*block);
  }
  return twin.get();
}

Result<void> Follower::expect(memory::RamBlock& block, const std::function<void(memory::RamBlock&)>& added) {
  (void)TRY(twin_of(&block, added));
  return {};
}

Result<void> Follower::mirror(const memory::PhysicalMap& leader,
                              const std::function<void(memory::RamBlock&)>& added) {
  std::vector<memory::Placement> placements;
  for (const memory::Region& region : leader.regions()) {
    if (region.read_block == nullptr && region.write_block == nullptr && region.device == nullptr) continue;
    memory::Placement placement;
    placement.start = region.start;
    placement.size = region.last.value - region.start.value + 1;
    placement.read_block = TRY(twin_of(region.read_block, added));
    placement.read_offset = region.read_offset;
    placement.write_block = TRY(twin_of(region.write_block, added));
    placement.write_offset = region.write_offset;
    placement.device = region.device != nullptr ? static_cast<memory::MemoryDevice*>(this) : nullptr;
    placement.offset = region.start.value;  // so that offsets are physical addresses
    placements.push_back(placement);
  }
  memory_.assign(placements);
  memory_.set_a20(leader.a20());
  return {};
}

memory::RamBlock* Follower::twin(const memory::RamBlock& block) const {
  const auto found = blocks_.find(const_cast<memory::RamBlock*>(&block));
  return found == blocks_.end() ? nullptr : found->second.get();
}

void Follower::copy_page(const PageOf& page) {
  memory::RamBlock* const own = twin(*page.block);
  if (own == nullptr) return;
  const uint64_t offset = page.page << kPageShift;
  if (std::memcmp(own->data() + offset, page.block->data() + offset, kPageSize) == 0) return;
  memory_.note_write(*own, page.page);
  std::memcpy(own->data() + offset, page.block->data() + offset, kPageSize);
}

void Follower::copy_all() {
  for (const auto& [block, own] : blocks_)
    for_each_used_page(*block, *own, [&](uint64_t page) { copy_page({block, page}); });
}

Follower::Run Follower::run_natively(uint64_t limit) {
  const uint64_t before = vcpu_->executed();
  pilot_->fly(true);
  static_cast<void>(vcpu_->run(limit));
  const auto last = pilot_->last();
  return {.executed = vcpu_->executed() - before,
          .declined = last == cpu::NativeEngine::Outcome::OneInstruction,
          .unsuitable = last == cpu::NativeEngine::Outcome::Unsuitable,
          .wanted = engine_->repetition_refused()};
}

uint64_t Follower::interpret(uint64_t instructions) {
  const uint64_t before = vcpu_->executed();
  pilot_->fly(false);
  static_cast<void>(vcpu_->run(instructions));
  return vcpu_->executed() - before;
}

void Follower::write_noted(memory::RamBlock& block, uint64_t page) {
  const PageOf written{&block, page};
  if (std::ranges::find(written_pages_, written) == written_pages_.end()) written_pages_.push_back(written);
}

// ---- Answers from the log.

Access Follower::replay(const Access& access) {
  const Access found = log_.replay(access);
  if (vcpu_ == nullptr) return found;  // It is being made.
  if (found.intr_after != vcpu_->interrupt_requested()) vcpu_->set_interrupt_request(found.intr_after);
  return found;
}

std::optional<uint8_t> Follower::acknowledge_interrupt(unsigned /*vcpu*/) {
  const Access found = replay({.kind = AccessKind::Acknowledge});
  if (found.answer == kNoVector) return std::nullopt;
  return static_cast<uint8_t>(found.answer);
}

uint64_t Follower::time_stamp(unsigned /*vcpu*/) {
  return replay({.kind = AccessKind::TimeStamp}).answer;
}

bool Follower::set_apic_base(unsigned /*vcpu*/, uint64_t value) {
  return replay({.kind = AccessKind::SetApicBase, .written = value}).answer != 0;
}

void Follower::set_tsc_deadline(unsigned /*vcpu*/, uint64_t value) {
  static_cast<void>(replay({.kind = AccessKind::SetTscDeadline, .written = value}));
}

uint64_t Follower::tsc_deadline(unsigned /*vcpu*/) {
  return replay({.kind = AccessKind::TscDeadline}).answer;
}

void Follower::set_ferr(unsigned /*vcpu*/, bool level) {
  static_cast<void>(replay({.kind = AccessKind::Ferr, .written = level ? 1u : 0u}));
}

uint32_t Follower::read_port(uint16_t port, unsigned size) {
  const Access found = replay({.kind = AccessKind::PortRead, .address = port, .size = size});
  return static_cast<uint32_t>(found.answer);
}

void Follower::write_port(uint16_t port, unsigned size, uint32_t value) {
  static_cast<void>(replay({.kind = AccessKind::PortWrite, .address = port, .size = size, .written = value}));
}

bool Follower::write_console(std::span<const uint8_t> text) {
  bool written = false;
  for (const Access& piece : pieces_of_text(text)) written = replay(piece).answer != 0;
  return written;
}

uint64_t Follower::read_memory(uint64_t offset, unsigned size) {
  return replay({.kind = AccessKind::MemoryRead, .address = offset, .size = size}).answer;
}

void Follower::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  static_cast<void>(
      replay({.kind = AccessKind::MemoryWrite, .address = offset, .size = size, .written = value}));
}

}  // namespace vitrine::lockstep

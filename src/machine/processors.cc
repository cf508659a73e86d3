#include "machine/processors.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "devices/map_priorities.h"

namespace vitrine::machine {

void Processors::Unit::set_intr(bool level) {
  vcpu->set_interrupt_request(level);
  if (processors.lockstep_) processors.lockstep_->interrupt_changed();
  const bool before = std::exchange(intr, level);
  if (!level) return;
  // One that runs has been told before, or has taken it into account when it began to run.
  if (!before || idle) signalled();
}

void Processors::Unit::raise_nmi() {
  vcpu->raise_nmi();
  if (processors.lockstep_) processors.lockstep_->interrupt_changed();
  signalled();
}

void Processors::Unit::init() {
  vcpu->init();
  if (processors.lockstep_) processors.lockstep_->initialised();
  signalled();
}

void Processors::Unit::startup(uint8_t vector) {
  vcpu->startup(vector);
  if (processors.lockstep_) processors.lockstep_->started(vector);
  signalled();
}

void Processors::Unit::signalled() {
  idle = false;
  if (!processors.parallel()) return;
  engine->kick();
  wake();
}

void Processors::Unit::wake() {
  wakes.fetch_add(1);
  wakes.notify_all();
}

void Processors::Unit::acquire() {
  const inspect::ActivityScope scope(vcpu->activity(), inspect::Activity::Waiting);
  processors.lock_->lock();
  processors.current_ = index;
}

void Processors::Unit::release() {
  processors.lock_->unlock();
}

void Processors::Unit::stop_others() {
  for (const auto& other : processors.units_) {
    if (other.get() != this) other->engine->halt();
  }
}

Result<std::unique_ptr<Processors>> Processors::create(Environment environment, EngineKind engine,
                                                       ClockKind clock) {
  std::unique_ptr<Processors> processors(new Processors(std::move(environment)));
  Processors& p = *processors;
  if (in_lockstep(engine)) {
    const auto privileged = engine == EngineKind::LockstepTrap ? translate::PrivilegedPolicy::Trap
                                                               : translate::PrivilegedPolicy::CallOut;
    p.lockstep_ =
        TRY(lockstep::Lockstep::create({p.env_.memory, p.env_.ports, p, p.env_.model,
                                        p.env_.report_difference, privileged, p.env_.shadow, p.env_.host}));
  }
  p.build();
  TRY(p.use_engine(engine, clock));
  return processors;
}

void Processors::build() {
  const bool has_apic = env_.model.has(cpu::Feature::Apic);
  for (unsigned i = 0; i < env_.count; ++i) {
    auto unit = std::make_unique<Unit>(*this, i);
    unit->vcpu = std::make_unique<cpu::Vcpu>(
        lockstep_ ? lockstep_->leader_environment()
                  : cpu::CoreEnvironment{env_.memory, env_.ports, *this, env_.model, i, env_.count > 1});
    unit->vcpu->prepare();
    if (lockstep_) lockstep_->lead(*unit->vcpu);
    units_.push_back(std::move(unit));
  }
  if (!has_apic) return;
  for (unsigned i = 0; i < env_.count; ++i) {
    devices::LocalApic::Wiring wiring{.clock = env_.clock, .bus = env_.apic_bus, .processor = *units_[i]};
    if (i == 0) wiring.pic = this;
    wiring.base_changed = [this] { place_apic_window(); };
    if (env_.model.has(cpu::Feature::TscDeadline)) {
      wiring.time_of_tsc = [this, i](uint64_t value) { return time_of_time_stamp(i, value); };
    }
    units_[i]->apic = std::make_unique<devices::LocalApic>(
        std::move(wiring), static_cast<uint8_t>(i),
        i == 0 ? devices::LocalApic::Role::BootProcessor : devices::LocalApic::Role::ApplicationProcessor);
  }
}

Result<void> Processors::use_engine(EngineKind kind, ClockKind clock) {
  if (kind == EngineKind::Interpret || in_lockstep(kind)) return {};
  const bool alone = units_.size() == 1;
  counting_ = clock == ClockKind::Virtual;
  if (!alone && !counting_) lock_ = std::make_unique<FairLock>();
  translate::EngineOptions options{
      .privileged =
          kind == EngineKind::Trap ? translate::PrivilegedPolicy::Trap : translate::PrivilegedPolicy::CallOut,
      .pause_ends_turn = !alone && !parallel(),
      .counting = counting_ ? translate::InstructionCounting::Exact : translate::InstructionCounting::None};
  options.shadow.policy = env_.shadow.policy;
  options.shadow.views = env_.shadow.views;
  options.fills = env_.shadow.fills;
  const translate::HostSupport host = env_.host ? *env_.host : translate::probe_host();
  TRY(translate::host_can_translate(host, count()));
  options.host = host;
  // The host counts the mappings of the whole process.
  if (!alone) options.shadow.mapping_budget = paging::MappingBudget::share_of(host.mappings) / units_.size();
  for (auto& unit : units_) {
    if (parallel()) options.lock = unit.get();
    unit->engine = TRY(translate::Engine::create(env_.memory, env_.model, options));
    unit->vcpu->set_native_engine(unit->engine.get());
  }
  return {};
}

Processors::~Processors() {
  for (auto& unit : units_) unit->vcpu->set_native_engine(nullptr);
  if (apic_window_) env_.memory.remove(*apic_window_);
}

void Processors::set_ignne(unsigned vcpu) {
  units_[vcpu]->vcpu->set_ignne();
  if (lockstep_) lockstep_->ignne_set();
}

void Processors::reset() {
  if (lockstep_) lockstep_->resynchronise();
  for (auto& unit : units_) {
    unit->vcpu->reset();
    unit->intr = false;
    if (unit->apic) {
      unit->apic->reset();
      unit->vcpu->state().apic_base = unit->apic->base_msr();
      unit->vcpu->state_changed();
    }
    unit->idle = false;
  }
  current_ = 0;
  place_apic_window();
}

void Processors::enter_virtual_wire_mode() {
  if (units_[0]->apic) units_[0]->apic->enter_virtual_wire_mode();
}

void Processors::place_apic_window() {
  const devices::LocalApic* apic = units_[0]->apic.get();
  const bool wanted = apic != nullptr && apic->enabled();
  if (!wanted) {
    if (apic_window_) env_.memory.remove(*std::exchange(apic_window_, std::nullopt));
    return;
  }
  const auto placement = memory::Placement::mmio(apic->base(), devices::LocalApic::kWindowSize, *this, 0,
                                                 devices::kPriorityApic);
  if (apic_window_) {
    env_.memory.replace(*apic_window_, placement);
  } else {
    apic_window_ = env_.memory.add(placement);
  }
}

std::optional<Processors::Slice> Processors::run_slice(uint64_t budget) {
  for (unsigned tried = 0; tried < units_.size(); ++tried) {
    current_ = (current_ + 1) % units_.size();
    Unit& unit = *units_[current_];
    if (unit.idle || unit.held) continue;
    return Slice{current_, run_one(current_, turn_length(budget))};
  }
  return std::nullopt;
}

// Turns of one length could end at the same place of a spinning loop for ever, a lock just taken, so that
// nobody else ever finds it free. The lengths only look random: they are the same on every run.
uint64_t Processors::turn_length(uint64_t budget) {
  if (units_.size() == 1) return budget;
  turn_seed_ = turn_seed_ * 1664525 + 1013904223;
  const uint64_t limit = std::min(budget, kTurnLimit);
  return std::max<uint64_t>(1, limit / 2 + (turn_seed_ >> 8) % (limit / 2 + 1));
}

cpu::Exit Processors::run_in_parallel(unsigned vcpu) {
  current_ = vcpu;
  Unit& unit = *units_[vcpu];
  const cpu::Exit exit = unit.vcpu->run(kTurnLimit);
  unit.idle = exit.reason == cpu::ExitReason::Halted;
  return exit;
}

void Processors::wake(unsigned vcpu) {
  units_[vcpu]->idle = false;
  units_[vcpu]->wake();
}

void Processors::wake_all() {
  for (auto& unit : units_) unit->wake();
}

void Processors::kick_all() {
  for (auto& unit : units_) unit->vcpu->kick();
}

cpu::Exit Processors::run_one(unsigned vcpu, uint64_t budget) {
  current_ = vcpu;
  Unit& unit = *units_[vcpu];
  if (parallel()) {
    unit.engine->suspend(true);
    const cpu::Exit exit = unit.vcpu->run(budget);
    unit.engine->suspend(false);
    unit.idle = exit.reason == cpu::ExitReason::Halted;
    return exit;
  }
  if (unit.engine && !counting_) unit.engine->set_alarm(time_limit_);
  const cpu::Exit exit = lockstep_ ? lockstep_->run(budget) : unit.vcpu->run(budget);
  unit.idle = exit.reason == cpu::ExitReason::Halted;
  return exit;
}

void Processors::hold(const std::vector<bool>& held) {
  for (size_t i = 0; i < units_.size(); ++i) units_[i]->held = i < held.size() && held[i];
  wake_all();
}

void Processors::mask_interrupts(unsigned vcpu, bool masked) {
  Unit& unit = *units_[vcpu];
  const bool asked = unit.apic ? unit.apic->pending() : intr_;
  unit.set_intr(asked && !masked);
}

void Processors::kick() {
  units_[current_]->vcpu->kick();
}

uint64_t Processors::executed() const {
  uint64_t sum = 0;
  for (const auto& unit : units_) sum += unit->vcpu->executed();
  return sum;
}

void Processors::set_irq_line(unsigned line, bool level) {
  CHECK(line == kIntrLine);
  intr_ = level;
  if (!units_[0]->apic) return units_[0]->set_intr(level);
  for (auto& unit : units_) unit->apic->set_irq_line(devices::LocalApic::kLint0, level);
}

uint64_t Processors::read_memory(uint64_t offset, unsigned size) {
  return units_[current_]->apic->read_memory(offset, size);
}

bool Processors::is_steady(uint64_t offset, unsigned size) const {
  return units_[current_]->apic->is_steady(offset, size);
}

void Processors::write_memory(uint64_t offset, unsigned size, uint64_t value) {
  units_[current_]->apic->write_memory(offset, size, value);
}

std::optional<uint8_t> Processors::acknowledge_interrupt(unsigned vcpu) {
  Unit& unit = *units_[vcpu];
  if (unit.apic) return static_cast<uint8_t>(unit.apic->acknowledge());
  if (pic_ == nullptr) return std::nullopt;
  return pic_->acknowledge();
}

uint64_t Processors::time_stamp(unsigned /*vcpu*/) {
  static_assert(kTimeStampFrequency == kNanosecondsPerSecond, "else scale here and in time_of_time_stamp");
  static_assert(devices::LocalApicTimer::kFrequency == kTimeStampFrequency, "CPUID tells both by one number");
  return env_.clock.now();
}

Nanoseconds Processors::time_of_time_stamp(unsigned index, uint64_t value) const {
  const Nanoseconds now = env_.clock.now();
  const uint64_t shown = now + units_[index]->vcpu->state().tsc_offset;
  if (value <= shown) return now;
  return value - shown <= UINT64_MAX - now ? now + (value - shown) : UINT64_MAX;
}

bool Processors::set_apic_base(unsigned vcpu, uint64_t value) {
  Unit& unit = *units_[vcpu];
  if (!unit.apic) return false;
  unit.apic->set_base_msr(value);
  return true;
}

void Processors::set_tsc_deadline(unsigned vcpu, uint64_t value) {
  if (units_[vcpu]->apic) units_[vcpu]->apic->set_tsc_deadline(value);
}

uint64_t Processors::tsc_deadline(unsigned vcpu) {
  return units_[vcpu]->apic ? units_[vcpu]->apic->tsc_deadline() : 0;
}

void Processors::set_ferr(unsigned vcpu, bool level) {
  if (vcpu == 0 && env_.set_ferr) env_.set_ferr(level);
}

bool Processors::write_console(std::span<const uint8_t> text) {
  if (console_ == nullptr) return false;
  console_->send(text);
  // Nobody looks whether the other end is congested before the slice ends, which may be many calls away; by
  // count, so that turns are the same on every run.
  console_bytes_ += text.size();
  if (!parallel() && console_bytes_ >= kConsoleBytesInASlice) {
    console_bytes_ = 0;
    kick();
  }
  return true;
}

void Processors::serialize(StateArchive& archive) {
  archive.section("processors", 1);
  auto count = static_cast<uint32_t>(units_.size());
  archive.field(count);
  if (count != units_.size()) return archive.reject("another number of processors");
  for (auto& unit : units_) {
    unit->vcpu->serialize(archive);
    if (unit->apic) unit->apic->serialize(archive);
    unit->intr = false;
    unit->idle = false;
  }
  archive.fields(current_, intr_, turn_seed_);
  if (current_ >= units_.size()) {
    archive.reject("a processor that does not exist");
    current_ = 0;
  }
  if (archive.loading()) place_apic_window();
  if (archive.loading() && lockstep_) lockstep_->resynchronise();
}

}  // namespace vitrine::machine

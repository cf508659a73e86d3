#include "lockstep/lockstep.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "lockstep/comparison.h"

namespace vitrine::lockstep {
namespace {

// Most instructions of one native step, and of one in a mode that is the interpreter's.
constexpr uint64_t kLongestStep = 31;
constexpr uint64_t kLongestInterpretedStep = 256;
constexpr uint64_t kStepsAlike = uint64_t{1} << 14;
constexpr uint64_t kStepsBetweenWholeComparisons = uint64_t{1} << 21;

}  // namespace

Lockstep::Lockstep(const Environment& environment)
    : env_(environment),
      recorder_({environment.memory, environment.ports, environment.bus}),
      tables_(environment.memory) {}

Result<std::unique_ptr<Lockstep>> Lockstep::create(const Environment& environment) {
  std::unique_ptr<Lockstep> lockstep(new Lockstep(environment));
  lockstep->follower_ = TRY(
      Follower::create(environment.model, lockstep->recorder_.log(),
                       {.privileged = environment.privileged,
                        .shadow = {.policy = environment.shadow.policy, .views = environment.shadow.views},
                        .fills = environment.shadow.fills,
                        .counting = translate::InstructionCounting::Exact,
                        .host = environment.host}));
  return lockstep;
}

cpu::CoreEnvironment Lockstep::leader_environment() {
  return {env_.memory, recorder_.ports(), recorder_, env_.model, 0};
}

void Lockstep::lead(cpu::Vcpu& leader) {
  leader_ = &leader;
  recorder_.connect(leader);
}

// ---- From outside.

void Lockstep::signal(std::function<void(cpu::Vcpu&)> what) {
  signals_.push_back(std::move(what));
  recorder_.signalled();
}

void Lockstep::initialised() {
  signal([](cpu::Vcpu& vcpu) { vcpu.init(); });
}

void Lockstep::started(uint8_t vector) {
  signal([vector](cpu::Vcpu& vcpu) { vcpu.startup(vector); });
}

void Lockstep::ignne_set() {
  signal([](cpu::Vcpu& vcpu) { vcpu.set_ignne(); });
}

// Makes the follower what the leader is, whatever it was.
void Lockstep::take_over() {
  cpu::Vcpu& follower = follower_->vcpu();
  follower.reset();
  follower_->copy_all();
  follower.state() = leader_->state();
  follower.state_changed();
  signals_.clear();
  recorder_.log().clear();  // the reset read the time
  recorder_.device_pages().clear();
  follower_->forgot().clear();
  tables_.forget();
  early_.clear();
  tables_.learn(leader_->state());
  stale_ = false;
}

void Lockstep::record(memory::RamBlock& block) {
  for (uint64_t page = 0; page < block.size() >> kPageShift; ++page)
    env_.memory.watch(block, page, memory::Watch::Recorded);
}

Result<void> Lockstep::expect(memory::RamBlock& block) {
  return follower_->expect(block, [this](auto& added) { record(added); });
}

// What has happened outside since the last step happens to the follower.
void Lockstep::prepare() {
  if (recorder_.map_changed()) {
    recorder_.forget_map_change();
    if (auto mirrored = follower_->mirror(env_.memory, [this](auto& block) { record(block); }); !mirrored)
      return difference(mirrored.error().message());
  }
  if (stale_) take_over();
  for (const PageOf& page : recorder_.device_pages()) {
    follower_->copy_page(page);
    if (follower_->twin(*page.block) != nullptr)
      env_.memory.watch(*page.block, page.page, memory::Watch::Recorded);
  }
  recorder_.device_pages().clear();
  cpu::Vcpu& follower = follower_->vcpu();
  for (const auto& signal : std::exchange(signals_, {})) signal(follower);
  if (follower.interrupt_requested() != leader_->interrupt_requested())
    follower.set_interrupt_request(leader_->interrupt_requested());
  for (unsigned nmis = follower.state().nmis_pending; nmis < leader_->state().nmis_pending; ++nmis)
    follower.raise_nmi();
}

// ---- Running.

cpu::Exit Lockstep::run(uint64_t budget) {
  CHECK(leader_ != nullptr);
  prepare();
  // A debugger may have changed something between runs.
  if (!same_state(leader_->state(), left_)) take_over();
  kicked_ = false;
  cpu::Exit exit{cpu::ExitReason::BudgetSpent, {}};
  while (budget != 0 && !different_) {
    const Step done = step(budget);
    budget -= std::min(budget, done.executed);
    exit = done.exit;
    if (exit.reason != cpu::ExitReason::BudgetSpent) break;
    if (std::exchange(kicked_, false)) exit.reason = cpu::ExitReason::Kicked;
    if (exit.reason == cpu::ExitReason::Kicked) break;
  }
  left_ = leader_->state();
  return exit;
}

// Lengths that vary, so that steps begin and end everywhere; the same on every run. From one place the same
// for a while, so that the interpreter's blocks are not others each time.
uint64_t Lockstep::next_length() const {
  const uint32_t epoch = static_cast<uint32_t>(counters_.steps / kStepsAlike);
  const uint32_t mixed = (leader_->state().eip + epoch * 1013904223) * 2654435761;
  return 1 + (mixed >> 8) % kLongestStep;
}

Lockstep::Step Lockstep::step(uint64_t budget) {
  before_ = leader_->state();
  const bool possible = !std::exchange(declined_, false) && !std::exchange(unsuitable_, false);
  if (possible && leader_->undisturbed()) {
    Follower::Run run = follower_->run_natively(std::min(budget, next_length()));
    if (run.executed == 0 && run.wanted != 0) {
      // As a whole, or up to where the budget ends.
      if (run.wanted > budget) return lead_interpreting(budget);
      run = follower_->run_natively(run.wanted);
    }
    declined_ = run.declined && run.wanted == 0;
    unsuitable_ = run.unsuitable;
    if (run.executed != 0) return lead_natively(run.executed);
  }
  const bool alone = std::exchange(declined_, false) || !std::exchange(unsuitable_, false);
  return lead_interpreting(alone ? 1 : std::min(budget, kLongestInterpretedStep));
}

// The leader, until it has executed so many instructions or there is another reason to stop. Not behind the
// delivery of an interrupt: the follower could not be made to take it and go no further.
Lockstep::Step Lockstep::run_leader(uint64_t limit) {
  Step result;
  const uint64_t before = leader_->executed();
  recorder_.begin();
  do {
    result.exit = leader_->run(limit - result.executed);
    result.executed = leader_->executed() - before;
    if (result.exit.reason == cpu::ExitReason::Kicked) kicked_ = true;
  } while (result.exit.reason == cpu::ExitReason::Kicked &&
           (result.executed == 0 || recorder_.acknowledged_at() == leader_->executed()));
  recorder_.end();
  if (result.exit.reason == cpu::ExitReason::Kicked) result.exit.reason = cpu::ExitReason::BudgetSpent;
  return result;
}

// The follower has executed a step natively; the leader does the same.
Lockstep::Step Lockstep::lead_natively(uint64_t executed) {
  Step total;
  do {
    const Step part = run_leader(executed - total.executed);
    total.executed += part.executed;
    total.exit = part.exit;
  } while (total.executed < executed && total.exit.reason == cpu::ExitReason::BudgetSpent);
  counters_.native += executed;
  step_instructions_ = executed;
  if (total.executed != executed)
    difference(std::string("the interpreter stopped: ") + cpu::name(total.exit.reason));
  if (!recorder_.log().empty()) difference(recorder_.log().difference());
  compare();
  return total;
}

// The leader goes first, and the follower does what it did.
Lockstep::Step Lockstep::lead_interpreting(uint64_t limit) {
  const Step led = run_leader(limit);
  counters_.interpreted += led.executed;
  step_instructions_ = led.executed;
  const uint64_t followed = follower_->interpret(std::max<uint64_t>(led.executed, 1));
  if (followed != led.executed)
    difference("the second interpreter executed another number of instructions: " + std::to_string(followed));
  if (const std::string found = recorder_.log().difference(); !found.empty()) difference(found);
  prepare();
  compare();
  return led;
}

// ---- Comparing.

// Of the last x87 instruction and its operand, which are not compared: from here on the guest may store them.
void Lockstep::take_over_places() {
  const cpu::FloatingPointState& from = leader_->state().fpu;
  cpu::FloatingPointState& to = follower_->vcpu().state().fpu;
  to.opcode = from.opcode;
  to.instruction_pointer = from.instruction_pointer;
  to.instruction_segment = from.instruction_segment;
  to.data_pointer = from.data_pointer;
  to.data_segment = from.data_segment;
}

void Lockstep::compare() {
  ++counters_.steps;
  recorder_.log().clear();
  const cpu::CpuState& leader = leader_->state();
  const cpu::CpuState& follower = follower_->vcpu().state();
  if (!same_state(leader, follower)) [[unlikely]]
    difference("the processors differ\n" + describe_difference(leader, follower));
  take_over_places();
  follow_tables();
  compare_pages();
  for (const Follower::Forgot& forgot : std::exchange(follower_->forgot(), {}))
    tables_.invalidated(forgot.what, forgot.linear, leader);
  if (counters_.steps % kStepsBetweenWholeComparisons == 0) compare_all();
}

}  // namespace vitrine::lockstep

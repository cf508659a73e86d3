// Instructions whose accesses keep faulting, which the interpreter executes for as long as they do
// (SlowSite).
#include <algorithm>
#include <utility>

#include "cpu/access.h"
#include "translate/engine.h"

namespace vitrine::translate {
namespace {

constexpr uint32_t kRunsAsSlow = 4096;
// Page faults: a signal costs as much as some twenty runs in the interpreter.
constexpr uint32_t kRunsToJudge = 64, kRunsWorthAFault = 16;
constexpr uint8_t kMostPatience = 12;
// Of one that looks before each access: that costs some 2 ns, a signal as much as some 1,000 times of it.
constexpr uint32_t kChecksToJudge = 4096, kChecksWorthAFault = 1024;
// So many accesses that slow instructions make to a page, and it is filled: by then it will be used again.
constexpr uint8_t kTouchesToBeFilled = 4;
// A kernel comes to a program's page to copy something, and often for once: a signal that tells of it counts
// as so many accesses, but is no reason to map the page.
constexpr uint8_t kTouchesOfASignal = 3;
// Within so many loads of a page table. Else one access each time that a program forks or starts would count
// as if there were many, at the same place of what is another process by now.
constexpr uint64_t kLoadsToBeFilled = 8;

// Where the instruction is about to access memory. A string instruction's two places count as one: that which
// is written, if any.
std::optional<uint32_t> operand_of(const cpu::Core& core, const cpu::Instruction& i) {
  using cpu::Operation;
  const auto& gpr = core.state.gpr;
  switch (i.operation) {
    case Operation::Push:
    case Operation::Call: return gpr[x86::kEsp] - 4;
    case Operation::Pop:
    case Operation::Popa:
    case Operation::Ret: return gpr[x86::kEsp];
    case Operation::Movs:
    case Operation::Stos:
    case Operation::Scas: return core.state.segments[x86::kEs].base + gpr[x86::kEdi];
    case Operation::Lods:
    case Operation::Cmps: return core.state.segments[i.segment].base + gpr[x86::kEsi];
    default: break;
  }
  if (i.is_memory == 0) return std::nullopt;
  return core.state.segments[i.segment].base + cpu::effective_offset(core, i);
}

}  // namespace

// An instruction that faults again and again only to be interpreted (a device's register, a page with code)
// is translated to a plain way out, which costs a tenth; now and then it gets another chance. So is one that
// page-faults most times that it runs, for as long as it does, whether a page is only to be filled or the
// guest's own tables refuse: what is touched once or twice need not be filled at all.
void Engine::note_decline(uint32_t eip) {
  CodePage* const page = known_page(eip);
  const bool faulted = slow_site_ == eip;
  slow_site_.reset();
  if (page == nullptr || (!faulted && page->slow.empty())) return;
  const auto offset = static_cast<uint16_t>(eip & kPageMask);
  if (!faulted) {
    const auto site = page->slow.find(offset);
    if (site == page->slow.end()) return;
    if (site->second.looks) ++site->second.page_faults;  // Nobody else says so of a CALL or a RET.
    note_slow_run(eip, site->second);
    return;
  }
  // Perhaps the sum that wraps needs another form of address, and nothing is wrong with the access.
  if (wraps_ && page->wraps.insert(offset).second)
    return forget_units(*page->key.block, page->key.page, offset, 1);
  SlowSite& slow = page->slow[offset];
  if (++slow.accesses < faults_to_be_slow_) return;
  slow = SlowSite{.patience = slow.patience, .reason = SlowReason::Access};
  forget_units(*page->key.block, page->key.page, offset, 1);
}

// The interpreter is about to execute it once more.
void Engine::note_slow_run(uint32_t eip, SlowSite& slow) {
  const SlowSite before = slow;
  if (before.looks) {
    uint32_t& left = context_->checks_left[before.check];
    if (left != 0) return;
    left = kChecksToJudge;
  } else if (++slow.runs < (before.reason == SlowReason::PageFault ? kRunsToJudge : kRunsAsSlow)) {
    return;
  }
  if (before.reason == SlowReason::PageFault) {
    const bool rare = before.looks ? before.page_faults * kChecksWorthAFault < kChecksToJudge
                                   : before.page_faults * kRunsWorthAFault < kRunsToJudge;
    if (!rare) {
      slow.accesses = slow.page_faults = slow.runs = 0;
      return;
    }
  }
  slow = SlowSite{.patience = before.patience};
  if (before.reason == SlowReason::PageFault)
    slow.patience = std::min<uint8_t>(before.patience + 2, kMostPatience);
  give_check(before.check);
  if (const CodePage* const page = known_page(eip))
    forget_units(*page->key.block, page->key.page, eip & kPageMask, 1);
}

// A page that the instruction is about to access and that the window does not show: natively it would fault.
std::optional<uint32_t> Engine::page_to_fill(const cpu::Core& core,
                                             const cpu::Instruction& instruction) const {
  const std::optional<uint32_t> linear = operand_of(core, instruction);
  if (!linear || window_->book().word(*linear >> kPageShift).live()) return std::nullopt;
  return *linear >> kPageShift;
}

// The interpreter has made an access that spared a hidden fault.
void Engine::note_fill_spared(uint32_t page) {
  if (slow_run_ == nullptr || slow_run_->reason != SlowReason::PageFault) return;
  ++slow_run_->page_faults;
  Touched& touched = touched_page(page);
  if (++touched.count < kTouchesToBeFilled && fills_ == paging::ShadowFills::Again) return;
  touched = {};
  const inspect::ActivityScope scope(core_->activity, inspect::Activity::Fill);
  spaces_->prefetch(VirtualAddress(page << kPageShift), privilege());
}

Engine::Touched& Engine::touched_page(uint32_t page) {
  Touched& touched = touched_[page % touched_.size()];
  const uint64_t load = shadow_counters().page_table_loads;
  if (touched.window != window_ || touched.page != page || load - touched.load > kLoadsToBeFilled)
    touched = {.window = window_, .page = page, .load = load};
  return touched;
}

// In the signal's handler: the interpreter is to make the access, and the window goes on without the page.
bool Engine::spares_fill(uint32_t page) {
  const paging::PagingRegisters& registers = spaces_->registers();
  if (fills_ == paging::ShadowFills::First || mode_ != CodePrivilege::Supervisor || !registers.enabled() ||
      window_->book().word(page).live())
    return false;
  const auto seen = spaces_->look(registers, VirtualAddress(page << kPageShift));
  if (!seen || !seen->user) return false;
  Touched& touched = touched_page(page);
  touched.count += kTouchesOfASignal;
  if (touched.count <= kTouchesToBeFilled) return true;
  touched = {};
  return false;
}

// Once the guest's handler has returned to an instruction of translated code that had a page fault, RF makes
// it the interpreter's; what uses the page next would find the window as it was, at the price of a signal.
// (Where a SlowSite faulted, the page is filled if it is used more often: note_fill_spared().)
void Engine::fill_after_fault(const cpu::Core& core) {
  constexpr uint32_t kLongestInstruction = 15;
  if (core.state.eip - *resumed_ > kLongestInstruction) return;
  resumed_.reset();
  const inspect::ActivityScope scope(core_->activity, inspect::Activity::Fill);
  spaces_->prefetch(VirtualAddress(fault_address_), privilege());
}

// True: from now on it is the interpreter's.
bool Engine::page_faults_often(SlowSite& slow) const {
  switch (slow.reason) {
    case SlowReason::None: return ++slow.page_faults >= faults_to_be_slow_ << slow.patience;
    case SlowReason::PageFault: return slow.looks && ++slow.unseen >= faults_to_be_slow_;
    case SlowReason::Access: break;
  }
  return false;
}

// No instruction counts any more.
void Engine::renew_checks() {
  spare_checks_.clear();
  if (!can_check_) return;
  for (uint16_t check = kAccessChecks - 1; check != 0; --check) spare_checks_.push_back(check);
}

uint16_t Engine::take_check() {
  if (spare_checks_.empty()) return 0;
  const uint16_t check = spare_checks_.back();
  spare_checks_.pop_back();
  context_->checks_left[check] = kChecksToJudge;
  return check;
}

void Engine::give_check(uint16_t check) {
  if (check != 0) spare_checks_.push_back(check);
}

void Engine::leave_to_interpreter(CodePage& page, uint16_t offset) {
  SlowSite& slow = page.slow[offset];
  const bool looked_in_vain = slow.looks;
  give_check(slow.check);
  slow = SlowSite{.patience = slow.patience, .reason = SlowReason::PageFault};
  if (!looked_in_vain) slow.check = take_check();
  forget_units(*page.key.block, page.key.page, offset, 1);
}

// In the signal's handler: what is being executed cannot be dropped yet.
void Engine::note_hidden_fault(const TranslationCache::Place& place) {
  if (fills_ == paging::ShadowFills::First) return;
  if (page_faults_often(place.unit->page->slow[static_cast<uint16_t>(place.eip & kPageMask)]))
    often_filled_ = place.eip;
}

void Engine::settle_hidden_faults() {
  const uint32_t eip = *std::exchange(often_filled_, std::nullopt);
  if (CodePage* const page = known_page(eip))
    leave_to_interpreter(*page, static_cast<uint16_t>(eip & kPageMask));
}

void Engine::note_page_fault(uint32_t eip) {
  CodePage* const page = known_page(eip);
  if (page == nullptr) return;
  const auto offset = static_cast<uint16_t>(eip & kPageMask);
  if (page_faults_often(page->slow[offset])) leave_to_interpreter(*page, offset);
}

}  // namespace vitrine::translate

#include "translate/unit_builder.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "paging/shadow_window.h"
#include "translate/landing_pad.h"

namespace vitrine::translate {
namespace {

using cpu::Instruction;

constexpr size_t kHotLimit = TranslationCache::kMaximumUnit / 4;
constexpr size_t kMaximumInstructions = 128;

// How many bytes of the guest may lie between an instruction that ends a path and the target of a branch
// before it, for a unit to go on.
constexpr uint32_t kAhead = 256;

constexpr int32_t kAddressSize = 4;  // what CALL pushes
// ESP, where r15 is as a direct CALL leaves it.
constexpr HostMemory kBelowCaller{.base = kGuestStack, .displacement = -kAddressSize};

// How far ESP may be from r15, in bytes.
constexpr int32_t kMostPending = 400;

// Plain addresses stay within the guards of the window: a displacement from an address in it reaches so far.
constexpr int32_t kReach = 64 << 10;
static_assert(kReach + 0x20000 < paging::ShadowWindow::kGuard);

}  // namespace

UnitBuilder::UnitBuilder(TranslationCache& cache, CodePage& page, const Glue& glue,
                         const TranslatorOptions& options, std::vector<uint32_t> targets, bool called)
    : cache_(cache),
      page_(page),
      glue_(glue),
      options_(options),
      start_(cache.next()),
      out_(cache.memory().writable(start_), TranslationCache::kMaximumUnit),
      first_decline_(cache.end_of_declines()),
      targets_(std::move(targets)),
      called_(called) {
  if (!called_) return;
  // CALL has just stored there.
  pending_ = -kAddressSize;
  touched_ = true;
}

void UnitBuilder::begin_instruction(uint32_t eip, const Instruction& instruction,
                                    const cpu::Encoding& encoding) {
  eip_ = eip;
  instruction_ = &instruction;
  encoding_ = &encoding;
  decline_index_.reset();
  const bool target = std::ranges::find(branches_, eip, &Branch::target) != branches_.end() ||
                      std::ranges::find(targets_, eip) != targets_.end();
  if (target || slow() != nullptr || !goes_with_pending(instruction, encoding)) settle_stack_pointer();
  mark_boundary();
  if (counting()) count_instruction(shadow_);
  shadow_ = false;
}

void UnitBuilder::mark_boundary() {
  instruction_start_ = out_.size();
  branches_before_ = branches_.size();
  declines_before_ = declines_.size();
  pending_before_ = pending_;
  if (pending_ == 0) touched_ = false;
  touched_before_ = touched_;
  boundaries_.push_back({.guest = static_cast<uint16_t>(eip_ & kPageMask),
                         .shadow = shadow_,
                         .pending = static_cast<int8_t>(pending_ / 4),
                         .host = at()});
  out_.forget_r15();
}

void UnitBuilder::settle_before_instruction() {
  if (pending_ == 0) return;
  shadow_ = boundaries_.back().shadow;
  boundaries_.pop_back();
  settle_stack_pointer();
  mark_boundary();
  shadow_ = false;
}

// r15 stays near the window: what is close to an operand that has been there may move freely; else r15d is
// written, and the window added.
void UnitBuilder::settle_stack_pointer() {
  const HostMemory wanted{.base = kGuestStack, .displacement = pending_};
  if (pending_ != 0 && touched_) {
    out_.load_address_wide(kGuestStack, wanted);
  } else if (pending_ != 0) {
    out_.load_address(kGuestStack, wanted);
    out_.load_address_wide(kGuestStack, {.base = kGuestStack, .index = kWindow});
  }
  pending_ = 0;
  touched_ = false;
}

// A load of ESP that is not of EBP, as at the end of a function: no CALL that went before is returned from
// soon.
bool UnitBuilder::takes_another_stack() const {
  const Instruction& i = *instruction_;
  if (i.operation != cpu::Operation::Mov) return i.operation == cpu::Operation::Xchg;
  const bool from_rm = i.form == cpu::OperandForm::RegRm;
  if (i.form != cpu::OperandForm::RmReg && !from_rm) return false;
  return (from_rm && i.is_memory != 0) || (from_rm ? i.rm : i.reg) != x86::kEbp;
}

void UnitBuilder::end_instruction() {
  if (!out_.wrote_r15()) return;
  if (!out_.wrote_all_of_r15()) out_.move(kGuestStack, kGuestStack);
  out_.load_address_wide(kGuestStack, {.base = kGuestStack, .index = kWindow});
  if (takes_another_stack()) out_.load_wide(kRsp, VITRINE_CONTEXT(return_stack_top));
}

// Leaves when nothing is left of the budget. The instruction counts from here on; who does not execute it
// after all gives it back (Engine::settle_count).
void UnitBuilder::count_instruction(bool in_shadow) {
  out_.move(kR9, kRcx);
  out_.load(kRcx, VITRINE_CONTEXT(instructions_left));
  const size_t spent = out_.jump_if_rcx_zero();
  const size_t go_on = out_.jump();
  out_.bind_short(spent);
  out_.move(kRcx, kR9);
  out_.move_immediate(kR8, eip_);
  jump_to(glue_.spent);
  out_.bind(go_on);
  out_.load_address(kRcx, {.base = kRcx, .displacement = -1});
  out_.store(VITRINE_CONTEXT(instructions_left), kRcx);
  out_.move(kRcx, kR9);
  if (in_shadow) {
    out_.load(kR8, VITRINE_CONTEXT(shadow_cast));
    out_.store(VITRINE_CONTEXT(shadowed_by), kR8);
    out_.store_immediate(VITRINE_CONTEXT(shadow_cast), 0);
  }
  if (in_shadow || shadow_ended_) out_.store_immediate(VITRINE_CONTEXT(shadowed), in_shadow ? eip_ : 0);
  shadow_ended_ = in_shadow;
  instruction_start_ = out_.size();
}

// Leaves by `way_out` unless ECX is zero. The guest's ECX comes back from r9d either way.
void UnitBuilder::leave_unless_zero(uint32_t way_out) {
  const size_t zero = out_.jump_if_rcx_zero();
  out_.move(kRcx, kR9);
  out_.move_immediate(kR8, eip_);
  jump_to(way_out);
  out_.bind_short(zero);
  out_.move(kRcx, kR9);
}

void UnitBuilder::begin_repetition() {
  out_.move(kR9, kRcx);
  out_.load(kRcx, VITRINE_CONTEXT(repeat_blocked));
  leave_unless_zero(glue_.repeat);
  out_.store_immediate(VITRINE_CONTEXT(repeat_running), 1);
}

void UnitBuilder::end_repetition() {
  out_.store_immediate(VITRINE_CONTEXT(repeat_running), 0);
  out_.store_immediate(VITRINE_CONTEXT(repeat_blocked), 1);
  out_.store(VITRINE_CONTEXT(repeat_left), kRcx);
}

void UnitBuilder::undo_instruction() {
  out_.rewind(instruction_start_);
  pending_ = pending_before_;
  touched_ = touched_before_;
  out_.forget_r15();
  branches_.resize(branches_before_);
  declines_.resize(declines_before_);
}

SlowSite* UnitBuilder::slow() const {
  const auto site = page_.slow.find(static_cast<uint16_t>(eip_ & kPageMask));
  return site != page_.slow.end() && site->second.reason != SlowReason::None ? &site->second : nullptr;
}

bool UnitBuilder::full() const {
  return out_.size() > kHotLimit || boundaries_.size() >= kMaximumInstructions;
}

bool UnitBuilder::nearly_full() const {
  return out_.size() > kHotLimit - 1024 || boundaries_.size() + 1 >= kMaximumInstructions;
}

bool UnitBuilder::leads_beyond(uint32_t eip) const {
  return std::ranges::any_of(branches_, [&](const Branch& branch) {
    return !branch.call && in_page(branch.target) && branch.target >= eip && branch.target - eip < kAhead;
  });
}

bool UnitBuilder::finds_targets(std::vector<uint32_t>& targets) const {
  const size_t known = targets.size();
  for (const Branch& branch : branches_) {
    if (!in_page(branch.target) || (called_ && calls_start(branch))) continue;
    const auto offset = static_cast<uint16_t>(branch.target & kPageMask);
    const auto boundary = std::ranges::find(boundaries_, offset, &Boundary::guest);
    if (boundary != boundaries_.end() && !boundary->is_entry()) targets.push_back(branch.target);
  }
  return targets.size() != known;
}

bool UnitBuilder::has(uint32_t eip) const {
  return in_page(eip) && page_.entries.find(static_cast<uint16_t>(eip & kPageMask)) != 0;
}

// Where the pointer to the base of the operand's segment is: for just as far as the operand reaches, if that
// is known.
HostMemory UnitBuilder::segment_base(const Instruction& i) {
  const size_t segment =
      offsetof(GuestContext, extra_segments) + sizeof(ExtraSegment) * (i.segment == x86::kFs ? 0 : 1);
  const uint64_t reach = uint64_t{i.displacement} + std::max<unsigned>({i.rm_size, i.operand_size, 1u});
  const auto size_class = static_cast<unsigned>(std::bit_width((reach - 1) / 4));
  if (i.base != cpu::kNoRegister || i.index != cpu::kNoRegister || size_class >= ExtraSegment::kClasses)
    return context_field(segment + offsetof(ExtraSegment, unlimited));
  return context_field(segment + offsetof(ExtraSegment, within) + 8 * size_class);
}

HostMemory UnitBuilder::stack(int32_t displacement) {
  touched_ = true;
  return {.space = AddressSpace::Window, .base = kGuestStack, .displacement = displacement + pending_};
}

HostMemory UnitBuilder::window(uint8_t reg, int32_t displacement) {
  return {.space = AddressSpace::Window, .base = kWindow, .index = reg, .displacement = displacement};
}

bool UnitBuilder::pending_allowed(int32_t by) const {
  return !counting() && (pending_ + by) % 4 == 0 && std::abs(pending_ + by) <= kMostPending;
}

void UnitBuilder::move_stack_pointer(int32_t by) {
  pending_ += by;
  if (!pending_allowed(0)) settle_stack_pointer();
}

// A plain address takes the place of the segment's base: it neither wraps nor has room for a second register,
// so a sum is made in r8d first, or what would wrap goes by GS.
bool UnitBuilder::plain_operand(HostMemory& memory) {
  const bool near = memory.displacement > -kReach && memory.displacement < kReach;
  const bool base = memory.base != kNoHostRegister, index = memory.index != kNoHostRegister;
  if (!index && memory.base == kGuestStack && near) {
    touched_ = true;
    memory.space = AddressSpace::Window;
    return true;
  }
  if (page_.wraps.contains(static_cast<uint16_t>(eip_ & kPageMask))) return false;
  if (!index && base && near) {
    memory = window(memory.base, memory.displacement);
    return true;
  }
  if (!index && !base) {
    if (memory.displacement < 0) return false;
    memory.space = AddressSpace::Window;
    memory.base = kWindow;
    return true;
  }
  HostMemory sum = memory;
  sum.space = AddressSpace::Monitor;
  out_.load_address(kR8, sum);
  memory = window(kR8);
  return true;
}

bool UnitBuilder::memory_operand(HostMemory& memory, OperandUse use) {
  const Instruction& i = *instruction_;
  if (i.address_mask != 0xffffffff) return false;
  // Through CS, which suitable() knows to be readable, nothing is written: by VERW, for one.
  if (i.segment == x86::kCs && i.operation != cpu::Operation::Verw) return false;
  memory = HostMemory{.space = AddressSpace::Guest,
                      .displacement = static_cast<int32_t>(i.displacement + displacement_of(i.base))};
  if (i.base != cpu::kNoRegister) memory.base = host_of(i.base);
  if (i.index != cpu::kNoRegister) {
    memory.index = host_of(i.index);
    memory.scale = i.scale;
  }
  if (i.segment != x86::kFs && i.segment != x86::kGs) {
    if (use == OperandUse::Plain || memory.base == kGuestStack) static_cast<void>(plain_operand(memory));
    return true;
  }
  // Another base: by way of r9d, which takes the place that is free. The 32-bit address size makes the sum
  // wrap.
  if (memory.base != kNoHostRegister && memory.index != kNoHostRegister) {
    HostMemory sum = memory;
    sum.space = AddressSpace::Monitor;
    out_.load_address(kR8, sum);
    memory = HostMemory{.space = AddressSpace::Guest, .base = kR8};
  }
  out_.load_wide(kR9, segment_base(i));
  out_.load(kR9, {.base = kR9});
  if (memory.base == kNoHostRegister) {
    memory.base = kR9;
  } else {
    memory.index = memory.base;
    memory.scale = 0;
    memory.base = kR9;
  }
  return true;
}

void UnitBuilder::need(UnitNeed need) {
  if (page_.key.privilege == CodePrivilege::UserWithFpu) return;
  out_.move(kR9, kRcx);
  switch (need) {
    case UnitNeed::X87: out_.load(kRcx, VITRINE_CONTEXT(x87_absent)); break;
    case UnitNeed::Sse: out_.load(kRcx, VITRINE_CONTEXT(sse_absent)); break;
    case UnitNeed::Avx: out_.load(kRcx, VITRINE_CONTEXT(avx_absent)); break;
  }
  leave_unless_zero(glue_.fpu);
}

void UnitBuilder::branch(size_t distance, uint32_t target) {
  branches_.push_back({distance, target, false});
}

void UnitBuilder::call_direct(uint32_t target) {
  const bool deferred = !counting();
  const int32_t by = deferred ? pending_ + kAddressSize : 0;
  if (by != 0) out_.load_address_wide(kGuestStack, {.base = kGuestStack, .displacement = by});
  branches_.push_back({out_.call(), target, deferred});
  forget_pending();
}

// Makes a jump or call whose distance lies at `distance` go to an offset of code memory.
void UnitBuilder::lead(size_t distance, uint32_t cache_offset) {
  out_.patch_dword(distance, cache_offset - (start_ + static_cast<uint32_t>(distance)) - 4);
}

void UnitBuilder::jump_to(uint32_t cache_offset) {
  lead(out_.jump(), cache_offset);
}

void UnitBuilder::jump_indirect() {
  if (by_table()) {
    emit_table_jump(out_, start_);
  } else {
    jump_to(glue_.indirect);
  }
}

void UnitBuilder::call_indirect() {
  if (by_table()) return emit_table_call(out_, start_);
  lead(out_.call(), glue_.indirect);
}

void UnitBuilder::decline() {
  if (options_.privileged == PrivilegedPolicy::Trap) {
    out_.byte(kPrivilegedTrap);
    return;
  }
  call_out();
}

// Near branches, once interpreted, go on in the interpreter, and what depends on the next page may be another
// instruction by then.
DeclineIndex UnitBuilder::decline_index() {
  if (crosses_ || is_near_branch(instruction_->operation)) return kNoDecline;
  if (!decline_index_) decline_index_ = cache_.add_decline(slow());
  return *decline_index_;
}

void UnitBuilder::emit_decline(uint32_t eip, DeclineIndex index) {
  out_.move_immediate(kR8, eip);
  out_.move_immediate(kR11, index);
  jump_to(glue_.decline);
}

void UnitBuilder::call_out() {
  emit_decline(eip_, decline_index());
}

void UnitBuilder::decline_unless_zero() {
  const size_t zero = out_.jump_if_rcx_zero();
  out_.move(kRcx, kR9);
  declines_.push_back({out_.jump(), eip_, decline_index()});
  out_.bind_short(zero);
}

void UnitBuilder::landing(uint32_t expected) {
  const auto stray = page_.strays.find(static_cast<uint16_t>(eip_ & kPageMask));
  if (options_.landing_pad && (stray == page_.strays.end() || stray->second < kStraysToBeChecked)) {
    for (const int32_t displacement : {LandingPad::first(expected), LandingPad::last(expected)})
      out_.load(kR9, {.base = kR12, .index = kR8, .displacement = displacement});
    return;
  }
  out_.move(kR9, kRcx);
  out_.load_address(kRcx, {.base = kR8, .displacement = static_cast<int32_t>(0 - expected)});
  const size_t as_expected = out_.jump_if_rcx_zero();
  jump_to(by_table() ? glue_.mispredicted_user_return : glue_.mispredicted_return);
  out_.bind_short(as_expected);
  out_.move(kRcx, kR9);
}

// The number by which the active window knows a page, into ecx.
void UnitBuilder::load_page_number(uint32_t virtual_page) {
  out_.load_wide(kR10, VITRINE_CONTEXT(code_map));
  out_.load(kRcx, {.base = kR10, .displacement = static_cast<int32_t>(virtual_page << 2)});
}

void UnitBuilder::emit_stub(const Branch& branch, uint32_t check) {
  size_t distance = branch.distance;
  Site site{.target = branch.target, .check = check};
  if (branch.call) {
    site.call = start_ + static_cast<uint32_t>(branch.distance);
    site.settle = at();
    out_.bind(branch.distance);
    out_.load_address_wide(kGuestStack, kBelowCaller);
    distance = out_.jump();
  }
  site.distance = start_ + static_cast<uint32_t>(distance);
  site.stub = at();
  out_.bind(distance);
  const SiteIndex index = cache_.add_site(site);
  out_.move_immediate(kR8, branch.target);
  out_.move_immediate(kR11, index);
  jump_to(glue_.link);
  if (check == 0 && has(branch.target)) to_link_.push_back(index);
}

bool UnitBuilder::calls_start(const Branch& branch) const {
  return branch.call && in_page(branch.target) && (branch.target & kPageMask) == boundaries_.front().guest;
}

bool UnitBuilder::is_recursive() const {
  return std::ranges::any_of(branches_, [&](const Branch& branch) { return calls_start(branch); });
}

void UnitBuilder::resolve_here(const Branch& branch) {
  if (called_ && calls_start(branch)) return lead(branch.distance, start_);
  const auto offset = static_cast<uint16_t>(branch.target & kPageMask);
  const auto entry = std::ranges::find(boundaries_, offset, &Boundary::guest);
  if (entry == boundaries_.end() || !entry->is_entry()) return emit_stub(branch, 0);
  if (!branch.call) return lead(branch.distance, entry->host);
  out_.bind(branch.distance);
  out_.load_address_wide(kGuestStack, kBelowCaller);
  jump_to(entry->host);
}

void UnitBuilder::resolve(const Branch& branch) {
  if (in_page(branch.target)) return resolve_here(branch);
  // To another page: only as long as the active window shows the page that the link was made for.
  out_.bind(branch.distance);
  out_.move(kR9, kRcx);
  load_page_number(branch.target >> kPageShift);
  out_.bytes(0x8d, 0x89);  // lea ecx, [rcx + disp32]
  const uint32_t check = at();
  out_.dword(0);
  const size_t same = out_.jump_if_rcx_zero();
  out_.move(kRcx, kR9);
  const size_t miss = out_.jump();
  out_.bind_short(same);
  out_.move(kRcx, kR9);
  const size_t distance = out_.jump();
  out_.bind(miss);
  emit_stub({distance, branch.target, branch.call}, check);
}

void UnitBuilder::check_page(const CodePage& page) {
  crosses_ = true;
  out_.move(kR9, kRcx);
  load_page_number(page.key.virtual_page);
  out_.load_address(kRcx, {.base = kRcx, .displacement = static_cast<int32_t>(0 - page.id)});
  leave_unless_zero(glue_.stale);
  instruction_start_ = out_.size();
}

// The window is added to what has 32 bits, so that r15 is an address in it (docs/confinement.md).
void UnitBuilder::emit_entry(const Boundary& boundary) {
  out_.load_address(kGuestStack, {.base = kGuestStack, .displacement = -4 * boundary.pending});
  out_.load_address_wide(kGuestStack, {.base = kGuestStack, .index = kWindow});
  jump_to(boundary.host);
}

void UnitBuilder::finish_entry(const TranslationCache::Pending& to) {
  emit_entry(*to.boundary);
  // Dropped with what it leads to.
  Unit unit;
  unit.begin = start_;
  unit.end = at();
  unit.page = &page_;
  unit.first_byte = to.unit->first_byte;
  unit.last_byte = to.unit->last_byte;
  unit.first_decline = unit.end_decline = first_decline_;
  unit.entries.push_back({.guest = to.boundary->guest, .host = start_});
  cache_.add_unit(std::move(unit));
}

void UnitBuilder::finish(uint16_t last_byte, CodePage* tail_page, uint16_t tail_last_byte) {
  for (const ColdDecline& decline : declines_) {
    out_.bind(decline.distance);
    emit_decline(decline.eip, decline.index);
  }
  for (const Branch& branch : branches_) resolve(branch);
  Unit unit;
  if (called_) unit.called = start_;
  if (!boundaries_.front().is_entry()) {
    unit.entries.push_back({.guest = boundaries_.front().guest, .host = at()});
    emit_entry(boundaries_.front());
  }
  unit.begin = start_;
  unit.end = at();
  unit.page = &page_;
  unit.first_byte = boundaries_.front().guest;
  unit.last_byte = last_byte;
  unit.tail_page = tail_page;
  unit.tail_id = tail_page != nullptr ? tail_page->id : 0;
  unit.tail_last_byte = tail_last_byte;
  unit.first_decline = first_decline_;
  unit.end_decline = cache_.end_of_declines();
  unit.boundaries.assign(boundaries_.begin(), boundaries_.end());  // no larger than it has to be
  cache_.add_unit(std::move(unit));
  for (const SiteIndex site : to_link_) cache_.link(site, page_);
}

}  // namespace vitrine::translate

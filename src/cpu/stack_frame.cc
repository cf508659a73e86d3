#include "cpu/stack_frame.h"

#include <algorithm>

#include "base/check.h"
#include "cpu/access.h"
#include "cpu/descriptor_access.h"

namespace vitrine::cpu {

namespace {

uint32_t stack_mask_of(const SegmentRegister& ss) {
  return x86::is_big(ss.attributes) ? 0xffffffff : 0xffff;
}

}  // namespace

StackFrame::StackFrame(const SegmentRegister& ss, uint32_t esp, Privilege privilege, uint32_t error_code)
    : ss_(ss), mask_(stack_mask_of(ss)), esp_(esp), privilege_(privilege), error_code_(error_code) {}

void StackFrame::push(unsigned size, uint32_t value) {
  CHECK(count_ < kCapacity);
  esp_ = (esp_ & ~mask_) | ((esp_ - size) & mask_);
  slots_[count_++] = Slot{esp_ & mask_, value, size};
}

bool StackFrame::check(Core& core) const {
  if (count_ == 0) return true;
  for (unsigned i = 0; i < count_; ++i) {
    if (!within_limit(ss_, slots_[i].offset, slots_[i].size))
      return core.raise(x86::Vector::StackFault, error_code_);
  }
  // Usually all slots lie in one page. Otherwise each is tried, in the order of the pushes, before any is
  // written.
  const uint32_t first = ss_.base + slots_[0].offset + slots_[0].size - 1;
  const uint32_t last = ss_.base + slots_[count_ - 1].offset;
  const bool one_page = VirtualAddress(first).page() == VirtualAddress(last).page();
  const unsigned probes = one_page ? 1 : count_;
  for (unsigned i = 0; i < probes; ++i) {
    if (!probe_write(core, ss_.base + slots_[i].offset, slots_[i].size, privilege_)) return false;
  }
  return true;
}

bool StackFrame::write(Core& core) const {
  for (unsigned i = 0; i < count_; ++i) {
    const uint32_t linear = ss_.base + slots_[i].offset;
    const bool written = slots_[i].size == 4
                             ? store_linear(core, linear, slots_[i].value, privilege_)
                             : store_linear(core, linear, static_cast<uint16_t>(slots_[i].value), privilege_);
    if (!written) return false;
  }
  return true;
}

bool StackReader::pop(unsigned size, uint32_t& value) {
  const uint32_t top = offset_ & core_.stack_mask;
  if (size == 4) {
    if (!load(core_, x86::kSs, top, value)) return false;
  } else {
    uint16_t word = 0;
    if (!load(core_, x86::kSs, top, word)) return false;
    value = word;
  }
  offset_ += size;
  return true;
}

uint32_t StackReader::esp() const {
  return merged_esp(core_.state.segments[x86::kSs], core_.state.gpr[x86::kEsp], offset_);
}

uint32_t merged_esp(const SegmentRegister& ss, uint32_t old_esp, uint32_t value) {
  const uint32_t mask = stack_mask_of(ss);
  return (old_esp & ~mask) | (value & mask);
}

}  // namespace vitrine::cpu

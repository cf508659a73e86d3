// A virtual processor for those outside the guest: debuggers, monitors, snapshots.
#include <algorithm>

#include "cpu/code_cache.h"
#include "cpu/host_unit.h"
#include "cpu/mode.h"
#include "cpu/system.h"
#include "cpu/vcpu.h"

namespace vitrine::cpu {
namespace {

// Calls `part(physical, offset, size)` for each piece of the range that lies in one page. False if a page is
// not mapped.
template <typename Part>
bool for_each_page(const Core& core, VirtualAddress address, size_t size, const Part& part) {
  for (size_t done = 0; done < size;) {
    const VirtualAddress at = address + static_cast<uint32_t>(done);
    const auto physical = debug_translate(core, at);
    if (!physical) return false;
    const size_t piece = std::min<size_t>(size - done, kPageSize - at.page_offset());
    part(*physical, done, piece);
    done += piece;
  }
  return true;
}

bool all_mapped(const Core& core, VirtualAddress address, size_t size) {
  return for_each_page(core, address, size, [](PhysicalAddress, size_t, size_t) {});
}

}  // namespace

std::optional<PhysicalAddress> Vcpu::debug_translate(VirtualAddress address) const {
  return cpu::debug_translate(*core_, address);
}

bool Vcpu::debug_read(VirtualAddress address, std::span<uint8_t> data) const {
  if (!all_mapped(*core_, address, data.size())) return false;
  return for_each_page(*core_, address, data.size(), [&](PhysicalAddress where, size_t offset, size_t size) {
    core_->env.memory.read(where, data.subspan(offset, size));
  });
}

bool Vcpu::debug_write(VirtualAddress address, std::span<const uint8_t> data) {
  if (!all_mapped(*core_, address, data.size())) return false;
  return for_each_page(*core_, address, data.size(), [&](PhysicalAddress where, size_t offset, size_t size) {
    core_->env.memory.write(where, data.subspan(offset, size));
  });
}

void Vcpu::set_debug_requests(DebugRequests requests) {
  core_->debug = std::move(requests);
  core_->watchpoint_hit.reset();
  update_mode(*core_);
}

void Vcpu::serialize(StateArchive& archive) {
  archive.section("vcpu", 3);
  core_->state.serialize(archive);
  archive.fields(core_->interrupt_request, core_->startup_vector, core_->pending_dr6, core_->executed_base);
  bool repeating = core_->repeating;
  archive.field(repeating);
  uint32_t signals = core_->attention.load() & (kAttentionInit | kAttentionStartup);
  archive.field(signals);
  HostUnit& unit = host_unit(*core_);  // FERR# and IGNNE# are pins, not registers: known only there.
  archive.fields(unit.ferr, unit.ignne);
  if (!archive.loading()) return;
  core_->attention.store(signals & (kAttentionInit | kAttentionStartup));
  core_->pending_dr6 &= 0xe00f;
  core_->reported_breakpoint.reset();
  core_->watchpoint_hit.reset();
  core_->faulted = false;
  core_->code->drop_all();
  core_->code->collect();
  state_changed();
  core_->repeating = repeating;
}

}  // namespace vitrine::cpu

// How the shadow windows are kept, as a user chooses it. See docs/shadow.md.
#pragma once

#include <cstdint>
#include <optional>

namespace vitrine::paging {

/// What happens to entries when the guest changes its page tables, or the page table that is in use.
enum class ShadowPolicy : uint8_t {
  OnDemand,   ///< A virtual TLB: filled by faults, emptied by CR3 loads.
  Proactive,  ///< Windows are kept; page tables are write-protected, and a write takes effect at once.
  Unsync,     ///< Windows are kept for each guest page table; flushes drop what has changed (TableTracker).
};

/// Which windows each guest address space has.
enum class ShadowViews : uint8_t {
  Two,  ///< One for pretend-kernel, one for pretend-user mode: a change of privilege changes windows.
  One,  ///< One for both, emptied at each change of privilege.
};

/// When a page is filled that translated code accesses and the window does not show.
enum class ShadowFills : uint8_t {
  First,  ///< By the first access, at the price of the host's signal.
  /// Instructions whose accesses often find no page are the interpreter's while they do; by the access that
  /// shows that the page is in use.
  Again,
};

/// A virtual TLB is filled by faults.
[[nodiscard]] constexpr ShadowFills fills_of(ShadowPolicy policy) {
  return policy == ShadowPolicy::OnDemand ? ShadowFills::First : ShadowFills::Again;
}

struct ShadowChoice {
  ShadowPolicy policy = ShadowPolicy::Unsync;
  ShadowViews views = ShadowViews::Two;
  std::optional<ShadowFills> fills = std::nullopt;  ///< Nothing: the policy's own.
};

}  // namespace vitrine::paging

// Where the manuals leave something open, or are not followed, and processors of different makers differ: how
// the host's does it. The interpreter follows, since translated code, which runs on the host's processor,
// cannot do otherwise. docs/host-unit.md has the list.
#pragma once

namespace vitrine::cpu {

struct HostTraits {
  /// A repeated CMPS or SCAS that is stopped between two iterations has the flags of the last one; else those
  /// from before the instruction.
  bool repetition_keeps_flags = false;
  /// Where both operands of CMPS fault, the source's fault is reported; else the destination's.
  bool compares_source_first = false;
  /// The SHA instructions' operands in memory have to be aligned, as SDM Vol. 2B says.
  bool sha_operands_align = true;
  /// A gather that faults has changed nothing but the elements before the one that faults: they are loaded,
  /// and their part of the mask is zero. Else elements of the mask are all zeros or all ones by then, and
  /// upper halves zero.
  bool gather_keeps_rest = false;
};

/// Whether the host's processor is made to AMD's manual.
[[nodiscard]] bool host_is_amd();

/// The host's, by its maker and family: tried on Intel Xeon and on AMD EPYC (Zen 3 and Zen 5).
[[nodiscard]] const HostTraits& host_traits();

}  // namespace vitrine::cpu

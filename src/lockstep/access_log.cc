#include "lockstep/access_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace vitrine::lockstep {

std::string describe(const Access& a) {
  switch (a.kind) {
    case AccessKind::PortRead: return fmt::format("read of port {:04x}, {} bytes", a.address, a.size);
    case AccessKind::PortWrite:
      return fmt::format("write of {:x} to port {:04x}, {} bytes", a.written, a.address, a.size);
    case AccessKind::MemoryRead:
      return fmt::format("read of a device at physical {:08x}, {} bytes", a.address, a.size);
    case AccessKind::MemoryWrite:
      return fmt::format("write of {:x} to a device at physical {:08x}, {} bytes", a.written, a.address,
                         a.size);
    case AccessKind::Acknowledge: return "acknowledgement of an interrupt";
    case AccessKind::TimeStamp: return "read of the time-stamp counter";
    case AccessKind::SetApicBase: return fmt::format("write of {:x} to IA32_APIC_BASE", a.written);
    case AccessKind::SetTscDeadline: return fmt::format("write of {:x} to IA32_TSC_DEADLINE", a.written);
    case AccessKind::TscDeadline: return "read of IA32_TSC_DEADLINE";
    case AccessKind::Console: return fmt::format("{} bytes of text, {:x}", a.size, a.written);
    case AccessKind::Ferr: return fmt::format("FERR# = {}", a.written);
  }
  return "";
}

std::vector<Access> pieces_of_text(std::span<const uint8_t> text) {
  std::vector<Access> pieces;
  do {
    Access& piece = pieces.emplace_back(Access{.kind = AccessKind::Console});
    const auto bytes = text.first(std::min<size_t>(text.size(), sizeof piece.written));
    piece.size = static_cast<unsigned>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(&piece.written));
    text = text.subspan(bytes.size());
  } while (!text.empty());
  return pieces;
}

void AccessLog::clear() {
  accesses_.clear();
  replayed_ = 0;
  difference_.clear();
}

Access AccessLog::replay(const Access& access) {
  Access nothing = access;
  nothing.answer = access.kind == AccessKind::Acknowledge ? kNoVector : 0;
  if (replayed_ == accesses_.size()) {
    if (difference_.empty())
      difference_ = fmt::format("only the translator made this access: {}", describe(access));
    return nothing;
  }
  const Access& recorded = accesses_[replayed_++];
  const bool same = recorded.kind == access.kind && recorded.address == access.address &&
                    recorded.size == access.size && recorded.written == access.written;
  if (same) return recorded;
  if (difference_.empty()) {
    difference_ = fmt::format("access {} of the step\n  interpreter: {}\n  translator:  {}", replayed_,
                              describe(recorded), describe(access));
  }
  return nothing;
}

std::string AccessLog::difference() const {
  if (!difference_.empty() || replayed_ == accesses_.size()) return difference_;
  return fmt::format("only the interpreter made this access: {}", describe(accesses_[replayed_]));
}

}  // namespace vitrine::lockstep

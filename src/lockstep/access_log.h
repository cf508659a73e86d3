// What the interpreter asked of the world outside its processor in one step, in order: the other engine must
// ask the same, and is given the same answers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vitrine::lockstep {

enum class AccessKind : uint8_t {
  PortRead,
  PortWrite,
  MemoryRead,
  MemoryWrite,
  Acknowledge,  ///< The interrupt's vector, or kNoVector.
  TimeStamp,
  SetApicBase,
  SetTscDeadline,
  TscDeadline,
  Ferr,
  Console,  ///< Up to eight bytes of text; answer: whether there is a console.
};

inline constexpr uint64_t kNoVector = ~uint64_t{0};

struct Access {
  AccessKind kind = AccessKind::PortRead;
  uint64_t address = 0;  ///< Port or physical address; else 0.
  unsigned size = 0;
  uint64_t written = 0;     ///< What was written, or set.
  uint64_t answer = 0;      ///< What was read; SetApicBase: whether it was accepted.
  bool intr_after = false;  ///< The level of INTR afterwards.
};

[[nodiscard]] std::string describe(const Access& access);

/// Text for the console as accesses of at most eight bytes, at least one.
[[nodiscard]] std::vector<Access> pieces_of_text(std::span<const uint8_t> text);

class AccessLog {
 public:
  void clear();
  void record(const Access& access) { accesses_.push_back(access); }
  [[nodiscard]] bool empty() const { return accesses_.empty(); }

  /// The other engine makes this access: the recorded one, if it is the same but for the answer. Otherwise a
  /// difference is noted, and the answer is zero.
  [[nodiscard]] Access replay(const Access& access);
  /// Empty, or the first difference; accesses that were recorded and not replayed are one.
  [[nodiscard]] std::string difference() const;

 private:
  std::vector<Access> accesses_;
  size_t replayed_ = 0;
  std::string difference_;
};

}  // namespace vitrine::lockstep

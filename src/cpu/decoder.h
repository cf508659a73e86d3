// From bytes to the interpreter's own form of an instruction. The only place that knows Zydis.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/core.h"
#include "cpu/dispatch.h"
#include "cpu/instruction.h"

namespace vitrine::cpu {

enum class DecodeStatus : uint8_t {
  Done,       ///< Also for undefined opcodes: their handler raises #UD.
  NeedsMore,  ///< The instruction goes on behind the bytes given.
};

struct Decoded {
  DecodeStatus status = DecodeStatus::Done;
  Flow flow = Flow::Inline;  ///< Ending: the block ends after it.
};

class Decoder {
 public:
  explicit Decoder(const CpuModel& model);
  ~Decoder();

  /// Decodes one instruction from at most `available` bytes. `code32` is CS.D. Longer than 15 bytes: one that
  /// raises #GP(0). Everything of `instruction` is set but eip_offset. `encoding`, if given, is filled in for
  /// instructions that exist.
  [[nodiscard]] Decoded decode(Core& core, const uint8_t* bytes, unsigned available, bool code32,
                               Instruction& instruction, Encoding* encoding = nullptr);
  /// The same without a look at what has been decoded before. Keeps the result under `shape` unless that is
  /// 0.
  [[nodiscard]] Decoded decode_anew(Core& core, const uint8_t* bytes, unsigned available, bool code32,
                                    Instruction& instruction, uint64_t shape = 0,
                                    Encoding* encoding = nullptr);

 private:
  struct Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace vitrine::cpu

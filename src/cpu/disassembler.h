// Instructions as text, for the monitor and the event log. Beside the decoder the only user of Zydis.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace vitrine::cpu {

enum class CodeSize : uint8_t { Bits16, Bits32 };

struct Disassembly {
  unsigned length = 1;  ///< In bytes.
  std::string text;     ///< Intel syntax; `db 0xNN` where there is no instruction.
};

/// The instruction at the start of `code` (at least one byte), which the guest sees at offset `eip`.
[[nodiscard]] Disassembly disassemble(std::span<const uint8_t> code, uint32_t eip, CodeSize size);

}  // namespace vitrine::cpu

#include "cpu/disassembler.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

namespace vitrine::cpu {

Disassembly disassemble(std::span<const uint8_t> code, uint32_t eip, CodeSize size) {
  ZydisDecoder decoder;
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  ZydisFormatter formatter;
  char text[128];
  const bool wide = size == CodeSize::Bits32;
  const bool good =
      ZYAN_SUCCESS(ZydisDecoderInit(&decoder,
                                    wide ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
                                    wide ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16)) &&
      ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data(), code.size(), &instruction, operands)) &&
      ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)) &&
      ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                                   instruction.operand_count_visible, text, sizeof text, eip,
                                                   nullptr));
  if (!good) return {1, fmt::format("db {:#04x}", code[0])};
  return {instruction.length, text};
}

}  // namespace vitrine::cpu

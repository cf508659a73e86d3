#include "cpu/disassembler.h"

#include <gtest/gtest.h>

namespace vitrine::cpu {
namespace {

TEST(Disassembler, ShowsTheCodeSizeAndBranchTargets) {
  const uint8_t move[] = {0xb8, 0x34, 0x12, 0x00, 0x00};
  EXPECT_EQ(disassemble(move, 0, CodeSize::Bits32).text, "mov eax, 0x1234");
  EXPECT_EQ(disassemble(move, 0, CodeSize::Bits32).length, 5u);
  EXPECT_EQ(disassemble(move, 0, CodeSize::Bits16).text, "mov ax, 0x1234");
  const uint8_t jump[] = {0xeb, 0xfe};
  EXPECT_EQ(disassemble(jump, 0x1000, CodeSize::Bits32).text, "jmp 0x00001000");
}

TEST(Disassembler, WhatIsNoInstructionIsAByte) {
  const uint8_t cut[] = {0xb8, 0x34};
  const Disassembly result = disassemble(cut, 0, CodeSize::Bits32);
  EXPECT_EQ(result.length, 1u);
  EXPECT_EQ(result.text, "db 0xb8");
}

}  // namespace
}  // namespace vitrine::cpu

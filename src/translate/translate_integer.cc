// Moves, arithmetic, logic, shifts, bits: the same instruction for the host, its operands in the places where
// guest registers live. Encoded anew from what was decoded; no byte of the guest's prefixes is copied.
#include <algorithm>
#include <array>

#include "translate/unit_builder.h"

namespace vitrine::translate {
namespace {

using cpu::Encoding;
using cpu::Instruction;
using cpu::Operation;

// Operations whose host instruction does exactly the same to registers, memory and flags.
constexpr Operation kPlain[] = {
    Operation::Adc,    Operation::Add,     Operation::And,       Operation::Bsf,    Operation::Bsr,
    Operation::Btc,    Operation::Btr,     Operation::Bts,       Operation::Bt,     Operation::Cmovb,
    Operation::Cmovbe, Operation::Cmovl,   Operation::Cmovle,    Operation::Cmovnb, Operation::Cmovnbe,
    Operation::Cmovnl, Operation::Cmovnle, Operation::Cmovno,    Operation::Cmovnp, Operation::Cmovns,
    Operation::Cmovnz, Operation::Cmovo,   Operation::Cmovp,     Operation::Cmovs,  Operation::Cmovz,
    Operation::Cmp,    Operation::Cmpxchg, Operation::Cmpxchg8b, Operation::Dec,    Operation::Div,
    Operation::Idiv,   Operation::Imul,    Operation::Inc,       Operation::Lzcnt,  Operation::Mov,
    Operation::Movnti, Operation::Movsx,   Operation::Movzx,     Operation::Mul,    Operation::Neg,
    Operation::Not,    Operation::Or,      Operation::Popcnt,    Operation::Rcl,    Operation::Rcr,
    Operation::Rol,    Operation::Ror,     Operation::Sar,       Operation::Sbb,    Operation::Setb,
    Operation::Setbe,  Operation::Setl,    Operation::Setle,     Operation::Setnb,  Operation::Setnbe,
    Operation::Setnl,  Operation::Setnle,  Operation::Setno,     Operation::Setnp,  Operation::Setns,
    Operation::Setnz,  Operation::Seto,    Operation::Setp,      Operation::Sets,   Operation::Setz,
    Operation::Shl,    Operation::Shld,    Operation::Shr,       Operation::Shrd,   Operation::Sub,
    Operation::Test,   Operation::Tzcnt,   Operation::Xadd,      Operation::Xchg,   Operation::Xor,
};

bool is_plain(Operation operation) {
  static constexpr auto kTable = [] {
    std::array<bool, static_cast<size_t>(Operation::Count)> table{};
    for (const Operation plain : kPlain) table[static_cast<size_t>(plain)] = true;
    return table;
  }();
  return kTable[static_cast<size_t>(operation)];
}

bool is_bit_operation(Operation operation) {
  return operation == Operation::Bt || operation == Operation::Btc || operation == Operation::Btr ||
         operation == Operation::Bts;
}

/// Whether ModRM.reg belongs to the opcode.
bool has_extension(const Encoding& e) {
  if (e.map == 0) {
    switch (e.opcode) {
      case 0x80:
      case 0x81:
      case 0x82:
      case 0x83:
      case 0xc0:
      case 0xc1:
      case 0xc6:
      case 0xc7:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
      case 0xf6:
      case 0xf7:
      case 0xfe:
      case 0xff: return true;
      default: return false;
    }
  }
  return e.map == 1 && (e.opcode == 0xba || e.opcode == 0xc7 || (e.opcode & 0xf0) == 0x90);
}

struct ByteOperands {
  bool reg = false;
  bool rm = false;
};

// Which operands are byte registers, by opcode.
ByteOperands byte_operands(const Encoding& e) {
  if (e.map == 0) {
    const bool arithmetic = e.opcode < 0x40 && (e.opcode & 5) == 0;
    switch (e.opcode) {
      case 0x80:
      case 0x82:
      case 0xc0:
      case 0xc6:
      case 0xd0:
      case 0xd2:
      case 0xf6:
      case 0xfe: return {.rm = true};
      case 0x84:
      case 0x86:
      case 0x88:
      case 0x8a: return {.reg = true, .rm = true};
      default: return {arithmetic, arithmetic};
    }
  }
  if (e.map == 1) {
    if ((e.opcode & 0xf0) == 0x90 || e.opcode == 0xb6 || e.opcode == 0xbe) return {.rm = true};
    if (e.opcode == 0xb0 || e.opcode == 0xc0) return {.reg = true, .rm = true};
  }
  return {};
}

uint32_t raw_immediate(const Encoding& e) {
  uint32_t value = 0;
  std::copy_n(e.bytes + e.length - e.immediate_size, std::min<size_t>(e.immediate_size, 4),
              reinterpret_cast<uint8_t*>(&value));
  return value;
}

/// Whether an operand in memory is read, changed and written. Map 0 only; in doubt: no.
bool changes_memory(const Encoding& e) {
  if (e.map != 0) return false;
  const unsigned extension = e.modrm >> 3 & 7;
  if (e.opcode < 0x38) return (e.opcode & 6) == 0;
  switch (e.opcode) {
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83: return extension != 7;  // CMP
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return true;
    case 0xf6:
    case 0xf7: return extension == 2 || extension == 3;  // NOT, NEG
    case 0xfe:
    case 0xff: return extension < 2;  // INC, DEC
    default: return false;
  }
}

uint8_t mandatory_prefix(Operation operation) {
  const bool f3 =
      operation == Operation::Popcnt || operation == Operation::Tzcnt || operation == Operation::Lzcnt;
  return f3 ? 0xf3 : 0;
}

// The encoding as it would be with ModRM, for opcodes that name a register themselves.
bool without_modrm(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  Emitter& out = builder.out();
  const bool word = i.operand_size == 2;
  if (e.map == 1) return false;
  const uint8_t reg = e.opcode & 7;
  HostInstruction h{.prefix66 = static_cast<uint8_t>(word ? 0x66 : 0)};
  switch (e.opcode & 0xf8) {
    case 0x40:
    case 0x48:
      h.opcode = 0xff;
      h.reg = (e.opcode & 8) != 0 ? 1 : 0;
      h.rm = host_of(reg);
      return out.instruction(h);
    case 0x90:
      h.opcode = 0x87;
      h.reg = host_of(reg);
      h.rm = kRax;
      return reg != 0 && out.instruction(h);
    case 0xb0: out.bytes(e.opcode, raw_immediate(e)); return true;
    case 0xb8:
      h.opcode = 0xc7;
      h.rm = host_of(reg);
      h.immediate_size = word ? 2 : 4;
      h.immediate = raw_immediate(e);
      if (!word) {
        out.move_immediate(host_of(reg), h.immediate);
        return true;
      }
      return out.instruction(h);
    default: break;
  }
  // Accumulator and immediate.
  const bool arithmetic = e.opcode < 0x40 && (e.opcode & 6) == 4;
  if (!arithmetic && e.opcode != 0xa8 && e.opcode != 0xa9) return false;
  if (word) out.byte(0x66);
  out.byte(e.opcode);
  for (unsigned n = 0; n < e.immediate_size; ++n) out.byte(e.bytes[e.length - e.immediate_size + n]);
  return true;
}

// MOV between the accumulator and an absolute address.
bool move_absolute(UnitBuilder& builder) {
  const Encoding& e = builder.encoding();
  HostInstruction h{.is_memory = true};
  if (!builder.memory_operand(h.memory)) return false;
  const bool byte = (e.opcode & 1) == 0;
  if (builder.instruction().operand_size == 2) h.prefix66 = 0x66;
  h.opcode = static_cast<uint8_t>(((e.opcode & 2) != 0 ? 0x88 : 0x8a) | (byte ? 0 : 1));
  h.byte_reg = byte;
  return builder.out().instruction(h);
}

bool re_encode(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  if (e.kind != cpu::EncodingKind::Legacy || e.map > 1) return false;
  if (!e.has_modrm)
    return e.map == 0 && (e.opcode & 0xfc) == 0xa0 ? move_absolute(builder) : without_modrm(builder);
  const ByteOperands bytes = byte_operands(e);
  const uint8_t field = e.modrm >> 3 & 7;
  const uint8_t rm = e.modrm & 7;
  HostInstruction h{.prefix66 = static_cast<uint8_t>(i.operand_size == 2 ? 0x66 : 0),
                    .mandatory = mandatory_prefix(i.operation),
                    .lock = (i.prefixes & cpu::kPrefixLock) != 0,
                    .byte_rm = bytes.rm,
                    .map = e.map,
                    .opcode = e.opcode == 0x82 && e.map == 0 ? uint8_t{0x80} : e.opcode,
                    .immediate_size = e.immediate_size,
                    .immediate = raw_immediate(e)};
  if (has_extension(e)) {
    h.reg = field;
    if ((e.opcode == 0xf6 || e.opcode == 0xf7) && e.map == 0 && field == 1) h.reg = 0;  // TEST has two
    if ((e.opcode & 0xfc) == 0xd0 && e.map == 0 && field == 6) h.reg = 4;               // and so has SHL
    if ((e.opcode & 0xfe) == 0xc0 && e.map == 0 && field == 6) h.reg = 4;
  } else {
    h.byte_reg = bytes.reg;
    h.reg = bytes.reg ? field : uint8_t{host_of(field)};
  }
  if (i.is_memory != 0) {
    h.is_memory = true;
    const bool high_byte = bytes.reg && field >= 4;
    const bool changes = changes_memory(e);
    if (!builder.memory_operand(h.memory, high_byte || changes ? OperandUse::Segment : OperandUse::Plain))
      return false;
  } else {
    h.rm = bytes.rm ? rm : uint8_t{host_of(rm)};
  }
  return builder.out().instruction(h);
}

// MOVBE, CRC32, ADCX, ADOX: 0F 38 F0, F1, F6. The last prefix that counts tells them apart.
bool three_byte_opcode(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  if (e.kind != cpu::EncodingKind::Legacy || e.map != 2) return false;
  const bool crc32 = i.operation == Operation::Crc32;
  const bool movbe = i.operation == Operation::Movbe;
  HostInstruction h{.map = 2, .opcode = e.opcode, .reg = host_of(e.modrm >> 3 & 7)};
  if (crc32) {
    h.mandatory = 0xf2;
    h.byte_rm = i.rm_size == 1;
    h.prefix66 = i.rm_size == 2 ? 0x66 : 0;
  } else if (movbe) {
    h.prefix66 = i.operand_size == 2 ? 0x66 : 0;
  } else {
    h.mandatory = i.operation == Operation::Adox ? 0xf3 : 0;
    h.prefix66 = i.operation == Operation::Adcx ? 0x66 : 0;
  }
  if (i.is_memory != 0) {
    h.is_memory = true;
    if (!builder.memory_operand(h.memory)) return false;
  } else {
    const uint8_t rm = e.modrm & 7;
    h.rm = h.byte_rm ? rm : uint8_t{host_of(rm)};
  }
  return builder.out().instruction(h);
}

// BT and its relatives with a bit offset in a register reach 256 MiB to both sides of their operand. The
// address is worked out here, so that what the host adds is nothing. SDM Vol. 2A, "BT".
bool bit_in_memory(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  if (!builder.options().bmi2 || i.operand_size != 4) return false;
  HostMemory memory;
  if (!builder.memory_operand(memory)) return false;
  Emitter& out = builder.out();
  HostMemory plain = memory;
  plain.space = AddressSpace::Monitor;
  out.load_address(kR8, plain);
  const HostRegister offset = host_of(i.reg);
  // mov r9d, 5; sarx r9d, offset, r9d; lea r8d, [r8 + r9 * 4]
  out.move_immediate(kR9, 5);
  const auto vex_b = static_cast<uint8_t>(offset >= 8 ? 0x42 : 0x62);
  out.bytes(0xc4, vex_b, 0x32, 0xf7, 0xc8 | (offset & 7));
  out.load_address(kR8, {.base = kR8, .index = kR9, .scale = 2});
  // mov r9d, 31; pext r9d, offset, r9d: its low five bits
  out.move_immediate(kR9, 31);
  out.move(kR10, offset);
  out.bytes(0xc4, 0x42, 0x2a, 0xf5, 0xc9);  // pext r9d, r10d, r9d
  return out.instruction({.lock = (i.prefixes & cpu::kPrefixLock) != 0,
                          .map = 1,
                          .opcode = e.opcode,
                          .reg = kR9,
                          .is_memory = true,
                          .memory = UnitBuilder::window(kR8)});
}

bool load_effective_address(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  if (i.address_mask != 0xffffffff) return false;
  HostMemory memory{.displacement = static_cast<int32_t>(i.displacement + builder.displacement_of(i.base))};
  if (i.base != cpu::kNoRegister) memory.base = host_of(i.base);
  if (i.index != cpu::kNoRegister) {
    memory.index = host_of(i.index);
    memory.scale = i.scale;
  }
  return builder.out().instruction({.prefix66 = static_cast<uint8_t>(i.operand_size == 2 ? 0x66 : 0),
                                    .opcode = 0x8d,
                                    .reg = host_of(i.reg),
                                    .is_memory = true,
                                    .memory = memory});
}

bool byte_swap(UnitBuilder& builder) {
  if (builder.instruction().operand_size != 4) return false;
  const HostRegister reg = host_of(builder.encoding().opcode & 7);
  if (reg >= 8) return false;
  builder.out().bytes(0x0f, 0xc8 | reg);
  return true;
}

bool convert(UnitBuilder& builder) {
  if (builder.instruction().operand_size == 2) builder.out().byte(0x66);
  builder.out().byte(builder.encoding().opcode);
  return true;
}

// MOV r32, Sreg. SDM Vol. 2B, "MOV": the selector, zero-extended.
bool read_selector(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  const Encoding& e = builder.encoding();
  if (e.opcode != 0x8c || i.is_memory != 0 || i.operand_size != 4) return false;
  builder.out().load(host_of(e.modrm & 7), context_field(offsetof(GuestContext, selectors) + 4 * i.reg));
  return true;
}

/// MOV r32, ESP
bool reads_stack_pointer(const Instruction& i, const Encoding& e) {
  if (i.operation != Operation::Mov || i.operand_size != 4 || i.is_memory != 0 || !e.has_modrm) return false;
  const unsigned field = e.modrm >> 3 & 7, rm = e.modrm & 7;
  return (e.opcode == 0x89 && field == x86::kEsp && rm != x86::kEsp) ||
         (e.opcode == 0x8b && rm == x86::kEsp && field != x86::kEsp);
}

// MOV between AH–BH and an address that needs REX, with which those registers cannot be named: through r10d,
// with the register's two bytes exchanged meanwhile.
bool move_high_byte(UnitBuilder& builder) {
  const Encoding& e = builder.encoding();
  const auto reg = static_cast<uint8_t>(e.modrm >> 3 & 7);
  const bool store = e.opcode == 0x88;
  if ((!store && e.opcode != 0x8a) || builder.instruction().is_memory == 0 || reg < 4) return false;
  const auto low = static_cast<uint8_t>(reg - 4);
  Emitter& out = builder.out();
  HostMemory memory;
  if (!builder.memory_operand(memory)) return false;
  const auto exchange = [&] { out.bytes(0x86, 0xc0 | reg << 3 | low); };
  if (store) {
    exchange();
    out.move(kR10, static_cast<HostRegister>(low));
    exchange();
    return out.instruction({.opcode = 0x88, .reg = kR10, .is_memory = true, .memory = memory});
  }
  if (!out.instruction({.map = 1, .opcode = 0xb6, .reg = kR10, .is_memory = true, .memory = memory}))
    return false;
  exchange();
  out.bytes(0x44, 0x88, 0xc0 | (kR10 & 7) << 3 | low);  // mov low, r10b
  exchange();
  return true;
}

bool emit(UnitBuilder& builder) {
  const Instruction& i = builder.instruction();
  switch (i.operation) {
    case Operation::Pause:
      if (builder.options().pause_ends_turn) return false;
      builder.out().bytes(0xf3, 0x90);
      return true;
    case Operation::Nop:
    case Operation::Endbr32:
    case Operation::Prefetch:
    case Operation::Prefetchnta:
    case Operation::Prefetcht0:
    case Operation::Prefetcht1:
    case Operation::Prefetcht2:
    case Operation::Prefetchw: return true;
    case Operation::Lfence: builder.out().bytes(0x0f, 0xae, 0xe8); return true;
    case Operation::Mfence: builder.out().bytes(0x0f, 0xae, 0xf0); return true;
    case Operation::Sfence: builder.out().bytes(0x0f, 0xae, 0xf8); return true;
    case Operation::MovSegment: return read_selector(builder);
    case Operation::Lea: return load_effective_address(builder);
    case Operation::Bswap: return byte_swap(builder);
    case Operation::Adcx:
    case Operation::Adox:
    case Operation::Crc32:
    case Operation::Movbe: return three_byte_opcode(builder);
    case Operation::Cbw:
    case Operation::Cwd: return convert(builder);
    default: break;
  }
  if (!is_plain(i.operation)) return false;
  const std::optional<int32_t> adjustment = stack_adjustment(i, builder.encoding());
  if (adjustment && builder.pending_allowed(*adjustment)) {
    // The flags, beside the way of ESP from one instruction to the next.
    builder.load_general(kR8, x86::kEsp);
    const bool done =
        builder.out().instruction({.opcode = 0x81,
                                   .reg = i.operation == Operation::Add ? uint8_t{0} : uint8_t{5},
                                   .rm = kR8,
                                   .immediate_size = 4,
                                   .immediate = i.immediate});
    builder.move_stack_pointer(*adjustment);
    return done;
  }
  if (reads_stack_pointer(i, builder.encoding())) {
    const unsigned field = builder.encoding().modrm >> 3 & 7;
    const HostRegister to = host_of(field != x86::kEsp ? field : builder.encoding().modrm & 7);
    builder.load_general(to, x86::kEsp);
    return true;
  }
  const bool register_offset = builder.encoding().opcode != 0xba;
  if (is_bit_operation(i.operation) && i.is_memory != 0 && register_offset) return bit_in_memory(builder);
  if (re_encode(builder)) return true;
  if (i.operation != Operation::Mov) return false;
  builder.undo_instruction();
  return move_high_byte(builder);
}

}  // namespace

std::optional<int32_t> stack_adjustment(const Instruction& i, const Encoding& e) {
  constexpr int32_t kMost = 256;
  const bool adds = i.operation == Operation::Add;
  if ((!adds && i.operation != Operation::Sub) || i.form != cpu::OperandForm::RmImmediate ||
      i.is_memory != 0 || i.operand_size != 4 || !e.has_modrm || (e.modrm & 7) != x86::kEsp)
    return std::nullopt;
  const auto by = static_cast<int32_t>(i.immediate);
  if (by % 4 != 0 || by < -kMost || by > kMost) return std::nullopt;
  return adds ? by : -by;
}

bool is_integer_without_esp(const Instruction& i, const Encoding& e) {
  if (e.kind != cpu::EncodingKind::Legacy) return false;
  switch (i.operation) {
    case Operation::Nop:
    case Operation::Endbr32:
    case Operation::Cbw:
    case Operation::Cwd: return true;
    case Operation::Lea: return i.reg != x86::kEsp;
    default: break;
  }
  if (!is_plain(i.operation) || e.map > 1) return false;
  if (!e.has_modrm) return (e.opcode & 7) != x86::kEsp || e.opcode < 0x40 || (e.opcode & 0xf0) == 0xa0;
  if (reads_stack_pointer(i, e)) return true;
  const bool reg = (e.modrm >> 3 & 7) == x86::kEsp && !has_extension(e);
  const bool rm = (e.modrm & 7) == x86::kEsp && i.is_memory == 0;
  return !reg && !rm;
}

Verdict translate_integer(UnitBuilder& builder) {
  return emit(builder) ? Verdict::Next : Verdict::Declined;
}

}  // namespace vitrine::translate

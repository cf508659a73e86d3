// Decoding with Zydis: see decoder.h.
//
// What Zydis does otherwise than processors is corrected here: features that the model lacks (its LZCNT,
// TZCNT, MPX and CET readings of what are older instructions or no-operations), and the ignored ModRM
// encodings of 0F 0D and 0F 18–1F.
#include "cpu/decoder.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "cpu/decode_templates.h"
#include "cpu/instruction_table.h"

namespace vitrine::cpu {
namespace {

bool undefined_opcode(Core& core, const Instruction& /*i*/) {
  return core.raise(x86::Vector::InvalidOpcode);
}
bool too_long(Core& core, const Instruction& /*i*/) {
  return core.raise(x86::Vector::GeneralProtection);
}

// Zydis's mnemonics that are not the operation's name in lower case.
std::string operation_name(std::string_view mnemonic) {
  static constexpr std::pair<std::string_view, std::string_view> kOthers[] = {
      {"movsb", "movs"},
      {"movsw", "movs"},
      {"cmpsb", "cmps"},
      {"cmpsw", "cmps"},
      {"stosb", "stos"},
      {"stosw", "stos"},
      {"stosd", "stos"},
      {"lodsb", "lods"},
      {"lodsw", "lods"},
      {"lodsd", "lods"},
      {"scasb", "scas"},
      {"scasw", "scas"},
      {"scasd", "scas"},
      {"insb", "ins"},
      {"insw", "ins"},
      {"insd", "ins"},
      {"outsb", "outs"},
      {"outsw", "outs"},
      {"outsd", "outs"},
      {"pushad", "pusha"},
      {"popad", "popa"},
      {"pushfd", "pushf"},
      {"popfd", "popf"},
      {"iretd", "iret"},
      {"cwde", "cbw"},
      {"cdq", "cwd"},
      {"jecxz", "jcxz"},
      {"feni8087_nop", "feni"},
      {"fdisi8087_nop", "fdisi"},
      {"fsetpm287_nop", "fsetpm"},
  };
  for (const auto& [zydis, ours] : kOthers) {
    if (zydis == mnemonic) return std::string(ours);
  }
  return std::string(mnemonic);
}

std::array<Operation, ZYDIS_MNEMONIC_MAX_VALUE + 1> make_operation_map() {
  std::unordered_map<std::string, Operation> by_name;
  for (unsigned i = 1; i < static_cast<unsigned>(Operation::Count); ++i) {
    std::string lower = name(static_cast<Operation>(i));
    std::ranges::transform(lower, lower.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    by_name.emplace(lower, static_cast<Operation>(i));
  }
  std::array<Operation, ZYDIS_MNEMONIC_MAX_VALUE + 1> map{};
  for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; ++i) {
    const char* mnemonic = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(i));
    if (mnemonic == nullptr) continue;
    const auto it = by_name.find(operation_name(mnemonic));
    map[i] = it == by_name.end() ? Operation::Invalid : it->second;
  }
  return map;
}

using Operands = std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT>;

bool is_class(const ZydisDecodedOperand& operand, ZydisRegisterClass wanted) {
  return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(operand.reg.value) == wanted;
}

// Operations whose name depends on more than the mnemonic.
Operation refine(Operation operation, const ZydisDecodedInstruction& zydis, const Operands& operands) {
  const bool far_branch = zydis.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
  switch (operation) {
    case Operation::Jmp: return far_branch ? Operation::JmpFar : operation;
    case Operation::Call: return far_branch ? Operation::CallFar : operation;
    case Operation::Ret: return far_branch ? Operation::RetFar : operation;
    case Operation::Movsd: return zydis.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? Operation::Movs : operation;
    case Operation::Cmpsd: return zydis.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? Operation::Cmps : operation;
    case Operation::Push:
      return is_class(operands[0], ZYDIS_REGCLASS_SEGMENT) ? Operation::PushSegment : operation;
    case Operation::Pop:
      return is_class(operands[0], ZYDIS_REGCLASS_SEGMENT) ? Operation::PopSegment : operation;
    case Operation::Mov:
      for (unsigned i = 0; i < 2; ++i) {
        if (is_class(operands[i], ZYDIS_REGCLASS_SEGMENT)) return Operation::MovSegment;
        if (is_class(operands[i], ZYDIS_REGCLASS_CONTROL)) return Operation::MovControl;
        if (is_class(operands[i], ZYDIS_REGCLASS_DEBUG)) return Operation::MovDebug;
      }
      return operation;
    default: return operation;
  }
}

uint8_t gpr_number(ZydisRegister reg) {
  if (reg == ZYDIS_REGISTER_NONE) return kNoRegister;
  const ZyanI8 id = ZydisRegisterGetId(reg);
  return id < 0 || id > 7 ? kNoRegister : static_cast<uint8_t>(id);
}

void set_memory(const ZydisDecodedInstruction& zydis, const ZydisDecodedOperand& operand, Instruction& i) {
  i.is_memory = 1;
  i.base = gpr_number(operand.mem.base);
  i.index = gpr_number(operand.mem.index);
  i.scale = operand.mem.scale == 0 ? 0 : static_cast<uint8_t>(__builtin_ctz(operand.mem.scale));
  i.displacement = static_cast<uint32_t>(operand.mem.disp.value);
  i.segment = gpr_number(operand.mem.segment);
  i.rm_size = static_cast<uint8_t>(std::min(operand.size / 8, 255));
  i.address_mask = zydis.address_width == 16 ? 0xffff : 0xffffffff;
}

// What an operand is, in a word: E and G as in the manual's opcode maps, V for VEX.vvvv, C for CL, I, R and F
// for immediates.
char kind_of(const ZydisDecodedOperand& operand) {
  switch (operand.type) {
    case ZYDIS_OPERAND_TYPE_MEMORY: return 'E';
    case ZYDIS_OPERAND_TYPE_POINTER: return 'F';
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return operand.imm.is_relative ? 'R' : 'I';
    default: break;
  }
  switch (operand.encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG: return 'G';
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
    case ZYDIS_OPERAND_ENCODING_OPCODE: return 'E';
    case ZYDIS_OPERAND_ENCODING_NDSNDD: return 'V';
    default:
      return is_class(operand, ZYDIS_REGCLASS_GPR8) && operand.reg.value == ZYDIS_REGISTER_CL ? 'C' : 'A';
  }
}

OperandForm form_of(const char* kinds) {
  static constexpr std::pair<std::string_view, OperandForm> kForms[] = {
      {"E", OperandForm::Rm},
      {"A", OperandForm::Rm},
      {"EG", OperandForm::RmReg},
      {"EA", OperandForm::RmReg},
      {"GE", OperandForm::RegRm},
      {"AE", OperandForm::RegRm},
      {"EI", OperandForm::RmImmediate},
      {"AI", OperandForm::RmImmediate},
      {"GEI", OperandForm::RegRmImmediate},
      {"EGI", OperandForm::RmRegImmediate},
      {"EC", OperandForm::RmCl},
      {"EGC", OperandForm::RmRegCl},
      {"GVE", OperandForm::RegVexRm},
      {"GEV", OperandForm::RegRmVex},
      {"VE", OperandForm::VexRm},
      {"I", OperandForm::Immediate},
      {"II", OperandForm::Immediate},
      {"R", OperandForm::Relative},
      {"F", OperandForm::Far},
      {"IA", OperandForm::Immediate},
  };
  for (const auto& [text, form] : kForms) {
    if (text == kinds) return form;
  }
  return OperandForm::None;
}

void set_operands(const ZydisDecodedInstruction& zydis, const Operands& operands, Instruction& i) {
  char kinds[8] = {};
  unsigned count = 0;
  bool first_immediate = true;
  for (unsigned n = 0; n < zydis.operand_count && count < 7; ++n) {
    const ZydisDecodedOperand& operand = operands[n];
    if (operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) continue;
    char kind = kind_of(operand);
    // CL in "IN AL, …" or an accumulator is no shift count; only shifts have it behind an E.
    if (kind == 'C' && count == 0) kind = 'A';
    kinds[count++] = kind;
    const uint8_t number =
        operand.type == ZYDIS_OPERAND_TYPE_REGISTER ? gpr_number(operand.reg.value) : kNoRegister;
    switch (kind) {
      case 'E':
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
          set_memory(zydis, operand, i);
        } else {
          i.rm = number;
          i.rm_size = static_cast<uint8_t>(operand.size / 8);
        }
        break;
      case 'G': i.reg = number; break;
      case 'V': i.vex_register = number; break;
      case 'I':
        if (!first_immediate)
          i.immediate2 = static_cast<uint8_t>(operand.imm.value.u);
        else
          i.immediate = static_cast<uint32_t>(operand.imm.value.u);
        first_immediate = false;
        break;
      case 'R': i.displacement = static_cast<uint32_t>(operand.imm.value.u); break;
      case 'F':
        i.displacement = operand.ptr.offset;
        i.immediate = operand.ptr.segment;
        break;
      default: break;
    }
  }
  i.form = form_of(kinds);
  // A register that the opcode implies is the r/m operand when there is no other, else the register operand.
  for (unsigned n = 0, at = 0; n < zydis.operand_count && at < count; ++n) {
    if (operands[n].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) continue;
    if (kinds[at++] != 'A' || operands[n].type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const uint8_t number = gpr_number(operands[n].reg.value);
    if (std::strchr(kinds, 'E') != nullptr) {
      i.reg = number;
    } else {
      i.reg = i.rm = number;
      i.rm_size = static_cast<uint8_t>(operands[n].size / 8);
    }
  }
}

uint8_t operand_size(Operation operation, const ZydisDecodedInstruction& zydis, const Operands& operands) {
  const auto width = static_cast<uint8_t>(zydis.operand_width / 8);
  switch (operation) {
    case Operation::Lgdt:
    case Operation::Lidt:
    case Operation::Sgdt:
    case Operation::Sidt:
    case Operation::Lds:
    case Operation::Les:
    case Operation::Lfs:
    case Operation::Lgs:
    case Operation::Lss:
    case Operation::JmpFar:
    case Operation::CallFar:
    case Operation::RetFar:
    case Operation::Iret:
    case Operation::Jmp:
    case Operation::Call:
    case Operation::Ret:
    case Operation::Push:
    case Operation::Pop:
    case Operation::PushSegment:
    case Operation::PopSegment:
    case Operation::Pusha:
    case Operation::Popa:
    case Operation::Pushf:
    case Operation::Popf:
    case Operation::Enter:
    case Operation::Leave: return width;
    case Operation::Out: return static_cast<uint8_t>(operands[1].size / 8);
    default: break;
  }
  if (zydis.meta.category == ZYDIS_CATEGORY_COND_BR) return width;
  for (unsigned n = 0; n < zydis.operand_count; ++n) {
    if (is_class(operands[n], ZYDIS_REGCLASS_YMM)) return 32;
  }
  for (unsigned n = 0; n < zydis.operand_count; ++n) {
    if (is_class(operands[n], ZYDIS_REGCLASS_XMM)) return 16;
  }
  for (unsigned n = 0; n < zydis.operand_count; ++n) {
    if (is_class(operands[n], ZYDIS_REGCLASS_MMX)) return 8;
  }
  if (zydis.operand_count == 0) return width;
  const bool memory_or_register =
      operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY || operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
  const bool string =
      zydis.meta.category == ZYDIS_CATEGORY_STRINGOP || zydis.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
  const bool visible = operands[0].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN;
  if (!memory_or_register || !(visible || string)) return width;
  if (operation == Operation::Outs) return static_cast<uint8_t>(operands[1].size / 8);
  return static_cast<uint8_t>(std::min(operands[0].size / 8, 255));
}

uint8_t prefixes_of(const ZydisDecodedInstruction& zydis) {
  uint8_t prefixes = (zydis.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0 ? kPrefixLock : 0;
  for (unsigned n = 0; n < zydis.raw.prefix_count; ++n) {
    const uint8_t value = zydis.raw.prefixes[n].value;
    if (value == 0xf2 || value == 0xf3) {
      prefixes = static_cast<uint8_t>(prefixes & kPrefixLock) | (value == 0xf3 ? kPrefixRep : kPrefixRepne);
    }
  }
  return prefixes;
}

// The segment of a string instruction's source, which is no visible operand: DS or the override.
uint8_t source_segment(const ZydisDecodedInstruction& zydis) {
  if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS) != 0) return x86::kCs;
  if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS) != 0) return x86::kSs;
  if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES) != 0) return x86::kEs;
  if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS) != 0) return x86::kFs;
  if ((zydis.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS) != 0) return x86::kGs;
  return x86::kDs;
}

// SDM Vol. 2A, "The VEX Prefix". In 32-bit mode only the low three bits of vvvv count.
void set_vex(const ZydisDecodedInstruction& zydis, const uint8_t* bytes, Encoding& encoding) {
  constexpr uint8_t kPrefixes[] = {0, 0x66, 0xf3, 0xf2};
  const uint8_t* const prefix = bytes + zydis.raw.vex.offset;
  const bool long_form = prefix[0] == 0xc4;
  const uint8_t last = prefix[long_form ? 2 : 1];
  encoding.kind = EncodingKind::Vex;
  encoding.mandatory_prefix = kPrefixes[last & 3];
  encoding.vex_l = last >> 2 & 1;
  encoding.vex_w = long_form ? last >> 7 : 0;
  encoding.vex_vvvv = static_cast<uint8_t>(~last >> 3 & 7);
}

Encoding encoding_of(const ZydisDecodedInstruction& zydis, const uint8_t* bytes) {
  Encoding encoding{};
  encoding.length = zydis.length;
  std::memcpy(encoding.bytes, bytes, zydis.length);
  switch (zydis.opcode_map) {
    case ZYDIS_OPCODE_MAP_0F: encoding.map = 1; break;
    case ZYDIS_OPCODE_MAP_0F38: encoding.map = 2; break;
    case ZYDIS_OPCODE_MAP_0F3A: encoding.map = 3; break;
    default: break;
  }
  encoding.opcode = zydis.opcode;
  for (unsigned n = 0; n < zydis.raw.prefix_count; ++n) {
    const uint8_t value = zydis.raw.prefixes[n].value;
    if (value == 0xf2 || value == 0xf3) encoding.mandatory_prefix = value;
    if (value == 0x66 && encoding.mandatory_prefix == 0) encoding.mandatory_prefix = value;
  }
  encoding.has_modrm = (zydis.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
  if (encoding.has_modrm)
    encoding.modrm = zydis.raw.modrm.offset < zydis.length ? bytes[zydis.raw.modrm.offset] : 0;
  if (zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) set_vex(zydis, bytes, encoding);
  encoding.immediate_size = static_cast<uint8_t>((zydis.raw.imm[0].size + zydis.raw.imm[1].size) / 8);
  return encoding;
}

InstructionField immediate_field(const ZydisDecodedInstruction& zydis, unsigned which) {
  const auto& immediate = zydis.raw.imm[which];
  return {immediate.offset, static_cast<uint8_t>(immediate.size / 8), immediate.is_signed != 0};
}

// Where the numbers of an instruction stand; what set_operands() does with them.
InstructionFields fields_of(const ZydisDecodedInstruction& zydis, OperandForm form) {
  const InstructionField first = immediate_field(zydis, 0), second = immediate_field(zydis, 1);
  if (form == OperandForm::Relative) return {first, {}, {}};
  if (form == OperandForm::Far) return {first, second, {}};
  return {{zydis.raw.disp.offset, static_cast<uint8_t>(zydis.raw.disp.size / 8), true}, first, second};
}

Instruction blank() {
  Instruction i{};
  i.handler = &run_inline<undefined_opcode>;
  i.address_mask = 0xffffffff;
  i.length = 1;
  i.base = i.index = kNoRegister;
  i.segment = x86::kDs;
  i.form = OperandForm::None;
  return i;
}

Decoded fault_instruction(Handler handler, unsigned length, Instruction& i) {
  i = blank();
  i.handler = handler;
  i.length = static_cast<uint8_t>(length);
  return {DecodeStatus::Done, Flow::Ending};
}

// As many bytes as it takes to know: a change of any of them may make it something else.
Decoded undefined_instruction(const ZydisDecoder& decoder, const uint8_t* bytes, unsigned limit,
                              Instruction& i) {
  ZydisDecodedInstruction zydis;
  Operands operands{};
  unsigned length = 1;
  while (length < limit && ZydisDecoderDecodeFull(&decoder, bytes, length, &zydis, operands.data()) ==
                               ZYDIS_STATUS_NO_MORE_DATA)
    ++length;
  return fault_instruction(&run_inline<undefined_opcode>, length, i);
}

}  // namespace

const char* name(Operation operation) {
  static constexpr const char* kNames[] = {
      "Invalid",
#define VITRINE_OPERATION(operation_name) #operation_name,
#include "cpu/operation_list.inc"
#undef VITRINE_OPERATION
  };
  const auto index = static_cast<size_t>(operation);
  return index < std::size(kNames) ? kNames[index] : "?";
}

struct Decoder::Engine {
  ZydisDecoder code16, code32;
  DecodeTemplates templates;
  std::array<Operation, ZYDIS_MNEMONIC_MAX_VALUE + 1> operations = make_operation_map();
};

Decoder::Decoder(const CpuModel& model) : engine_(std::make_unique<Engine>()) {
  CHECK(ZYAN_SUCCESS(ZydisDecoderInit(&engine_->code16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16)));
  CHECK(ZYAN_SUCCESS(ZydisDecoderInit(&engine_->code32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32)));
  const std::pair<ZydisDecoderMode, bool> modes[] = {
      {ZYDIS_DECODER_MODE_LZCNT, model.has(Feature::Abm)},
      {ZYDIS_DECODER_MODE_TZCNT, model.has(Feature::Bmi1)},
      {ZYDIS_DECODER_MODE_MPX, false},
      {ZYDIS_DECODER_MODE_CET, false},
      {ZYDIS_DECODER_MODE_CLDEMOTE, false},
      {ZYDIS_DECODER_MODE_WBNOINVD, false},
      {ZYDIS_DECODER_MODE_KNC, false},
  };
  for (const auto& [mode, on] : modes) {
    for (ZydisDecoder* decoder : {&engine_->code16, &engine_->code32}) {
      CHECK(ZYAN_SUCCESS(ZydisDecoderEnableMode(decoder, mode, on ? ZYAN_TRUE : ZYAN_FALSE)));
    }
  }
}

Decoder::~Decoder() = default;

Decoded Decoder::decode(Core& core, const uint8_t* bytes, unsigned available, bool code32, Instruction& i,
                        Encoding* encoding) {
  const uint64_t shape = instruction_shape(bytes, available, code32);
  Flow flow = Flow::Inline;
  if (shape != 0 && engine_->templates.find(shape, bytes, available, i, flow, encoding))
    return {DecodeStatus::Done, flow};
  return decode_anew(core, bytes, available, code32, i, shape, encoding);
}

Decoded Decoder::decode_anew(Core& core, const uint8_t* bytes, unsigned available, bool code32,
                             Instruction& i, uint64_t shape, Encoding* encoding) {
  const ZydisDecoder& decoder = code32 ? engine_->code32 : engine_->code16;
  ZydisDecodedInstruction zydis;
  Operands operands{};
  const unsigned limit = std::min(available, 15u);
  const ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes, limit, &zydis, operands.data());
  if (status == ZYDIS_STATUS_NO_MORE_DATA) {
    if (available < 15) return {DecodeStatus::NeedsMore, Flow::Inline};
    return fault_instruction(&run_inline<too_long>, 15, i);
  }
  if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) return fault_instruction(&run_inline<too_long>, 15, i);
  if (!ZYAN_SUCCESS(status)) return undefined_instruction(decoder, bytes, limit, i);

  const bool known =
      zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY || zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  if (!known) return undefined_instruction(decoder, bytes, limit, i);

  i = blank();
  i.length = zydis.length;
  i.operation = refine(engine_->operations[zydis.mnemonic], zydis, operands);
  i.operand_size = operand_size(i.operation, zydis, operands);
  i.rm_size = i.operand_size;
  i.address_mask = zydis.address_width == 16 ? 0xffff : 0xffffffff;
  i.prefixes = prefixes_of(zydis);
  set_operands(zydis, operands, i);
  if (zydis.meta.category == ZYDIS_CATEGORY_STRINGOP || zydis.meta.category == ZYDIS_CATEGORY_IOSTRINGOP) {
    i.is_memory = 0;
    i.form = OperandForm::None;
  }
  if (!i.is_memory) i.segment = source_segment(zydis);

  const InstructionRow* row = find_row(i, core.env.model);
  if (row == nullptr) return undefined_instruction(decoder, bytes, limit, i);
  i.handler = row->handler;
  const Encoding encoded = encoding_of(zydis, bytes);
  if (encoding != nullptr) *encoding = encoded;
  if (row->prepare != nullptr && !row->prepare(core, encoded, i)) {
    return undefined_instruction(decoder, bytes, limit, i);
  }
  // What a prepare function makes of an immediate is its own affair.
  const bool prepared_number = row->prepare != nullptr && zydis.raw.imm[0].size != 0;
  if (shape != 0 && !prepared_number)
    engine_->templates.keep(shape, bytes, i, row->flow, encoded, fields_of(zydis, i.form));
  return {DecodeStatus::Done, row->flow};
}

}  // namespace vitrine::cpu

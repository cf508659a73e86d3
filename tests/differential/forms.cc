// Enumeration of encodings: see forms.h.
#include "differential/forms.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <set>
#include <tuple>

#include "cpu/vex_forms.h"

namespace vitrine::differential {
namespace {

using cpu::Operation;

struct Excluded {
  Operation operation;
  const char* reason;
};

constexpr const char* kModel = "what it returns belongs to the processor model, not to the architecture";
constexpr const char* kTime = "returns time or randomness";
constexpr const char* kTables = "depends on descriptor tables, which differ from the host kernel's";
constexpr const char* kEmulated = "the host kernel emulates it or sets it up its own way";
constexpr const char* kFlags = "could set AC or NT for the host's signal handler";
constexpr const char* kDebug = "not to be told from the single step on the host";

constexpr const char* kHypervisor = "belongs to whatever virtualises the host, each in its own way";
constexpr const char* kState =
    "the host has other state components enabled, and its own way to track their use";

constexpr Excluded kExcluded[] = {
    {Operation::Cpuid, kModel},        {Operation::Rdtsc, kTime},        {Operation::Rdtscp, kTime},
    {Operation::Rdpmc, kEmulated},     {Operation::Rdrand, kTime},       {Operation::Rdseed, kTime},
    {Operation::Sgdt, kEmulated},      {Operation::Sidt, kEmulated},     {Operation::Sldt, kEmulated},
    {Operation::Str, kEmulated},       {Operation::Smsw, kEmulated},     {Operation::Lar, kTables},
    {Operation::Lsl, kTables},         {Operation::Verr, kTables},       {Operation::Verw, kTables},
    {Operation::Sysenter, kEmulated},  {Operation::MovSegment, kTables}, {Operation::PopSegment, kTables},
    {Operation::PushSegment, kTables}, {Operation::Lds, kTables},        {Operation::Les, kTables},
    {Operation::Lfs, kTables},         {Operation::Lgs, kTables},        {Operation::Lss, kTables},
    {Operation::CallFar, kTables},     {Operation::JmpFar, kTables},     {Operation::RetFar, kTables},
    {Operation::Iret, kTables},        {Operation::Popf, kFlags},        {Operation::Int1, kDebug},
    {Operation::Xgetbv, kModel},       {Operation::Xsave, kState},       {Operation::Xsaveopt, kState},
    {Operation::Xrstor, kState},       {Operation::Vmcall, kHypervisor},
};

/// Everything that identifies an encoding before its variable parts.
struct Candidate {
  std::vector<uint8_t> prefix, opcode;
  bool vex = false;
};

constexpr uint8_t kVexSecond = 0xe0;      // R, X, B
constexpr uint8_t kVexUnusedVvvv = 0x78;  // 1111
constexpr uint8_t kVexSomeVvvv = 0x48;    // 1001: register 6
constexpr uint8_t kSibWithIndex = 0x08;   // index 1: not the register operand, as gathers want it

void add_vex_candidates(std::vector<Candidate>& all) {
  for (unsigned map = 1; map <= 3; ++map) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      for (unsigned bits = 0; bits < 16; ++bits) {  // W, L, pp
        const unsigned third = (bits & 8) << 4 | kVexUnusedVvvv | (bits & 7);
        all.push_back({{},
                       {0xc4, static_cast<uint8_t>(kVexSecond | map), static_cast<uint8_t>(third),
                        static_cast<uint8_t>(opcode)},
                       true});
      }
    }
  }
}

std::vector<Candidate> candidates() {
  const std::vector<std::vector<uint8_t>> prefixes = {{}, {0x66}, {0xf2}, {0xf3}, {0x66, 0xf2}, {0x66, 0xf3}};
  const std::vector<std::vector<uint8_t>> maps = {{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
  std::vector<Candidate> all;
  for (const auto& map : maps) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      const bool prefix_or_escape =
          map.empty() &&
          (opcode == 0x0f || opcode == 0xc4 || opcode == 0xc5 || opcode == 0x62 || opcode == 0x66 ||
           opcode == 0x67 || opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3 || opcode == 0x26 ||
           opcode == 0x2e || opcode == 0x36 || opcode == 0x3e || opcode == 0x64 || opcode == 0x65);
      if (prefix_or_escape || (map.size() == 1 && (opcode == 0x38 || opcode == 0x3a))) continue;
      for (const auto& prefix : prefixes) {
        Candidate candidate{prefix, map};
        candidate.opcode.push_back(static_cast<uint8_t>(opcode));
        all.push_back(candidate);
      }
    }
  }
  add_vex_candidates(all);
  return all;
}

std::vector<uint8_t> bytes_of(const Candidate& candidate, int modrm) {
  std::vector<uint8_t> bytes = candidate.prefix;
  bytes.insert(bytes.end(), candidate.opcode.begin(), candidate.opcode.end());
  if (modrm >= 0) bytes.push_back(static_cast<uint8_t>(modrm));
  if (candidate.vex && modrm >= 0 && modrm < 0xc0) bytes.push_back(kSibWithIndex);
  bytes.resize(15, 0);
  return bytes;
}

bool decode(const std::vector<uint8_t>& bytes, ZydisDecodedInstruction& instruction) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  return ZYAN_SUCCESS(
      ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data(), bytes.size(), &instruction));
}

// F2 and F3 that change nothing would be the same test again; repeated strings are another.
bool prefix_matters(const Candidate& candidate, int modrm, const ZydisDecodedInstruction& decoded) {
  if (candidate.prefix.empty()) return true;
  Candidate plain = candidate;
  plain.prefix.pop_back();
  ZydisDecodedInstruction other;
  if (!decode(bytes_of(plain, modrm), other)) return true;
  const bool string =
      decoded.meta.category == ZYDIS_CATEGORY_STRINGOP || decoded.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
  if (candidate.prefix.back() != 0x66) return string || other.mnemonic != decoded.mnemonic;
  return other.mnemonic != decoded.mnemonic || other.operand_width != decoded.operand_width ||
         candidate.opcode.size() > 1;
}

// Whether ModRM.reg, or even ModRM.rm of register forms, is part of the opcode: then it changes the mnemonic
// or validity.
bool is_group(const Candidate& candidate, bool memory) {
  const uint8_t opcode = candidate.opcode.back();
  if (candidate.vex) {
    const unsigned map = candidate.opcode[1] & 3;
    return (map == 1 && ((opcode >= 0x71 && opcode <= 0x73) || opcode == 0xae)) ||
           (map == 2 && opcode == 0xf3);
  }
  if (candidate.opcode.size() == 1) {
    return (opcode >= 0x80 && opcode <= 0x83) || opcode == 0x8f || opcode == 0xc0 || opcode == 0xc1 ||
           opcode == 0xc6 || opcode == 0xc7 || (opcode >= 0xd0 && opcode <= 0xd3) ||
           (opcode >= 0xd8 && opcode <= 0xdf) || opcode == 0xf6 || opcode == 0xf7 || opcode == 0xfe ||
           opcode == 0xff || opcode == 0x8c || opcode == 0x8e;
  }
  if (candidate.opcode.size() == 2) {
    return opcode <= 0x01 || opcode == 0x0d || (opcode >= 0x18 && opcode <= 0x27) ||
           (opcode >= 0x71 && opcode <= 0x73) || opcode == 0xae || opcode == 0xba || opcode == 0xc7 ||
           (memory && opcode == 0xb9);
  }
  return false;
}

bool register_in_opcode(const Candidate& candidate) {
  const uint8_t opcode = candidate.opcode.back();
  if (candidate.vex) return false;
  if (candidate.opcode.size() == 1) return opcode >= 0xd8 && opcode <= 0xdf;
  return candidate.opcode.size() == 2 && (opcode == 0x01 || opcode == 0xae);
}

class Collector {
 public:
  explicit Collector(FormFinder& finder) : finder_(finder) {}

  // With VEX.vvvv free if it can be.
  void try_modrm(const Candidate& candidate, int modrm) {
    if (!candidate.vex) return try_bytes(candidate, modrm, false);
    Candidate other = candidate;
    other.opcode[2] = static_cast<uint8_t>((other.opcode[2] & ~kVexUnusedVvvv) | kVexSomeVvvv);
    ZydisDecodedInstruction decoded;
    const bool free = decode(bytes_of(other, modrm), decoded);
    try_bytes(free ? other : candidate, modrm, free);
  }

  void try_bytes(const Candidate& candidate, int modrm, bool free_vvvv) {
    const std::vector<uint8_t> bytes = bytes_of(candidate, modrm);
    ZydisDecodedInstruction decoded;
    if (!decode(bytes, decoded) || (!candidate.vex && !prefix_matters(candidate, modrm, decoded))) return;
    const cpu::Instruction i = finder_.decode(bytes.data(), 15);
    if (i.operation == Operation::Invalid) return;
    if (const char* reason = reason_to_exclude(i.operation)) {
      forms_.excluded[cpu::name(i.operation)] = reason;
      return;
    }
    Form form;
    form.prefix = candidate.prefix;
    form.opcode = candidate.opcode;
    form.has_modrm = modrm >= 0;
    form.vex = candidate.vex;
    form.free_vvvv = free_vvvv;
    form.gather = cpu::is_gather(i.operation);
    form.memory = modrm >= 0 && modrm < 0xc0;
    form.group = modrm >= 0 && is_group(candidate, form.memory);
    form.modrm_reg = static_cast<uint8_t>(modrm >> 3 & 7);
    if (modrm >= 0xc0 && register_in_opcode(candidate)) form.modrm_rm = modrm & 7;
    form.immediate_size = static_cast<uint8_t>((decoded.raw.imm[0].size + decoded.raw.imm[1].size) / 8);
    form.operation = i.operation;
    form.operands = i.form;
    form.operand_size = i.operand_size;
    form.rm_size = i.rm_size;
    distinct_.emplace(i.operation, i.form, form.memory, i.operand_size, i.rm_size, i.prefixes);
    forms_.encodings.push_back(form);
  }

  [[nodiscard]] Forms take() {
    forms_.distinct = distinct_.size();
    return std::move(forms_);
  }

 private:
  FormFinder& finder_;
  Forms forms_;
  std::set<std::tuple<Operation, cpu::OperandForm, bool, unsigned, unsigned, unsigned>> distinct_;
};

}  // namespace

const char* reason_to_exclude(Operation operation) {
  for (const Excluded& excluded : kExcluded) {
    if (excluded.operation == operation) return excluded.reason;
  }
  return nullptr;
}

std::string Form::name() const {
  std::string text;
  for (const uint8_t byte : prefix) text += fmt::format("{:02x} ", byte);
  for (const uint8_t byte : opcode) text += fmt::format("{:02x} ", byte);
  if (group) text += fmt::format("/{} ", modrm_reg);
  return fmt::format("{}{} {}", text, cpu::name(operation), memory ? "memory" : "register");
}

Forms find_forms(FormFinder& finder) {
  Collector collector(finder);
  for (const Candidate& candidate : candidates()) {
    ZydisDecodedInstruction decoded;
    const bool plain =
        decode(bytes_of(candidate, -1), decoded) && (decoded.attributes & ZYDIS_ATTRIB_HAS_MODRM) == 0;
    if (plain) {
      collector.try_modrm(candidate, -1);
      continue;
    }
    for (int modrm : {candidate.vex ? 0x04 : 0x00, 0xc0}) {
      const unsigned regs = is_group(candidate, modrm < 0xc0) ? 8 : 1;
      const int rms = modrm == 0xc0 && register_in_opcode(candidate) ? 8 : 1;
      for (unsigned reg = 0; reg < regs; ++reg) {
        for (int rm = 0; rm < rms; ++rm)
          collector.try_modrm(candidate, modrm | static_cast<int>(reg << 3) | rm);
      }
    }
  }
  return collector.take();
}

}  // namespace vitrine::differential

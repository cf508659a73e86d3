// Encoding of AVX stubs: see vex_stub.h. SDM Vol. 2A, "Instruction Format".
//
// Fixed registers: the register operand is ymm1, vvvv ymm2, r/m ymm3, that of the immediate ymm4. General
// registers are memory for the stub, or eax.
#include "cpu/vex_stub.h"

#include <cstddef>

#include "cpu/cpu_state.h"

namespace vitrine::cpu {
namespace {

static_assert(offsetof(FloatingPointState, ymm_high) - offsetof(FloatingPointState, xmm) == kYmmHighDistance);

enum StubYmm : uint8_t { kReg = 1, kVvvv = 2, kRm = 3, kFourth = 4 };
enum StubPointer : uint8_t { kRcxPointer = 1, kRsiPointer = 6, kRdiPointer = 7, kR8Pointer = 8 };

constexpr uint8_t kUnusedVvvv = 15;

/// Three-byte VEX prefix. No register but r8 as a base is above 7.
void add_vex(StubBytes& stub, uint8_t map, uint8_t w, uint8_t not_vvvv, uint8_t length, uint8_t pp,
             bool base_r8 = false) {
  stub.add(0xc4, (base_r8 ? 0xc0 : 0xe0) | map, w << 7 | not_vvvv << 3 | length << 2 | pp);
}

constexpr uint8_t kMod0 = 0x00, kMod2 = 0x80, kMod3 = 0xc0;
constexpr uint8_t modrm(uint8_t mod, unsigned reg, unsigned rm) {
  return static_cast<uint8_t>(mod | (reg & 7) << 3 | (rm & 7));
}

void add_high_distance(StubBytes& stub) {
  stub.add(kYmmHighDistance, 0, 0, 0);
}

// vmovups (pointer), xmm; vinsertf128 $1, distance(pointer), ymm, ymm
void load(StubBytes& stub, StubYmm reg, StubPointer from, uint8_t length) {
  const bool r8 = from == kR8Pointer;
  add_vex(stub, 1, 0, kUnusedVvvv, 0, 0, r8);
  stub.add(0x10, modrm(kMod0, reg, from));
  if (length == 0) return;
  add_vex(stub, 3, 0, static_cast<uint8_t>(~reg & 15), 1, 1, r8);
  stub.add(0x18, modrm(kMod2, reg, from));
  add_high_distance(stub);
  stub.add(1);
}

// vmovups xmm, (pointer); vextractf128 $1, ymm, distance(pointer)
void store(StubBytes& stub, uint8_t reg, StubPointer to) {
  const bool r8 = to == kR8Pointer;
  add_vex(stub, 1, 0, kUnusedVvvv, 0, 0, r8);
  stub.add(0x11, modrm(kMod0, reg, to));
  add_vex(stub, 3, 0, kUnusedVvvv, 1, 1, r8);
  stub.add(0x19, modrm(kMod2, reg, to));
  add_high_distance(stub);
  stub.add(1);
}

bool is_string(const VexForm& form) {
  return form.has(kVexStringIndex) || form.has(kVexStringMask);
}

void load_operands(StubBytes& stub, const VexForm& form, const VexStubVariant& variant) {
  if (form.has(kVexMxcsr)) stub.add(0x0f, 0xae, 0x12);  // ldmxcsr (%rdx)
  const bool reg_is_source = form.has(kVexReadsReg) || form.has(kVexStore);
  if (form.reg == VectorOperand::Xmm && reg_is_source) load(stub, kReg, kRsiPointer, variant.length);
  if (form.vvvv == VectorOperand::Xmm && !form.has(kVexToVvvv))
    load(stub, kVvvv, kRcxPointer, variant.length);
  const bool rm_is_source = !form.has(kVexStore) && !variant.memory;
  if (form.rm == VectorOperand::Xmm && rm_is_source) load(stub, kRm, kRdiPointer, variant.length);
  if (form.has(kVexIs4)) load(stub, kFourth, kR8Pointer, variant.length);
  if (is_string(form))
    stub.add(0x49, 0x89, 0xc9, 0x41, 0x8b, 0x01, 0x41, 0x8b, 0x51,
             0x08);  // mov %rcx,%r9; mov (%r9),%eax; mov 8(%r9),%edx
}

void store_results(StubBytes& stub, const VexForm& form, const VexStubVariant& variant) {
  constexpr uint8_t kYmm0 = 0;
  if (form.has(kVexFlags)) {
    if (form.has(kVexStringIndex)) stub.add(0x41, 0x89, 0x49, 0x04);  // mov %ecx,4(%r9)
    if (form.has(kVexStringMask)) store(stub, kYmm0, kR8Pointer);
    stub.add(0x9f, 0x0f, 0x90, 0xc0);  // lahf; seto %al
  } else if (form.has(kVexToVvvv)) {
    store(stub, kVvvv, kRcxPointer);
  } else if (!form.has(kVexStore)) {
    if (form.reg == VectorOperand::Xmm) store(stub, kReg, kRsiPointer);
    if (form.reg == VectorOperand::General) stub.add(0x89, 0x06);  // mov %eax,(%rsi)
  } else if (!variant.memory) {
    if (form.rm == VectorOperand::Xmm) store(stub, kRm, kRdiPointer);
    if (form.rm == VectorOperand::General) stub.add(0x89, 0x07);  // mov %eax,(%rdi)
  }
  if (form.has(kVexMxcsr)) stub.add(0x0f, 0xae, 0x1a);  // stmxcsr (%rdx)
  stub.add(0xc5, 0xf8, 0x77);                           // vzeroupper: our own code is SSE
}

uint8_t stub_modrm(const VexForm& form, const VexStubVariant& variant) {
  constexpr uint8_t kEaxNumber = 0;
  unsigned reg = form.extension;
  if (form.extension == kNoExtension) reg = form.reg == VectorOperand::Xmm ? uint8_t{kReg} : kEaxNumber;
  // A general register that is read is as good as memory.
  const bool source_in_memory = form.rm == VectorOperand::General && !form.has(kVexStore);
  if (variant.memory || source_in_memory) return modrm(kMod0, reg, kRdiPointer);
  return modrm(kMod3, reg, form.rm == VectorOperand::Xmm ? uint8_t{kRm} : kEaxNumber);
}

}  // namespace

StubBytes build_vex_stub(const VexForm& form, const VexStubVariant& variant) {
  StubBytes stub;
  load_operands(stub, form, variant);
  const auto vvvv =
      form.vvvv == VectorOperand::None ? kUnusedVvvv : static_cast<uint8_t>(~unsigned{kVvvv} & 15);
  add_vex(stub, form.map, form.w == 1 ? 1 : 0, vvvv, variant.length, vex_pp(form.prefix));
  stub.add(form.opcode, stub_modrm(form, variant));
  if (form.has(kVexIs4)) {
    stub.add(kFourth << 4);
  } else if (form.has(kVexImmediate)) {
    stub.add(variant.immediate);
  }
  store_results(stub, form, variant);
  stub.add(0xc3);
  return stub;
}

uint64_t vex_stub_key(const VexForm& form, const VexStubVariant& variant) {
  const unsigned extension = form.extension == kNoExtension ? 8 : form.extension;
  uint64_t key = 0x10u + form.map;  // never the key of an x87 stub or of vector_stub.h
  for (const unsigned part : {unsigned{form.prefix}, unsigned{form.opcode}, extension, unsigned{form.w},
                              unsigned{variant.immediate}, variant.length * 2u + (variant.memory ? 1 : 0)})
    key = key << 8 | part;
  return key;
}

}  // namespace vitrine::cpu

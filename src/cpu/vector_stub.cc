// Encoding of vector stubs: see vector_stub.h. SDM Vol. 2A, "Instruction Format".
//
// The guest's XMM registers are loaded into fixed ones: the register operand into xmm1, the r/m operand into
// xmm2; xmm0 where the instruction implies it. MMX registers are resident and keep their numbers. General
// registers are memory for the stub, or eax.
#include "cpu/vector_stub.h"

namespace vitrine::cpu {
namespace {

constexpr uint8_t kRegXmm = 1, kRmXmm = 2, kEaxNumber = 0;

constexpr uint8_t register_modrm(unsigned reg, unsigned rm) {
  return static_cast<uint8_t>(0xc0 | reg << 3 | rm);
}
constexpr uint8_t at_rdi(unsigned reg) {
  return static_cast<uint8_t>(reg << 3 | 7);
}

void load_operands(StubBytes& stub, const VectorForm& form, const VectorStubVariant& variant) {
  if (form.has(kVectorMxcsr)) stub.add(0x0f, 0xae, 0x12);                            // ldmxcsr (%rdx)
  if (form.has(kVectorXmm0)) stub.add(0x41, 0x0f, 0x10, 0x00);                       // movups (%r8),%xmm0
  if (form.reg == VectorOperand::Xmm) stub.add(0x0f, 0x10, 0x0e);                    // movups (%rsi),%xmm1
  if (form.rm == VectorOperand::Xmm && !variant.memory) stub.add(0x0f, 0x10, 0x17);  // movups (%rdi),%xmm2
  if (form.has(kVectorStringIndex) || form.has(kVectorStringMask))
    stub.add(0x49, 0x89, 0xc9, 0x41, 0x8b, 0x01, 0x41, 0x8b, 0x51,
             0x08);  // mov %rcx,%r9; mov (%r9),%eax; mov 8(%r9),%edx
}

void store_results(StubBytes& stub, const VectorForm& form, const VectorStubVariant& variant) {
  if (form.has(kVectorFlags)) {
    if (form.has(kVectorStringIndex)) stub.add(0x41, 0x89, 0x49, 0x04);  // mov %ecx,4(%r9)
    if (form.has(kVectorStringMask)) stub.add(0x41, 0x0f, 0x11, 0x00);   // movups %xmm0,(%r8)
    stub.add(0x9f, 0x0f, 0x90, 0xc0);                                    // lahf; seto %al
  } else if (!form.has(kVectorStore)) {
    if (form.reg == VectorOperand::Xmm) stub.add(0x0f, 0x11, 0x0e);  // movups %xmm1,(%rsi)
    if (form.reg == VectorOperand::General) stub.add(0x89, 0x06);    // mov %eax,(%rsi)
  } else if (!variant.memory) {
    if (form.rm == VectorOperand::Xmm) stub.add(0x0f, 0x11, 0x17);  // movups %xmm2,(%rdi)
    if (form.rm == VectorOperand::General) stub.add(0x89, 0x07);    // mov %eax,(%rdi)
  }
  if (form.has(kVectorMxcsr)) stub.add(0x0f, 0xae, 0x1a);  // stmxcsr (%rdx)
}

uint8_t stub_modrm(const VectorForm& form, const VectorStubVariant& variant) {
  unsigned reg = form.extension;
  if (form.extension == kNoExtension) {
    switch (form.reg) {
      case VectorOperand::Xmm: reg = kRegXmm; break;
      case VectorOperand::Mmx: reg = variant.reg; break;
      default: reg = kEaxNumber; break;
    }
  }
  // A general register that is read is as good as memory.
  const bool source_in_memory = form.rm == VectorOperand::General && !form.has(kVectorStore);
  if (variant.memory || source_in_memory) return at_rdi(reg);
  switch (form.rm) {
    case VectorOperand::Xmm: return register_modrm(reg, kRmXmm);
    case VectorOperand::Mmx: return register_modrm(reg, variant.rm);
    default: return register_modrm(reg, kEaxNumber);
  }
}

}  // namespace

StubBytes build_vector_stub(const VectorForm& form, const VectorStubVariant& variant) {
  StubBytes stub;
  load_operands(stub, form, variant);
  if (form.prefix != 0) stub.add(form.prefix);
  stub.add(0x0f);
  if (form.map == 2) stub.add(0x38);
  if (form.map == 3) stub.add(0x3a);
  stub.add(form.opcode, stub_modrm(form, variant));
  if (form.has(kVectorImmediate)) stub.add(variant.immediate);
  store_results(stub, form, variant);
  stub.add(0xc3);
  return stub;
}

uint64_t vector_stub_key(const VectorForm& form, const VectorStubVariant& variant) {
  const unsigned extension = form.extension == kNoExtension ? 8 : form.extension;
  uint64_t key = form.map;  // 1–3: never the key of an x87 stub, whose top byte is 0
  for (const unsigned part :
       {unsigned{form.prefix}, unsigned{form.opcode}, extension, unsigned{variant.memory},
        unsigned{variant.immediate}, variant.reg * 8u + variant.rm})
    key = key << 8 | part;
  return key;
}

}  // namespace vitrine::cpu

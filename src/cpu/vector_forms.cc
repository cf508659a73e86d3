// The table of vector_forms.h.
#include "cpu/vector_forms.h"

namespace vitrine::cpu {
namespace {

constexpr VectorOperand X = VectorOperand::Xmm, M = VectorOperand::Mmx, G = VectorOperand::General,
                        N = VectorOperand::None;
constexpr unsigned A = kVectorAligned, S = kVectorStore, C = kVectorMxcsr, F = kVectorFlags, Z = kVectorXmm0,
                   I = kVectorImmediate, O = kVectorMemoryOnly, L = kVectorStringIndex, K = kVectorStringMask;

constexpr VectorForm kForms[] = {
#define VITRINE_VECTOR(operation, feature, map, prefix, opcode, extension, reg, rm, size, traits) \
  {Operation::operation, Feature::feature, map, prefix, opcode, extension, reg, rm, size, traits},
#include "cpu/vector_forms.inc"
#undef VITRINE_VECTOR
};

// One encoding, one row: the rows are in order, so it is enough to look at neighbours.
constexpr bool distinct() {
  for (size_t n = 1; n < std::size(kForms); ++n) {
    const VectorForm &a = kForms[n - 1], &b = kForms[n];
    if (a.map == b.map && a.prefix == b.prefix && a.opcode == b.opcode && a.extension == b.extension)
      return false;
  }
  return true;
}
static_assert(distinct());

}  // namespace

std::span<const VectorForm> vector_forms() {
  return kForms;
}

const VectorForm* find_vector_form(uint8_t map, uint8_t prefix, uint8_t opcode, uint8_t extension) {
  for (const VectorForm& form : kForms) {
    if (form.map != map || form.prefix != prefix || form.opcode != opcode) continue;
    if (form.extension == kNoExtension || form.extension == extension) return &form;
  }
  return nullptr;
}

}  // namespace vitrine::cpu

// The table of vex_forms.h.
#include "cpu/vex_forms.h"

namespace vitrine::cpu {
namespace {

constexpr VectorOperand X = VectorOperand::Xmm, G = VectorOperand::General, N = VectorOperand::None;
constexpr auto kScalar = VexLengths::Scalar, k128 = VexLengths::Only128, k256 = VexLengths::Only256,
               kBoth = VexLengths::Both;
constexpr uint8_t kAnyW = kVexAnyW;
constexpr unsigned A = kVexAligned, S = kVexStore, C = kVexMxcsr, F = kVexFlags, I = kVexImmediate,
                   D = kVexReadsReg, V = kVexToVvvv, B = kVexIs4, L = kVexStringIndex, K = kVexStringMask,
                   T = kVex256NeedsAvx2;

constexpr VexForm kForms[] = {
#define VITRINE_VEX(operation, feature, map, prefix, opcode, extension, location, lengths, w, reg, vvvv, rm, \
                    size128, size256, traits)                                                                \
  {Operation::operation,                                                                                     \
   Feature::feature,                                                                                         \
   map,                                                                                                      \
   prefix,                                                                                                   \
   opcode,                                                                                                   \
   extension,                                                                                                \
   Location::location,                                                                                       \
   lengths,                                                                                                  \
   w,                                                                                                        \
   reg,                                                                                                      \
   vvvv,                                                                                                     \
   rm,                                                                                                       \
   size128,                                                                                                  \
   size256,                                                                                                  \
   traits},
#include "cpu/vex_forms.inc"
#undef VITRINE_VEX
};

// A general register has no width but 32 bits here, whatever VEX.W says: the host would take it for 64.
constexpr bool general_registers_ignore_w() {
  for (const VexForm& form : kForms) {
    if ((form.reg == G || form.rm == G) && form.w == 1) return false;
  }
  return true;
}
static_assert(general_registers_ignore_w());

bool length_fits(const VexForm& form, uint8_t vex_l) {
  switch (form.lengths) {
    case VexLengths::Only128: return vex_l == 0;
    case VexLengths::Only256: return vex_l == 1;
    default: return true;
  }
}

}  // namespace

std::span<const VexForm> vex_forms() {
  return kForms;
}

const VexForm* find_vex_form(const Encoding& e) {
  const Location location = e.modrm < 0xc0 ? Location::Memory : Location::Register;
  for (const VexForm& form : kForms) {
    if (form.map != e.map || form.opcode != e.opcode || form.prefix != e.mandatory_prefix) continue;
    if (form.extension != kNoExtension && form.extension != (e.modrm >> 3 & 7)) continue;
    if (form.location != Location::Any && form.location != location) continue;
    if (form.w != kVexAnyW && form.w != e.vex_w) continue;
    if (length_fits(form, e.vex_l)) return &form;
  }
  return nullptr;
}

bool VexForm::exists(const CpuModel& model, uint8_t vex_l) const {
  if (!model.has(Feature::Avx) || !model.has(feature)) return false;
  return vex_l == 0 || !has(kVex256NeedsAvx2) || model.has(Feature::Avx2);
}

bool is_masked_move(Operation operation) {
  switch (operation) {
    case Operation::Vmaskmovps:
    case Operation::Vmaskmovpd:
    case Operation::Vpmaskmovd:
    case Operation::Vpmaskmovq: return true;
    default: return false;
  }
}

bool is_gather(Operation operation) {
  switch (operation) {
    case Operation::Vgatherdps:
    case Operation::Vgatherdpd:
    case Operation::Vgatherqps:
    case Operation::Vgatherqpd:
    case Operation::Vpgatherdd:
    case Operation::Vpgatherdq:
    case Operation::Vpgatherqd:
    case Operation::Vpgatherqq: return true;
    default: return false;
  }
}

}  // namespace vitrine::cpu

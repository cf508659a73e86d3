#include "translate/fpu_image.h"

#include <cstring>

#include "cpu/fxsave64_image.h"
#include "cpu/host_unit.h"

namespace vitrine::translate {

void to_image(cpu::FloatingPointState& fpu, FpuImage& image) {
  cpu::normalise_x87(fpu);
  const cpu::Fxsave64Header header{.control = fpu.control,
                                   .status = fpu.status,
                                   .tags = cpu::abridged_tags(fpu),
                                   .reserved = 0,
                                   .opcode = fpu.opcode,
                                   .instruction_pointer = fpu.instruction_pointer,
                                   .data_pointer = fpu.data_pointer,
                                   .mxcsr = fpu.mxcsr,
                                   .mxcsr_mask = 0};
  std::memcpy(image.data(), &header, sizeof header);
  cpu::put_stack(fpu, image.data());
  std::memcpy(image.data() + cpu::kFxsaveXmm, fpu.xmm.data(), sizeof fpu.xmm);
}

uint64_t from_image(const FpuImage& image, cpu::FloatingPointState& fpu) {
  cpu::Fxsave64Header header{};
  std::memcpy(&header, image.data(), sizeof header);
  fpu.control = header.control;
  fpu.status = header.status;
  fpu.mxcsr = header.mxcsr;
  cpu::take_stack(image.data(), fpu);
  std::memcpy(fpu.xmm.data(), image.data() + cpu::kFxsaveXmm, sizeof fpu.xmm);
  cpu::set_tags(fpu, header.tags);
  cpu::normalise_x87(fpu);
  return header.instruction_pointer;
}

}  // namespace vitrine::translate

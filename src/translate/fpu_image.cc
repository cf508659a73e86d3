#include "translate/fpu_image.h"

#include <cstring>

#include "cpu/host_unit.h"

namespace vitrine::translate {
namespace {

// The legacy region of the FXSAVE64 image. SDM Vol. 1, "FXSAVE Area".
struct Header {
  uint16_t control;
  uint16_t status;
  uint8_t tags;
  uint8_t reserved;
  uint16_t opcode;
  uint64_t instruction_pointer;
  uint64_t data_pointer;
  uint32_t mxcsr;
  uint32_t mxcsr_mask;
};
static_assert(sizeof(Header) == 32);
constexpr size_t kRegisters = 32, kXmm = 160;

unsigned top(uint16_t status) {
  return status >> 11 & 7;
}

}  // namespace

void to_image(cpu::FloatingPointState& fpu, FpuImage& image) {
  cpu::normalise_x87(fpu);
  const Header header{.control = fpu.control,
                      .status = fpu.status,
                      .tags = cpu::abridged_tags(fpu),
                      .reserved = 0,
                      .opcode = fpu.opcode,
                      .instruction_pointer = fpu.instruction_pointer,
                      .data_pointer = fpu.data_pointer,
                      .mxcsr = fpu.mxcsr,
                      .mxcsr_mask = 0};
  std::memcpy(image.data(), &header, sizeof header);
  for (unsigned n = 0; n < 8; ++n) {
    std::memcpy(image.data() + kRegisters + 16 * n, fpu.registers[(top(fpu.status) + n) & 7].data(), 10);
    std::memcpy(image.data() + kXmm + 16 * n, fpu.xmm[n].data(), 16);
  }
}

uint64_t from_image(const FpuImage& image, cpu::FloatingPointState& fpu) {
  Header header{};
  std::memcpy(&header, image.data(), sizeof header);
  fpu.control = header.control;
  fpu.status = header.status;
  fpu.mxcsr = header.mxcsr;
  for (unsigned n = 0; n < 8; ++n) {
    std::memcpy(fpu.registers[(top(fpu.status) + n) & 7].data(), image.data() + kRegisters + 16 * n, 10);
    std::memcpy(fpu.xmm[n].data(), image.data() + kXmm + 16 * n, 16);
  }
  cpu::set_tags(fpu, header.tags);
  cpu::normalise_x87(fpu);
  return header.instruction_pointer;
}

}  // namespace vitrine::translate

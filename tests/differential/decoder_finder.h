// The interpreter's decoder, by itself, as what finds the forms.
#pragma once

#include "cpu/decoder.h"
#include "cpu/no_bus.h"
#include "differential/forms.h"
#include "memory/physical_map.h"
#include "memory/port_map.h"

namespace vitrine::differential {

class DecoderFinder : public FormFinder {
 public:
  explicit DecoderFinder(const cpu::CpuModel& model)
      : core_({map_, ports_, bus_, model, 0}), decoder_(model) {}

  cpu::Instruction decode(const uint8_t* bytes, unsigned size) override {
    cpu::Instruction instruction{};
    const cpu::Decoded decoded = decoder_.decode(core_, bytes, size, true, instruction);
    if (decoded.status != cpu::DecodeStatus::Done) instruction.operation = cpu::Operation::Invalid;
    return instruction;
  }

 private:
  memory::PhysicalMap map_;
  memory::PortMap ports_;
  cpu::NoBus bus_;
  cpu::Core core_;
  cpu::Decoder decoder_;
};

}  // namespace vitrine::differential

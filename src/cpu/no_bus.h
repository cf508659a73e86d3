// For tests: a processor's bus with nothing on it. Those that want something there override that.
#pragma once

#include "cpu/processor_bus.h"

namespace vitrine::cpu {

class NoBus : public ProcessorBus {
 public:
  std::optional<uint8_t> acknowledge_interrupt(unsigned /*vcpu*/) override { return std::nullopt; }
  uint64_t time_stamp(unsigned /*vcpu*/) override { return 0; }
  bool set_apic_base(unsigned /*vcpu*/, uint64_t /*value*/) override { return false; }
  void set_tsc_deadline(unsigned /*vcpu*/, uint64_t /*value*/) override {}
  uint64_t tsc_deadline(unsigned /*vcpu*/) override { return 0; }
  void set_ferr(unsigned /*vcpu*/, bool /*level*/) override {}
};

}  // namespace vitrine::cpu

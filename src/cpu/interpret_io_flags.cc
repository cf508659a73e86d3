// Ports and flags. SDM Vol. 1, "I/O Instructions", "Flag Control (EFLAG) Instructions"; the string forms are
// in interpret_string.cc, what has to do with IF and IOPL in flags_instructions.cc.
#include <array>

#include "cpu/access.h"
#include "cpu/fpu_state.h"
#include "cpu/instruction_table.h"
#include "cpu/rows.h"
#include "cpu/system.h"
#include "cpu/translation.h"

namespace vitrine::cpu {
namespace {

uint16_t port_of(const Core& core, const Instruction& i) {
  const bool named = i.form == OperandForm::Immediate || i.form == OperandForm::RmImmediate;
  return named ? static_cast<uint16_t>(i.immediate & 0xff) : core.get<uint16_t>(x86::kEdx);
}

template <typename T>
bool in(Core& core, const Instruction& i) {
  const uint16_t port = port_of(core, i);
  if (!io_permitted(core, port, sizeof(T))) return false;
  if (core.watch_data) note_port_access(core, port, sizeof(T));
  fpu_leave(core);
  core.set<T>(x86::kEax, static_cast<T>(core.env.ports.read(port, sizeof(T))));
  return true;
}

template <typename T>
bool out(Core& core, const Instruction& i) {
  const uint16_t port = port_of(core, i);
  if (!io_permitted(core, port, sizeof(T))) return false;
  if (core.watch_data) note_port_access(core, port, sizeof(T));
  fpu_leave(core);
  core.env.ports.write(port, sizeof(T), core.get<T>(x86::kEax));
  return true;
}

constexpr auto port_rows() {
  return for_all_widths([]<typename T>() {
    return std::array{
        ending_row<&in<T>>(Operation::In, {.size = sizeof(T)}),
        ending_row<&out<T>>(Operation::Out, {.size = sizeof(T)}),
    };
  });
}

void clc(Core& core, const Instruction& /*i*/) {
  core.flags &= static_cast<ArithmeticFlags>(~kFlagC);
}
void stc(Core& core, const Instruction& /*i*/) {
  core.flags |= kFlagC;
}
void cmc(Core& core, const Instruction& /*i*/) {
  core.flags ^= kFlagC;
}
void cld(Core& core, const Instruction& /*i*/) {
  core.state.eflags &= ~x86::kDf;
}
void std_(Core& core, const Instruction& /*i*/) {
  core.state.eflags |= x86::kDf;
}

void lahf(Core& core, const Instruction& /*i*/) {
  core.set<uint8_t>(4, static_cast<uint8_t>(core.flags >> 8 | 2));
}
void sahf(Core& core, const Instruction& /*i*/) {
  const auto ah = core.get<uint8_t>(4);
  core.flags = static_cast<ArithmeticFlags>((ah & 0xd5) << 8 | 0x200 | (core.flags & kFlagO));
}
void salc(Core& core, const Instruction& /*i*/) {
  core.set<uint8_t>(x86::kEax, (core.flags & kFlagC) != 0 ? 0xff : 0);
}

// The cache has no contents of its own; what remains of CLFLUSH are its faults, those of a read.
bool flush_line(Core& core, const Instruction& i) {
  uint8_t byte;
  return load_operand(core, i, byte);
}

constexpr std::array kOtherRows = {
    plain_row<&clc>(Operation::Clc),
    plain_row<&stc>(Operation::Stc),
    plain_row<&cmc>(Operation::Cmc),
    plain_row<&cld>(Operation::Cld),
    plain_row<&std_>(Operation::Std),
    plain_row<&lahf>(Operation::Lahf),
    plain_row<&sahf>(Operation::Sahf),
    plain_row<&salc>(Operation::Salc),
    inline_row<&flush_line>(Operation::Clflush, {.location = Location::Memory, .feature = Feature::Clflush}),
};

constexpr auto kRows = join(port_rows(), kOtherRows);

}  // namespace

std::span<const InstructionRow> io_flags_rows() {
  return kRows;
}

}  // namespace vitrine::cpu

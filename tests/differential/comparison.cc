// See comparison.h. Not compared, with reasons: the last x87 opcode (processors keep it only for unmasked
// exceptions, each its own way), the data pointer where CPUID says that the host keeps it only then, and both
// pointers where FXSAVE tells them only while an exception is pending (AMD64 Architecture Programmer's Manual
// Vol. 5, "FXSAVE"). EFLAGS.RF and TF belong to the single step.
#include "differential/comparison.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "cpu/decode_templates.h"
#include "cpu/host_traits.h"
#include "cpu/vector_forms.h"
#include "cpu/vex_forms.h"
#include "x86/flags.h"
#include "x86/registers.h"

namespace vitrine::differential {
namespace {

using cpu::Operation;

/// CPUID leaf 7, EBX bit 6: FDP_EXCPTN_ONLY.
bool host_keeps_data_pointer() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b >> 6 & 1) == 0;
}

/// Whether FXRSTOR takes, and FXSAVE tells, the pointers of the last x87 instruction without a pending
/// exception.
bool host_tells_pointers() {
  constexpr uint32_t kPointer = 0x1234;
  alignas(16) uint8_t kept[512], image[512];
  asm volatile("fxsave64 %0" : "=m"(kept));
  std::memcpy(image, kept, sizeof image);
  std::memset(image + 2, 0, 2);  // FSW: nothing is pending
  std::memcpy(image + 8, &kPointer, sizeof kPointer);
  // SAFETY: what was there is put back; in between nothing else uses the unit.
  asm volatile(
      "fxrstor64 %0\n\t"
      "fxsave64 %0\n\t"
      "fxrstor64 %1"
      : "+m"(image)
      : "m"(kept));
  uint32_t told = 0;
  std::memcpy(&told, image + 8, sizeof told);
  return told == kPointer;
}

std::string hex(const uint8_t* bytes, size_t size) {
  std::string text;
  for (size_t n = 0; n < size; ++n) text += fmt::format("{:02x}", bytes[n]);
  return text;
}

template <typename T>
T field(const MachineState& state, size_t at) {
  T value;
  std::memcpy(&value, state.unit.data() + at, sizeof value);
  return value;
}

constexpr const char* kNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

class Differences {
 public:
  template <typename T>
  void number(const char* what, T before, T host, T ours) {
    if (host != ours)
      text_ += fmt::format("  {}: before {:x}, host {:x}, ours {:x}\n", what, before, host, ours);
  }
  void bytes(const std::string& what, const uint8_t* before, const uint8_t* host, const uint8_t* ours,
             size_t size) {
    if (std::memcmp(host, ours, size) != 0)
      text_ += fmt::format("  {}: before {}, host {}, ours {}\n", what, hex(before, size), hex(host, size),
                           hex(ours, size));
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void compare_units(const MachineState& before, const MachineState& host, const MachineState& ours,
                   Differences& out) {
  const auto word = [&](const char* what, size_t at) {
    out.number(what, field<uint16_t>(before, at), field<uint16_t>(host, at), field<uint16_t>(ours, at));
  };
  word("x87 control", 0);
  word("x87 status", 2);
  word("x87 tags", 4);
  const auto long_word = [&](const char* what, size_t at) {
    out.number(what, field<uint32_t>(before, at), field<uint32_t>(host, at), field<uint32_t>(ours, at));
  };
  static const bool pointers = host_tells_pointers();
  static const bool data_pointer = pointers && host_keeps_data_pointer();
  if (pointers) long_word("x87 instruction pointer", 8);
  if (data_pointer) long_word("x87 data pointer", 16);
  long_word("mxcsr", 24);
  for (unsigned n = 0; n < 8; ++n) {
    const size_t at = 32 + 16 * n;
    out.bytes(fmt::format("st{}", n), before.unit.data() + at, host.unit.data() + at, ours.unit.data() + at,
              10);
  }
  for (unsigned n = 0; n < 8; ++n) {
    const size_t at = 160 + 16 * n;
    out.bytes(fmt::format("xmm{}", n), before.unit.data() + at, host.unit.data() + at, ours.unit.data() + at,
              16);
  }
}

void compare_ymm(const MachineState& before, const MachineState& host, const MachineState& ours,
                 Differences& out) {
  for (unsigned n = 0; n < 8; ++n) {
    const size_t at = 16 * n;
    out.bytes(fmt::format("ymm{}h", n), before.ymm_high.data() + at, host.ymm_high.data() + at,
              ours.ymm_high.data() + at, 16);
  }
}

void compare_data(const TestCase& test, const Outcome& host, const Outcome& ours, Differences& out) {
  for (size_t n = 0; n < kDataSize; n += 16) {
    if (std::memcmp(host.data.data() + n, ours.data.data() + n, 16) == 0) continue;
    const bool chosen = n >= test.window && n < test.window + kWindowSize;
    static constexpr uint8_t kNothing[16] = {};
    out.bytes(fmt::format("memory {:x}", kDataBase + n),
              chosen ? test.window_bytes.data() + (n - test.window) : kNothing, host.data.data() + n,
              ours.data.data() + n, 16);
  }
}

/// Whether the operation has forms with MMX registers.
bool is_mmx(Operation operation) {
  if (operation == Operation::Maskmovq) return true;
  for (const cpu::VectorForm& form : cpu::vector_forms()) {
    const bool mmx = form.reg == cpu::VectorOperand::Mmx || form.rm == cpu::VectorOperand::Mmx;
    if (mmx && form.operation == operation) return true;
  }
  return false;
}

/// Faults of memory accesses after which the host has already changed something, which no manual promises: it
/// leaves x87 mode before an MMX instruction's access, and writes the first eight bytes of an 80-bit store
/// whose last two fault.
void ignore_half_done(Operation operation, const Outcome& ours, Outcome& host) {
  // Whether unselected bytes fault, and which byte is named, is each processor's own (SDM Vol. 2A, MASKMOVQ,
  // MASKMOVDQU).
  const bool masked = operation == Operation::Maskmovq || operation == Operation::Maskmovdqu ||
                      operation == Operation::Vmaskmovdqu;
  if (masked && (host.vector == 14 || ours.vector == 14)) host = ours;
  // Which byte of a masked move's operand a page fault names, too.
  const bool same_page = ((host.fault_address ^ ours.fault_address) & ~0xfffu) == 0;
  if (cpu::is_masked_move(operation) && same_page) host.fault_address = ours.fault_address;
  if (host.vector != ours.vector || (host.vector != 13 && host.vector != 14)) return;
  if (operation == Operation::Fstp || operation == Operation::Fbstp) host.data = ours.data;
  const auto top = [](const MachineState& state) { return field<uint16_t>(state, 2) >> 11 & 7; };
  if (top(host.after) == 0 && is_mmx(operation)) {
    std::memcpy(host.after.unit.data() + 2, ours.after.unit.data() + 2, 3);
    std::memcpy(host.after.unit.data() + 32, ours.after.unit.data() + 32, 128);
  }
}

/// VERR or VERW (0F 00 /4, /5).
bool is_verification(std::span<const uint8_t> opcode) {
  return opcode.size() >= 3 && opcode[0] == 0x0f && opcode[1] == 0x00 && (opcode[2] >> 4 & 3) == 2;
}

/// What AMD's processors do otherwise, and no guest can rely on.
void ignore_other_maker(const TestCase& test, Operation operation, const Outcome& ours, Outcome& host) {
  const auto one_of = [operation](std::initializer_list<Operation> all) {
    return std::ranges::find(all, operation) != all.end();
  };
  const std::span<const uint8_t> bytes(test.bytes);
  const auto opcode = std::ranges::find_if_not(bytes, cpu::is_prefix);
  const auto has_prefix = [&](uint8_t prefix) { return std::find(bytes.begin(), opcode, prefix) != opcode; };
  // An operand that reaches beyond 4 GiB is a segment's fault here (SDM Vol. 3A, "Limit Checking": it may
  // be).
  const bool segment_fault = host.vector == 12 || host.vector == 13;
  const bool beyond = ours.fault_address >= 0xffffffc0 || cpu::is_masked_move(operation);
  if (segment_fault && ours.vector == 14 && beyond) host = ours;
  // Invalid: 0F 0D with a register, and VEX.W outside of 64-bit mode, which Intel's ignore.
  if (host.vector == 6 && one_of({Operation::Nop, Operation::Vpinsrd, Operation::Vpextrd})) host = ours;
  // LOCK MOV CR0 is MOV CR8; and VERR and VERW with LOCK are executed by some (Zen 3).
  const bool verifies = is_verification({opcode, bytes.end()});
  if (ours.vector == 6 && has_prefix(0xf0) && (host.vector == 13 || verifies)) host = ours;
  // REPE and REPNE decide when LOOPcc goes on.
  if (one_of({Operation::Loope, Operation::Loopne}) && (has_prefix(0xf2) || has_prefix(0xf3))) host = ours;
  // An x87 store checks its operand although an unmasked exception will suppress it.
  if ((segment_fault || host.vector == 14) && ours.vector == kNoVector &&
      one_of({Operation::Fist, Operation::Fistp, Operation::Fisttp, Operation::Fst, Operation::Fstp,
              Operation::Fbstp}))
    host = ours;
  // A store is checked before the conversion; one that faults leaves MXCSR as it was.
  if (operation == Operation::Vcvtps2ph && (segment_fault || host.vector == 14)) host = ours;
  // The image has no pointers unless an exception is pending, and another mask of MXCSR.
  if (operation == Operation::Fxsave && host.vector == kNoVector) host.data = ours.data;
}

}  // namespace

uint32_t undefined_flags(Operation operation) {
  constexpr uint32_t kOfParity = x86::kOf | x86::kSf | x86::kZf | x86::kPf;
  switch (operation) {
    case Operation::Aad: return x86::kOf | x86::kAf | x86::kCf;
    case Operation::Aaa:
    case Operation::Aas: return cpu::host_is_amd() ? kOfParity : 0;
    case Operation::Daa:
    case Operation::Das: return cpu::host_is_amd() ? x86::kOf : 0;
    default: return 0;
  }
}

std::string difference(const TestCase& test, const Outcome& host, const Outcome& ours, Operation operation,
                       uint32_t ignored_flags) {
  Outcome expected = host;
  ignore_half_done(operation, ours, expected);
  if (cpu::host_is_amd()) ignore_other_maker(test, operation, ours, expected);
  if (operation == Operation::Pushf && host.vector == kNoVector) {  // The single step's TF is in the image.
    const uint32_t at = host.after.gpr[x86::kEsp] + 1 - kDataBase;
    if (at < kDataSize) expected.data[at] &= 0xfe;
  }
  Differences out;
  out.number("vector", uint8_t{0}, expected.vector, ours.vector);
  out.number("error code", 0u, expected.error_code, ours.error_code);
  out.number("fault address", 0u, expected.fault_address, ours.fault_address);
  for (unsigned n = 0; n < 8; ++n)
    out.number(kNames[n], test.before.gpr[n], expected.after.gpr[n], ours.after.gpr[n]);
  out.number("eip", test.before.eip, expected.after.eip, ours.after.eip);
  const uint32_t mask = ~(x86::kRf | x86::kTf | ignored_flags);
  out.number("eflags", test.before.eflags, expected.after.eflags & mask, ours.after.eflags & mask);
  compare_units(test.before, expected.after, ours.after, out);
  compare_ymm(test.before, expected.after, ours.after, out);
  compare_data(test, expected, ours, out);
  return out.take();
}

std::string describe(const TestCase& test) {
  std::string text = fmt::format("  bytes {}  eip {:x} eflags {:x}\n ", hex(test.bytes.data(), test.length),
                                 test.before.eip, test.before.eflags);
  for (unsigned n = 0; n < 8; ++n) text += fmt::format(" {} {:x}", kNames[n], test.before.gpr[n]);
  text += fmt::format("\n  fcw {:x} fsw {:x} tags {:x} mxcsr {:x}\n", field<uint16_t>(test.before, 0),
                      field<uint16_t>(test.before, 2), field<uint8_t>(test.before, 4),
                      field<uint32_t>(test.before, 24));
  text += fmt::format("  window at {:x}: {}\n", kDataBase + test.window, hex(test.window_bytes.data(), 64));
  return text;
}

}  // namespace vitrine::differential

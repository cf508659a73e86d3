// Random cases: see generator.h.
#include "differential/generator.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "x86/registers.h"

namespace vitrine::differential {
namespace {

using cpu::Operation;

constexpr uint32_t kArithmetic = 0x8d5, kDirection = 0x400;

bool one_of(Operation operation, std::initializer_list<Operation> list) {
  return std::ranges::find(list, operation) != list.end();
}

bool is_string(Operation o) {
  return one_of(o, {Operation::Movs, Operation::Cmps, Operation::Stos, Operation::Lods, Operation::Scas,
                    Operation::Ins, Operation::Outs});
}

/// Operations whose memory operand is an image with structure.
bool is_image(Operation o) {
  return one_of(o, {Operation::Fldenv, Operation::Frstor, Operation::Fxrstor, Operation::Fxsave,
                    Operation::Ldmxcsr, Operation::Vldmxcsr});
}

void append(std::vector<uint8_t>& bytes, uint32_t value, unsigned size) {
  for (unsigned n = 0; n < size; ++n) bytes.push_back(static_cast<uint8_t>(value >> 8 * n));
}

}  // namespace

uint32_t Generator::interesting32() {
  static constexpr uint32_t kValues[] = {0,          1,       2,          0xffffffff, 0xfffffffe, 0x7fffffff,
                                         0x80000000, 0x7f,    0x80,       0xff,       0x7fff,     0x8000,
                                         0xffff,     0x10000, 0x3f800000, 0x7f800000, 0x7fc00000, 0x55555555,
                                         0x99,       0x9a,    31,         32,         33};
  switch (below(4)) {
    case 0: return kValues[below(std::size(kValues))];
    case 1: return static_cast<uint32_t>(random_()) >> below(32);
    default: return static_cast<uint32_t>(random_());
  }
}

std::array<uint8_t, 16> Generator::interesting128() {
  static constexpr uint32_t kFloats[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                         0xff800000, 0x7fc00000, 0x7f800001, 0xffc00001, 0x00000001,
                                         0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000,
                                         0x3f000000, 0x40490fdb, 0x4b800001};
  std::array<uint8_t, 16> bytes{};
  uint32_t words[4];
  const unsigned kind = below(5);
  for (unsigned n = 0; n < 4; ++n) {
    const uint32_t noise = static_cast<uint32_t>(random_());
    if (kind == 0) words[n] = noise;
    if (kind == 1) words[n] = interesting32();
    if (kind == 2)
      words[n] = chance(60) ? kFloats[below(std::size(kFloats))] : (noise & 0x83ffffff) + 0x3c000000;
    if (kind == 3 || kind == 4) {  // doubles: the upper word decides
      static constexpr uint32_t kDoubles[] = {
          0,          0x80000000, 0x3ff00000, 0xbff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x7ff40000,
          0x00080000, 0x7fefffff, 0x41e00000, 0xc1e00000, 0x3fe00000, 0x36a00000, 0x47efffff, 0x38100000};
      if (n % 2 == 1)
        words[n] = chance(60) ? kDoubles[below(std::size(kDoubles))] : (noise & 0x803fffff) + 0x3fc00000;
      else
        words[n] = chance(50) ? 0 : noise;
    }
  }
  std::memcpy(bytes.data(), words, 16);
  return bytes;
}

std::array<uint8_t, 10> Generator::interesting80() {
  static constexpr uint16_t kExponents[] = {0,      1,      0x3ffe, 0x3fff, 0x4000, 0x401e, 0x403e,
                                            0x7ffe, 0x7fff, 0x3f81, 0x407f, 0x43ff, 0x3c01};
  static constexpr uint64_t kSignificands[] = {0,
                                               1,
                                               uint64_t{1} << 63,
                                               uint64_t{3} << 62,
                                               ~uint64_t{0},
                                               uint64_t{1} << 62,
                                               (uint64_t{1} << 63) + 1,
                                               0x8000000080000000,
                                               0xffffffffffff0000};
  uint16_t exponent =
      chance(60) ? kExponents[below(std::size(kExponents))] : static_cast<uint16_t>(0x3fe0 + below(0x60));
  if (chance(50)) exponent |= 0x8000;
  uint64_t significand = chance(50) ? kSignificands[below(std::size(kSignificands))] : random_();
  if (chance(70)) significand |= uint64_t{1} << 63;
  std::array<uint8_t, 10> bytes{};
  std::memcpy(bytes.data(), &significand, 8);
  std::memcpy(bytes.data() + 8, &exponent, 2);
  return bytes;
}

void Generator::make_unit(MachineState& state) {
  uint8_t* unit = state.unit.data();
  uint16_t control = static_cast<uint16_t>(0x40 | 0x3f | below(4) << 10 | (chance(80) ? 3 : below(4)) << 8);
  if (chance(20)) control = static_cast<uint16_t>((control & ~0x3f) | below(64));
  uint16_t status = static_cast<uint16_t>(below(8) << 11 | (random_() & 0x4700));
  if (chance(20)) status |= static_cast<uint16_t>(below(0x80));
  if (chance(90)) status &= static_cast<uint16_t>(~(~control & 0x3f));  // mostly nothing pending
  if ((status & ~control & 0x3f) != 0) status |= 0x8080;
  uint32_t mxcsr = 0x1f80 | below(4) << 13;
  if (chance(30)) mxcsr |= below(64);
  if (chance(15)) mxcsr ^= below(64) << 7;
  if (chance(15)) mxcsr |= (below(2) << 15) | (below(2) << 6);
  if (chance(30)) {
    control = 0x37f;
    mxcsr = 0x1f80;
    status &= 0x7f00;
  }
  const uint16_t opcode = static_cast<uint16_t>(below(0x800));
  const uint32_t instruction = interesting32(), data = interesting32();
  std::memcpy(unit, &control, 2);
  std::memcpy(unit + 2, &status, 2);
  unit[4] = static_cast<uint8_t>(chance(70) ? 0xff : chance(50) ? random_() : 0);
  std::memcpy(unit + 6, &opcode, 2);
  std::memcpy(unit + 8, &instruction, 4);
  std::memcpy(unit + 16, &data, 4);
  std::memcpy(unit + 24, &mxcsr, 4);
  for (unsigned n = 0; n < 8; ++n) std::memcpy(unit + 32 + 16 * n, interesting80().data(), 10);
  for (unsigned n = 0; n < 8; ++n) std::memcpy(unit + 160 + 16 * n, interesting128().data(), 16);
  static const bool avx = __builtin_cpu_supports("avx") != 0;
  for (unsigned n = 0; avx && n < 8; ++n)
    std::memcpy(state.ymm_high.data() + 16 * n, interesting128().data(), 16);
}

void Generator::make_window(TestCase& test) {
  test.window = below((kDataSize - kWindowSize) / 16 + 1) * 16;
  for (unsigned n = 0; n < kWindowSize; n += 16) {
    auto bytes = interesting128();
    if (chance(30)) std::memcpy(bytes.data(), interesting80().data(), 10);
    std::memcpy(test.window_bytes.data() + n, bytes.data(), 16);
  }
}

void Generator::make_state(TestCase& test) {
  for (uint32_t& value : test.before.gpr) value = interesting32();
  test.before.gpr[x86::kEsp] = kDataBase + 0x800 + below(0x800) * 2;
  test.before.eip = kCodeBase + 0x100;
  test.before.eflags = 0x202 | (static_cast<uint32_t>(random_()) & (kArithmetic | kDirection));
  make_unit(test.before);
  make_window(test);
}

uint32_t Generator::make_target(const TestCase& test) {
  const uint32_t kind = below(100);
  const uint32_t middle = kDataBase + test.window + 16 * below(4);
  if (kind < 75) return middle;
  if (kind < 92) return middle + below(16);
  if (kind < 95) return kDataBase + kDataSize - below(20);
  if (kind < 97) return kDataBase - below(8);
  if (kind < 99) return kDataBase + 0x1000 - below(16);
  return interesting32();
}

// Pointers that an instruction implies.
void Generator::place_pointers(TestCase& test, const Form& form) {
  auto& gpr = test.before.gpr;
  const auto somewhere = [&] { return kDataBase + test.window + below(kWindowSize - 16); };
  if (is_string(form.operation)) {
    gpr[x86::kEsi] = chance(95) ? somewhere() : make_target(test);
    gpr[x86::kEdi] = chance(95) ? somewhere() : make_target(test);
    test.repeats = !form.prefix.empty() && form.prefix.back() >= 0xf2;
    if (test.repeats) gpr[x86::kEcx] = below(12);
  }
  if (one_of(form.operation, {Operation::Maskmovq, Operation::Maskmovdqu, Operation::Vmaskmovdqu}))
    gpr[x86::kEdi] = somewhere();
  if (form.operation == Operation::Xlat) gpr[x86::kEbx] = somewhere();
  if (one_of(form.operation, {Operation::Leave, Operation::Enter}) && chance(90))
    gpr[x86::kEbp] = somewhere() & ~3u;
  if (one_of(form.operation, {Operation::Loop, Operation::Loope, Operation::Loopne, Operation::Jcxz}) &&
      chance(50))
    gpr[x86::kEcx] = below(3);
  if (one_of(form.operation, {Operation::Bt, Operation::Bts, Operation::Btr, Operation::Btc}) &&
      form.memory) {
    for (uint32_t& value : gpr) {
      if (&value != &gpr[x86::kEsp] && chance(80)) value = below(512) - 128;
    }
  }
  if (one_of(form.operation, {Operation::Div, Operation::Idiv}) && chance(60)) {
    gpr[x86::kEdx] = chance(50) ? 0 : chance(50) ? 0xffffffff : below(256);
    if (form.operand_size == 1 && chance(60)) gpr[x86::kEax] = below(0x400);
  }
  if (one_of(form.operation, {Operation::Cmpxchg, Operation::Cmpxchg8b}) && chance(40)) {
    std::memcpy(&gpr[x86::kEax], test.window_bytes.data(), 4);
    std::memcpy(&gpr[x86::kEdx], test.window_bytes.data() + 4, 4);
  }
}

// A ModRM byte, SIB and displacement that reach `target`, changing registers where the form leaves no
// displacement.
void Generator::encode_memory(TestCase& test, unsigned reg, uint32_t target, std::vector<uint8_t>& bytes,
                              bool address16) {
  auto& gpr = test.before.gpr;
  if (address16) {
    bytes.push_back(static_cast<uint8_t>(0x06 | reg << 3));
    return append(bytes, target, 2);
  }
  const uint32_t kind = below(10);
  if (kind < 3) {  // [disp32]
    bytes.push_back(static_cast<uint8_t>(0x05 | reg << 3));
    return append(bytes, target, 4);
  }
  if (kind < 6) {  // [base + disp32]
    const unsigned base = below(8);
    if (base == x86::kEsp) {
      bytes.push_back(static_cast<uint8_t>(0x84 | reg << 3));
      bytes.push_back(0x24);
    } else {
      bytes.push_back(static_cast<uint8_t>(0x80 | reg << 3 | base));
    }
    return append(bytes, target - gpr[base], 4);
  }
  if (kind < 8) {  // [base + disp8], [base]
    static constexpr unsigned kBases[] = {x86::kEcx, x86::kEbx, x86::kEsi, x86::kEdi, x86::kEdx};
    const unsigned base = kBases[below(5)];
    const auto displacement = static_cast<int8_t>(random_());
    const bool none = chance(50);
    gpr[base] = target - (none ? 0 : static_cast<uint32_t>(displacement));
    bytes.push_back(static_cast<uint8_t>((none ? 0x00 : 0x40) | reg << 3 | base));
    if (!none) bytes.push_back(static_cast<uint8_t>(displacement));
    return;
  }
  const unsigned base = below(8), index = below(8), scale = below(4);  // [base + index * scale + disp32]
  const uint32_t scaled = index == 4 ? 0 : gpr[index] << scale;
  const bool no_base = base == 5 && chance(50);
  bytes.push_back(static_cast<uint8_t>((no_base ? 0x04 : 0x84) | reg << 3));
  bytes.push_back(static_cast<uint8_t>(scale << 6 | index << 3 | base));
  append(bytes, target - scaled - (no_base ? 0 : gpr[base]), 4);
}

// The form's prefix with any register in vvvv, bits that 32-bit mode ignores either way, and the short prefix
// where it says the same.
void Generator::encode_vex(const Form& form, std::vector<uint8_t>& bytes) {
  uint8_t second = form.opcode[1], third = form.opcode[2];
  if (form.free_vvvv) {
    third = static_cast<uint8_t>((third & ~0x78) | 0x40 | below(8) << 3);
    if (chance(5)) third &= 0xbf;
  }
  if (chance(5)) second &= 0xdf;
  if (second == 0xe1 && (third & 0x80) == 0 && (third & 0x40) != 0 && chance(50)) {
    bytes.insert(bytes.end(), {0xc5, static_cast<uint8_t>(0x80 | third), form.opcode[3]});
  } else {
    bytes.insert(bytes.end(), {0xc4, second, third, form.opcode[3]});
  }
}

// Elements are mostly in the window. `bytes` end with the opcode.
void Generator::encode_gather(TestCase& test, const Form& form, std::vector<uint8_t>& bytes) {
  const unsigned reg = below(8), scale = below(4);
  const unsigned mask = ~unsigned{bytes[bytes.size() - 2]} >> 3 & 7;
  unsigned index = below(8);
  while (chance(97) && (index == reg || index == mask)) index = below(8);
  const unsigned base = chance(50) ? 1u : 6u;  // ecx or esi
  const auto displacement = static_cast<int8_t>(random_());
  test.before.gpr[base] = kDataBase + test.window - static_cast<uint32_t>(displacement);
  const bool wide = (form.opcode.back() & 1) != 0;  // 64-bit indices
  for (unsigned half = 0; half < 2; ++half) {
    uint8_t* const bytes_of_half =
        (half == 0 ? test.before.unit.data() + 160 : test.before.ymm_high.data()) + 16 * index;
    for (unsigned n = 0; n < 16; n += wide ? 8 : 4) {
      const uint32_t value = chance(92) ? below((kWindowSize - 8) >> scale) : interesting32();
      std::memcpy(bytes_of_half + n, &value, 4);
    }
  }
  test.repeats = true;  // a single step stops after an element when the next one faults
  bytes.push_back(static_cast<uint8_t>(0x44 | reg << 3));
  bytes.push_back(static_cast<uint8_t>(scale << 6 | index << 3 | base));
  bytes.push_back(static_cast<uint8_t>(displacement));
}

// Values without which the instruction would do the same dull thing every time, or more than the test can
// follow.
void Generator::adjust(TestCase& test, const Form& form, std::vector<uint8_t>& immediate) {
  if (form.operation == Operation::Int && !immediate.empty() && immediate[0] == 0x80) immediate[0] = 0x81;
  if (form.operation == Operation::Enter && immediate.size() == 3) {
    immediate[1] = 0;
    immediate[2] &= 7;
  }
  if (is_image(form.operation) && !one_of(form.operation, {Operation::Fldenv, Operation::Frstor})) {
    const size_t at = one_of(form.operation, {Operation::Ldmxcsr, Operation::Vldmxcsr}) ? 0 : 24;
    uint32_t mxcsr = chance(90) ? 0x1f80 | (static_cast<uint32_t>(random_()) & 0xffff) : interesting32();
    mxcsr &= ~uint32_t{0x20000};  // Misaligned mode: some hosts have it, no guest is told of it.
    std::memcpy(test.window_bytes.data() + at, &mxcsr, 4);
  }
  if (form.operation == Operation::Fbld && chance(80)) {
    for (unsigned n = 0; n < kWindowSize; ++n) {
      const bool sign = n % 16 == 9;
      test.window_bytes[n] = static_cast<uint8_t>(sign ? below(2) << 7 : below(10) << 4 | below(10));
    }
  }
}

void Generator::encode(TestCase& test, const Form& form) {
  std::vector<uint8_t> bytes;
  const bool string = is_string(form.operation);
  const bool address16 = (form.memory || string) && chance(2);
  if (chance(5)) {
    static constexpr uint8_t kSegments[] = {0x26, 0x2e, 0x36, 0x3e, 0x65};
    const uint8_t segment = kSegments[below(5)];
    if (form.memory || string) bytes.push_back(segment);
  }
  if (address16) bytes.push_back(0x67);
  bytes.insert(bytes.end(), form.prefix.begin(), form.prefix.end());
  if (form.vex) {
    encode_vex(form, bytes);
  } else {
    bytes.insert(bytes.end(), form.opcode.begin(), form.opcode.end());
  }
  const bool image = is_image(form.operation) && chance(90);
  const uint32_t target = image ? kDataBase + test.window : make_target(test);
  if (form.gather) {
    encode_gather(test, form, bytes);
  } else if (form.has_modrm) {
    const unsigned reg = form.group ? form.modrm_reg : below(8);
    if (form.memory)
      encode_memory(test, reg, target, bytes, address16);
    else
      bytes.push_back(static_cast<uint8_t>(
          0xc0 | reg << 3 | (form.modrm_rm >= 0 ? static_cast<unsigned>(form.modrm_rm) : below(8))));
  }
  std::vector<uint8_t> immediate;
  const bool direct = form.opcode.size() == 1 && form.opcode[0] >= 0xa0 && form.opcode[0] <= 0xa3;
  if (direct)
    append(immediate, target, 4);
  else
    append(immediate, interesting32(), std::min<unsigned>(form.immediate_size, 4));
  adjust(test, form, immediate);
  bytes.insert(bytes.end(), immediate.begin(), immediate.end());
  test.length = static_cast<uint8_t>(std::min<size_t>(bytes.size(), 15));
  std::copy_n(bytes.begin(), test.length, test.bytes.begin());
}

TestCase Generator::make(unsigned index) {
  TestCase test;
  const Form& form = forms_.encodings[index];
  test.form = index;
  make_state(test);
  place_pointers(test, form);
  encode(test, form);
  return test;
}

TestCase Generator::make_bytes() {
  TestCase test;
  make_state(test);
  for (uint32_t& value : test.before.gpr) {
    if (chance(50)) value = kDataBase + test.window + below(kWindowSize - 16);
  }
  test.before.gpr[x86::kEsp] = kDataBase + 0x1000;
  test.before.gpr[x86::kEcx] = below(20);
  static constexpr uint8_t kPrefixes[] = {0x66, 0xf2, 0xf3, 0xf0, 0x2e, 0x67};
  unsigned at = 0;
  while (at < 4 && chance(30)) test.bytes[at++] = kPrefixes[below(6)];
  if (chance(20)) {
    const bool is_short = chance(50);
    test.bytes[at++] = is_short ? 0xc5 : 0xc4;
    if (!is_short) test.bytes[at++] = static_cast<uint8_t>(0xe0 | (1 + below(3)));
    test.bytes[at++] =
        static_cast<uint8_t>((is_short || chance(70) ? 0x80 : 0) | (chance(50) ? 0x78 : 0) | below(0x80));
  } else if (chance(70)) {
    test.bytes[at++] = 0x0f;
  }
  if (at > 0 && test.bytes[at - 1] == 0x0f && chance(20)) test.bytes[at++] = chance(50) ? 0x38 : 0x3a;
  while (at < 15) test.bytes[at++] = static_cast<uint8_t>(chance(20) ? 0 : random_());
  test.length = 15;
  return test;
}

std::vector<uint8_t> Generator::make_data() {
  std::vector<uint8_t> data(kDataSize);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random_());
  return data;
}

}  // namespace vitrine::differential

#include "debug/target_description.h"

#include <fmt/format.h>

#include <array>
#include <span>

#include "debug/gdb_registers.h"

namespace vitrine::debug {
namespace {

struct Bit {
  std::string_view name;
  unsigned first;
  unsigned last;
};

/// A register type whose bits gdb shows by name.
struct FlagsType {
  std::string_view name;
  unsigned size;
  std::span<const Bit> bits;
};

// EFLAGS and MXCSR: gdb has these types for the i386, but a description that uses them must spell them out.
constexpr Bit kEflagsBits[] = {
    {"CF", 0, 0},   {"", 1, 1},     {"PF", 2, 2},   {"AF", 4, 4},    {"ZF", 6, 6},     {"SF", 7, 7},
    {"TF", 8, 8},   {"IF", 9, 9},   {"DF", 10, 10}, {"OF", 11, 11},  {"IOPL", 12, 13}, {"NT", 14, 14},
    {"RF", 16, 16}, {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19}, {"VIP", 20, 20},  {"ID", 21, 21},
};
constexpr Bit kMxcsrBits[] = {
    {"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},   {"UE", 4, 4},
    {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},   {"DM", 8, 8},   {"ZM", 9, 9},
    {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15},
};
constexpr Bit kCr0Bits[] = {
    {"PE", 0, 0},   {"MP", 1, 1},   {"EM", 2, 2},   {"TS", 3, 3},   {"ET", 4, 4},   {"NE", 5, 5},
    {"WP", 16, 16}, {"AM", 18, 18}, {"NW", 29, 29}, {"CD", 30, 30}, {"PG", 31, 31},
};
constexpr Bit kCr4Bits[] = {
    {"VME", 0, 0}, {"PVI", 1, 1},    {"TSD", 2, 2},          {"DE", 3, 3},
    {"PSE", 4, 4}, {"PAE", 5, 5},    {"MCE", 6, 6},          {"PGE", 7, 7},
    {"PCE", 8, 8}, {"OSFXSR", 9, 9}, {"OSXMMEXCPT", 10, 10}, {"OSXSAVE", 18, 18},
};
constexpr Bit kEferBits[] = {{"SCE", 0, 0}, {"LME", 8, 8}, {"LMA", 10, 10}, {"NXE", 11, 11}};

constexpr FlagsType kCoreTypes[] = {{"i386_eflags", 4, kEflagsBits}};
constexpr FlagsType kSseTypes[] = {{"i386_mxcsr", 4, kMxcsrBits}};
constexpr FlagsType kSystemTypes[] = {
    {"vitrine_cr0", 4, kCr0Bits}, {"vitrine_cr4", 4, kCr4Bits}, {"vitrine_efer", 8, kEferBits}};

// The ways in which gdb shows a vector register; its i386 code expects these member names.
constexpr std::string_view kVectorTypes = R"(<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/>
<field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/>
<field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>
)";

std::string flags_type(const FlagsType& type) {
  std::string text = fmt::format("<flags id=\"{}\" size=\"{}\">\n", type.name, type.size);
  for (const Bit& bit : type.bits) {
    text += fmt::format("<field name=\"{}\" start=\"{}\" end=\"{}\"/>\n", bit.name, bit.first, bit.last);
  }
  return text + "</flags>\n";
}

/// Where `info registers` of one group finds it.
std::string_view group_of(const RegisterRow& row) {
  switch (row.kind) {
    case RegisterKind::FpuControl:
    case RegisterKind::FpuStatus:
    case RegisterKind::FpuTag:
    case RegisterKind::FpuInstructionSegment:
    case RegisterKind::FpuInstructionPointer:
    case RegisterKind::FpuDataSegment:
    case RegisterKind::FpuDataPointer:
    case RegisterKind::FpuOpcode: return " group=\"float\"";
    case RegisterKind::Mxcsr: return " group=\"vector\"";
    default: break;
  }
  // Nobody calls a function of the guest in order to change these: gdb need not restore them after it.
  return row.feature == RegisterFeature::System ? " group=\"system\" save-restore=\"no\"" : "";
}

std::string feature(std::string_view name, RegisterFeature wanted, std::string_view vectors,
                    std::span<const FlagsType> types) {
  std::string text = fmt::format("<feature name=\"{}\">\n{}", name, vectors);
  for (const FlagsType& type : types) text += flags_type(type);
  for (unsigned number = 0; number < kRegisterCount; ++number) {
    const RegisterRow& row = register_rows()[number];
    if (row.feature != wanted) continue;
    text += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"{}/>\n", row.name,
                        row.size * 8, row.type, number, group_of(row));
  }
  return text + "</feature>\n";
}

}  // namespace

std::string target_description(AvxRegisters avx) {
  return "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
         "<target version=\"1.0\">\n<architecture>i386</architecture>\n" +
         feature("org.gnu.gdb.i386.core", RegisterFeature::Core, "", kCoreTypes) +
         feature("org.gnu.gdb.i386.sse", RegisterFeature::Sse, kVectorTypes, kSseTypes) +
         feature("vitrine.system", RegisterFeature::System, "", kSystemTypes) +
         (avx == AvxRegisters::Present ? feature("org.gnu.gdb.i386.avx", RegisterFeature::Avx, "", {}) : "") +
         "</target>\n";
}

std::string_view memory_map() {
  return "<?xml version=\"1.0\"?>\n"
         "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
         "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
         "<memory-map>\n<memory type=\"ram\" start=\"0x0\" length=\"0x100000000\"/>\n</memory-map>\n";
}

}  // namespace vitrine::debug

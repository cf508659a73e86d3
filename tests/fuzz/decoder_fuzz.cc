// Any bytes through the decoder, in every mode and for processors old and new. What it says has to hold
// together: lengths, and that it makes no difference how many bytes lie behind an instruction.
#include <array>

#include "base/check.h"
#include "cpu/decoder.h"
#include "cpu/test_machine.h"
#include "fuzz/fuzz_target.h"
#include "x86/flags.h"

namespace vitrine::fuzz {
namespace {

constexpr unsigned kLongestInstruction = 15;

// A processor to decode for; made once, decoding leaves nothing behind in it.
struct Bench {
  explicit Bench(const char* name)
      : model(cpu::CpuModel::create(name).value()), decoder(model), core({map, ports, bus, model}) {}

  memory::PhysicalMap map;
  memory::PortMap ports;
  cpu::TestBus bus;
  cpu::CpuModel model;
  cpu::Decoder decoder;
  cpu::Core core;
};

void check(const cpu::Decoded& decoded, const cpu::Instruction& instruction, unsigned available) {
  if (decoded.status == cpu::DecodeStatus::NeedsMore) {
    CHECK(available < kLongestInstruction, "{} bytes are not enough", available);
    return;
  }
  CHECK(instruction.handler != nullptr);
  CHECK(instruction.length >= 1 && instruction.length <= kLongestInstruction, "length {}",
        instruction.length);
  CHECK(instruction.length <= available, "length {} of {}", instruction.length, available);
  CHECK(instruction.base <= cpu::kNoRegister && instruction.index <= cpu::kNoRegister);
  CHECK(instruction.segment < x86::kSegmentCount && instruction.scale <= 3);
}

// The instruction at the start of `bytes`: its length, 1 when it is not all there.
unsigned decode(Bench& bench, std::span<const uint8_t> bytes, bool code32) {
  const auto available = static_cast<unsigned>(std::min<size_t>(bytes.size(), kLongestInstruction));
  cpu::Instruction whole{};
  const cpu::Decoded decoded = bench.decoder.decode(bench.core, bytes.data(), available, code32, whole);
  check(decoded, whole, available);
  if (decoded.status == cpu::DecodeStatus::NeedsMore) return 1;
  if (whole.operation == cpu::Operation::Invalid) return whole.length;  // its length is nobody's business
  // Just enough bytes give the same; one fewer asks for more, or is another, shorter failure.
  cpu::Instruction exact{};
  const cpu::Decoded again = bench.decoder.decode(bench.core, bytes.data(), whole.length, code32, exact);
  check(again, exact, whole.length);
  CHECK(again.status == cpu::DecodeStatus::Done && exact.length == whole.length &&
        exact.operation == whole.operation);
  if (whole.length > 1) {
    const unsigned fewer = whole.length - 1u;
    check(bench.decoder.decode(bench.core, bytes.data(), fewer, code32, exact), exact, fewer);
  }
  return whole.length;
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  // Every opcode of the two maps, with a memory operand that has everything, behind each of the usual
  // prefixes.
  for (const uint8_t prefix : {0x90, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e}) {
    Input one, two, three;
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      const auto byte = static_cast<uint8_t>(opcode);
      one.insert(one.end(), {prefix, byte, 0x84, 0x58, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88});
      two.insert(two.end(), {prefix, 0x0f, byte, 0xc1, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66});
      three.insert(three.end(),
                   {prefix, 0x0f, static_cast<uint8_t>(opcode & 1 ? 0x38 : 0x3a), byte, 0x41, 0x11, 0x22});
    }
    all.insert(all.end(), {one, two, three});
  }
  // VEX.
  Input vex;
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    const auto byte = static_cast<uint8_t>(opcode);
    vex.insert(vex.end(),
               {0xc4, 0xe2, 0x79, byte, 0xc1, 0xc5, 0xf9, byte, 0xc1, 0xc4, 0xe3, 0x7d, byte, 0xc1, 0x01});
  }
  all.push_back(vex);
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  static std::array<fuzz::Bench, 3> benches = {fuzz::Bench("max"), fuzz::Bench("486"),
                                               fuzz::Bench("pentium")};
  for (fuzz::Bench& bench : benches) {
    for (unsigned mode = 0; mode < 3; ++mode) {  // real, 16-bit protected, 32-bit protected
      bench.core.state.cr0 = mode == 0 ? 0x10 : 0x11;
      for (std::span<const uint8_t> rest(data, size); !rest.empty();) {
        rest = rest.subspan(fuzz::decode(bench, rest, mode == 2));
      }
    }
  }
  return 0;
}

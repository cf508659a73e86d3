// Damaged and hostile saved states: of each device, and of the processor. Whether a state is refused or not,
// what was made from it can be used and saved; a state that was taken can be taken again.
#include "base/check.h"
#include "cpu/test_machine.h"
#include "fuzz/device_bench.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

// Changes bytes, and cuts the end off.
std::vector<uint8_t> damage(FuzzInput& input, std::vector<uint8_t> state) {
  if (state.empty()) return state;
  for (unsigned i = input.below(24); i > 0; --i) {
    uint8_t& byte = state[input.below(static_cast<uint32_t>(state.size()))];
    byte = input.flag() ? input.byte() : static_cast<uint8_t>(byte ^ 1u << input.below(8));
  }
  if (input.below(16) == 0) state.resize(input.below(static_cast<uint32_t>(state.size())));
  return state;
}

void check_taken_again(Serializable& part, std::string_view name) {
  StateArchive saved;
  part.serialize(saved);
  StateArchive loading(saved.data());
  part.serialize(loading);
  CHECK(loading.status().has_value(), "{}: {}", name, loading.status().error().message());
}

struct Bench final : Serializable {
  explicit Bench(const DeviceRow& row) : devices(row) {}
  void serialize(StateArchive& archive) override { devices.serialize(archive); }
  DeviceBench devices;
};

void fuzz_device(FuzzInput& input, const DeviceRow& row) {
  Bench bench(row);
  for (unsigned i = input.byte(); i > 0 && !input.empty(); --i) bench.devices.step(input);
  StateArchive saved;
  bench.serialize(saved);
  const std::vector<uint8_t> state = damage(input, saved.data());
  Bench victim(row);
  StateArchive loading{std::span<const uint8_t>(state)};
  victim.serialize(loading);
  if (loading.status()) check_taken_again(victim, row.name);
  while (!input.empty()) victim.devices.step(input);
}

void fuzz_processor(FuzzInput& input) {
  cpu::TestMachine machine(static_cast<cpu::TestMode>(input.below(3)));
  machine.trap_exceptions();
  if (input.flag()) machine.make_page_tables();
  machine.write(cpu::TestMachine::kCode, input.bytes(256));
  StateArchive saved;
  machine.cpu->serialize(saved);
  const std::vector<uint8_t> state = damage(input, saved.data());
  StateArchive loading{std::span<const uint8_t>(state)};
  machine.cpu->serialize(loading);
  if (loading.status()) check_taken_again(*machine.cpu, "processor");
  (void)machine.cpu->run(200);
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (size_t device = 0; device <= device_rows().size(); ++device) {
    for (uint64_t i = 0; i < 8; ++i) {
      all.push_back(noise(device * 8 + i, 1000));
      all.back()[0] = static_cast<uint8_t>(device);
    }
  }
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine::fuzz;
  FuzzInput input(data, size);
  const uint32_t which = input.below(static_cast<uint32_t>(device_rows().size()) + 1);
  if (which == device_rows().size()) {
    fuzz_processor(input);
  } else {
    fuzz_device(input, device_rows()[which]);
  }
  return 0;
}

// Each device of the PC by itself under random traffic: the first byte chooses the device, the others are
// what happens to it. In the end its state is saved, restored into another one of its kind, and saved again,
// the same.
#include "base/check.h"
#include "fuzz/device_bench.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (size_t device = 0; device < device_rows().size(); ++device) {
    for (uint64_t i = 0; i < 8; ++i) {
      all.push_back(noise(device * 8 + i, 2000));
      all.back()[0] = static_cast<uint8_t>(device);
    }
  }
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  FuzzInput input(data, size);
  const DeviceRow& row = input.any_of(device_rows());
  DeviceBench bench(row);
  while (!input.empty()) bench.step(input);

  StateArchive saved;
  bench.serialize(saved);
  DeviceBench other(row);
  other.clock.advance_to(bench.clock.now());
  StateArchive loading(saved.data());
  other.serialize(loading);
  CHECK(loading.status().has_value(), "{}: {}", row.name, loading.status().error().message());
  StateArchive again;
  other.serialize(again);
  CHECK(again.data() == saved.data(), "{}: a restored state is another", row.name);
  return 0;
}

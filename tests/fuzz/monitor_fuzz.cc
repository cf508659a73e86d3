// What is typed at the monitor's prompt: lines, control characters and escape sequences, against a machine
// that only pretends, with page tables in its memory.
#include <sys/mman.h>

#include <array>

#include "base/check.h"
#include "cpu/cpu_state.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"
#include "machine/monitor.h"
#include "machine/monitor_commands.h"
#include "machine/simple_character_backends.h"

namespace vitrine::fuzz {
namespace {

constexpr uint32_t kRamSize = 1 << 20;
// More than any command has to say.
constexpr size_t kLongestAnswer = size_t{4} << 20;

class Target final : public machine::MonitorTarget {
 public:
  Target() {
    map_.add(memory::Placement::ram(PhysicalAddress(0), kRamSize, *ram_, 0));
    cpu::CpuState& paging = cpus_[1];
    paging.cr0 = 0x80000011;
    paging.cr3 = 0x1000;
    for (uint32_t i = 0; i < 16; ++i) {
      map_.write(PhysicalAddress(0x1000 + i * 64), 4, 0x2000 | i * 0x11);
      map_.write(PhysicalAddress(0x2000 + i * 12), 4, i << 12 | 7);
    }
  }

  std::string name() const override { return "fuzzed"; }
  machine::RunState run_state() const override { return state_; }
  void pause() override { state_ = machine::RunState::Paused; }
  void resume() override { state_ = machine::RunState::Running; }
  void reset() override {}
  void press_power_button() override {}
  void quit() override {}
  Clock& clock() override { return clock_; }
  unsigned cpu_count() const override { return static_cast<unsigned>(cpus_.size()); }
  const cpu::CpuState& cpu_state(unsigned cpu) const override { return cpus_.at(cpu); }
  bool read_virtual(unsigned, VirtualAddress address, std::span<uint8_t> data) const override {
    if (uint64_t{address.value} + data.size() > kRamSize) return false;
    map_.read(PhysicalAddress(address.value), data);
    return true;
  }
  std::optional<PhysicalAddress> translate(unsigned, VirtualAddress address) const override {
    if (address.value >= kRamSize) return std::nullopt;
    return PhysicalAddress(address.value);
  }
  const memory::PhysicalMap& physical_map() const override { return map_; }
  uint32_t read_port(uint16_t port, unsigned) override { return port; }
  void write_port(uint16_t, unsigned size, uint32_t) override { CHECK(size == 1 || size == 2 || size == 4); }
  void key_event(devices::Key key, devices::KeyAction) override { CHECK(key < devices::Key::kCount); }
  void mouse_move(int, int, int) override {}
  void mouse_buttons(uint8_t) override {}
  Result<machine::ScreenImage> screenshot() override {
    return machine::ScreenImage{2, 1, {1, 2, 3, 4, 5, 6}};
  }
  std::optional<devices::VgaText> text_screen() override { return devices::VgaText{4, {"text", ""}, 0, 0}; }
  std::string describe(machine::Subject) const override { return "a line\n"; }

  ManualClock clock_;

 private:
  std::unique_ptr<memory::RamBlock> ram_ = memory::RamBlock::create("ram", kRamSize).value();
  memory::PhysicalMap map_;
  std::array<cpu::CpuState, 2> cpus_;
  machine::RunState state_ = machine::RunState::Running;
};

struct Files final : machine::FileService {
  Result<Descriptor> create_file(std::string_view path, machine::FileContents) override {
    if (path.find('/') != std::string_view::npos)
      return std::unexpected(Error{"cannot create", std::string(path)});
    return Descriptor(::memfd_create("file", MFD_CLOEXEC));
  }
};

Input line(std::string_view text) {
  Input input(text.begin(), text.end());
  input.push_back('\r');
  return input;
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (const std::string_view text : {"x/4xw 0x1000",
                                      "x/3i $eip",
                                      "xp/2gx 0xffff0",
                                      "x/c 0",
                                      "p ($eax + 3) * -2 << 1",
                                      "print/d 7 % 3",
                                      "cpu 1",
                                      "info registers -a",
                                      "info mem",
                                      "info tlb",
                                      "sendkey ctrl-alt-f1 50",
                                      "mouse_move 1 -2 3",
                                      "mouse_button 7",
                                      "i/w 0x60",
                                      "o/b 0x80 0x12",
                                      "screendump \"a file\"",
                                      "memsave 0 4096 x",
                                      "pmemsave 0xff000 0x10000 x",
                                      "gva2gpa 0x1234",
                                      "info map",
                                      "help x",
                                      "stop",
                                      "cont",
                                      "info stX\x7f\x7fts\x15\x1b[A\x1b[B\x17",
                                      "info screen"}) {
    all.push_back(line(text));
  }
  for (const machine::MonitorCommand& command : machine::monitor_commands())
    all.push_back(line(std::string(command.name) + " 1 2"));
  for (const machine::MonitorCommand& command : machine::info_commands())
    all.push_back(line("info " + std::string(command.name)));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  Target target;
  Files files;
  machine::MemoryCharacterBackend terminal;
  machine::Monitor monitor(terminal, target, files);
  terminal.type("cpu 1\r");
  FuzzInput input(data, size);
  while (!input.empty()) {
    const auto part = input.bytes(100);
    terminal.type(std::string(part.begin(), part.end()));
    CHECK(terminal.take().size() <= kLongestAnswer * part.size());
    target.clock_.advance(1'000'000);
  }
  return 0;
}

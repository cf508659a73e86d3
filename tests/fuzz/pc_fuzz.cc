// A whole PC, or an ISA-only one, put together as for a guest, under random traffic on all ports and
// addresses; its processors run a few instructions now and then, of whatever firmware the input holds.
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"
#include "machine/pc.h"

namespace vitrine::fuzz {
namespace {

Descriptor memory_file(std::span<const uint8_t> bytes, size_t size) {
  Descriptor file(::memfd_create("fuzz", MFD_CLOEXEC));
  CHECK(file.valid() && ::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
  // At the end: a BIOS starts 16 bytes before its end.
  const size_t count = std::min(bytes.size(), size);
  CHECK(::pwrite(file.get(), bytes.data(), count, static_cast<off_t>(size - count)) ==
        static_cast<ssize_t>(count));
  return file;
}

machine::DriveConfig drive(machine::DriveInterface interface, unsigned index, machine::Media media,
                           size_t size) {
  machine::DriveConfig drive;
  drive.id = "drive";
  drive.interface = interface;
  drive.index = index;
  drive.media = media;
  drive.writes = media == machine::Media::Cdrom ? machine::Writes::Refused : machine::Writes::ToImage;
  drive.image = memory_file({}, size);
  return drive;
}

machine::MachineConfig make_config(FuzzInput& input) {
  machine::MachineConfig config;
  config.type = input.below(4) == 0 ? machine::MachineType::IsaPc : machine::MachineType::Pc;
  config.cpus = 1 + input.below(2);
  config.memory_size = uint64_t{2} << 20;
  config.bios = {"bios", memory_file(input.bytes(512), 0x10000)};
  config.drives.push_back(drive(machine::DriveInterface::Ide, 0, machine::Media::Disk, 1 << 20));
  config.drives.push_back(drive(machine::DriveInterface::Ide, 2, machine::Media::Cdrom, 1 << 20));
  config.drives.push_back(drive(machine::DriveInterface::Floppy, 0, machine::Media::Disk, 1440 << 10));
  if (config.type == machine::MachineType::Pc) {
    config.drives.push_back(drive(machine::DriveInterface::Virtio, 0, machine::Media::Disk, 1 << 20));
    config.virtio.push_back({.id = "disk", .drive = config.drives.size() - 1});
  }
  config.endpoints.push_back(
      {.label = "serial0", .description = "null", .connection = machine::NullEndpoint{}});
  config.serial_ports.push_back(0);
  config.debug_exit = machine::DebugExitConfig{};
  return config;
}

// What is around a PC; its wishes are counted, and a reset happens between two steps as it does in the run
// loop.
struct Board {
  explicit Board(FuzzInput& input)
      : config(make_config(input)), characters(*loop, std::move(config.endpoints), {}) {
    auto made = machine::Pc::create(config, {.clock = clock,
                                             .characters = characters,
                                             .model = model(),
                                             .reset = [this] { reset_requested = true; },
                                             .power_off = [] {},
                                             .debug_exit = [](int) {},
                                             .report = [](const Error&) {}});
    CHECK(made.has_value(), "{}", made.error().message());
    pc = std::move(*made);
  }
  static const cpu::CpuModel& model() {
    static const cpu::CpuModel model = cpu::CpuModel::create("max").value();
    return model;
  }

  ManualClock clock;
  std::unique_ptr<machine::EventLoop> loop = machine::EventLoop::create().value();
  machine::MachineConfig config;
  machine::CharacterDevices characters;
  bool reset_requested = false;
  std::unique_ptr<machine::Pc> pc;
};

uint64_t address(FuzzInput& input) {
  static constexpr uint64_t kPlaces[] = {
      0xa0000,    0xb8000,  0xc0000,     0xf0000,  0xfec00000, 0xfee00000, 0xfd000000, 0xe0000000,
      0xfffffff0, 0x1ffff8, 0x100000000, 0x100000, 0x7c00,     0xff8,      0x9fff8,    0xffff8};
  if (input.below(8) == 0) return uint64_t{input.dword()} << input.below(8);
  return input.any_of(kPlaces) + (input.flag() ? input.byte() : input.word());
}

uint16_t port(FuzzInput& input) {
  static constexpr uint16_t kPlaces[] = {0x00,  0x20,  0x40,  0x60,   0x64,  0x70,  0x80,  0x92,
                                         0xa0,  0xc0,  0xf0,  0x170,  0x1f0, 0x376, 0x3b0, 0x3c0,
                                         0x3ce, 0x3d0, 0x3f0, 0x3f8,  0x4d0, 0x510, 0x600, 0xcf8,
                                         0xcfc, 0x1ce, 0xb2,  0xc000, 0xafe0};
  if (input.below(16) == 0) return input.word();
  return static_cast<uint16_t>(input.any_of(kPlaces) + input.below(8));
}

void step(FuzzInput& input, Board& board) {
  machine::Pc& pc = *board.pc;
  switch (input.below(8)) {
    case 0: board.clock.advance(uint64_t{input.word()} << input.below(8)); break;
    case 1: (void)pc.processors().run_slice(1 + input.byte()); break;
    case 2:
      if (input.flag()) {
        pc.keyboard().key(static_cast<devices::Key>(input.below(static_cast<uint32_t>(devices::Key::kCount))),
                          input.flag() ? devices::KeyAction::Press : devices::KeyAction::Release);
      } else {
        pc.mouse().move(static_cast<int>(input.value()), static_cast<int>(input.value()), 1);
      }
      break;
    case 3: (void)pc.memory().read(PhysicalAddress(address(input)), 1u << input.below(4)); break;
    case 4: pc.memory().write(PhysicalAddress(address(input)), 1u << input.below(4), input.value()); break;
    case 5: (void)pc.ports().read(port(input), input.access_size()); break;
    default: pc.ports().write(port(input), input.access_size(), input.value()); break;
  }
  if (board.reset_requested) {
    board.reset_requested = false;
    pc.reset();
  }
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all;
  for (uint64_t i = 0; i < 32; ++i) {
    all.push_back(noise(i, 3000));
    // The last 16 bytes of the firmware: a jump to its beginning, and there a few instructions that lead to
    // more.
    static constexpr uint8_t kReset[] = {0xea, 0x00, 0xfe, 0x00, 0xf0};
    if (i % 2 == 0) std::copy(std::begin(kReset), std::end(kReset), all.back().begin() + 2 + 512 - 16);
  }
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::fuzz;
  FuzzInput input(data, size);
  const bool save = input.below(16) == 0;  // copies all of RAM and video memory
  Board board(input);
  while (!input.empty()) step(input, board);
  if (!save) return 0;
  StateArchive saved;
  board.pc->serialize(saved);
  StateArchive loading(saved.data());
  board.pc->serialize(loading);
  CHECK(loading.status().has_value(), "{}", loading.status().error().message());
  StateArchive again;
  board.pc->serialize(again);
  CHECK(again.data() == saved.data(), "a restored machine is another");
  return 0;
}

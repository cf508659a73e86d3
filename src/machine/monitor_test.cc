// Tests of the monitor's commands and line editor against a machine that only pretends.
#include "machine/monitor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <map>

#include "machine/monitor_commands.h"
#include "machine/simple_character_backends.h"
#include "x86/registers.h"

namespace vitrine::machine {
namespace {

using testing::HasSubstr;
using testing::Not;

class FakeTarget : public MonitorTarget {
 public:
  FakeTarget() : ram_(memory::RamBlock::create("ram", 1 << 20).value()) {
    map_.add(memory::Placement::ram(PhysicalAddress(0), 1 << 20, *ram_, 0));
  }

  std::string name() const override { return "tester"; }
  RunState run_state() const override { return state; }
  void pause() override { state = RunState::Paused; }
  void resume() override { state = RunState::Running; }
  void reset() override { ++resets; }
  void press_power_button() override { ++power_buttons; }
  void quit() override { ++quits; }
  Clock& clock() override { return manual_clock; }
  unsigned cpu_count() const override { return 2; }
  const cpu::CpuState& cpu_state(unsigned cpu) const override { return cpus[cpu]; }
  bool read_virtual(unsigned, VirtualAddress address, std::span<uint8_t> data) const override {
    // One to one below 1 MiB, nothing above.
    if (uint64_t{address.value} + data.size() > 1 << 20) return false;
    map_.read(PhysicalAddress(address.value), data);
    return true;
  }
  std::optional<PhysicalAddress> translate(unsigned, VirtualAddress address) const override {
    if (address.value >= 1 << 20) return std::nullopt;
    return PhysicalAddress(address.value);
  }
  std::optional<DisassembledInstruction> disassemble(unsigned, uint32_t,
                                                     std::span<const uint8_t> code) const override {
    if (code[0] != 0x90) return std::nullopt;
    return DisassembledInstruction{1, "nop"};
  }
  const memory::PhysicalMap& physical_map() const override { return map_; }
  uint32_t read_port(uint16_t port, unsigned size) override {
    return port == 0x60 && size == 1 ? 0x55 : 0xff;
  }
  void write_port(uint16_t port, unsigned size, uint32_t value) override {
    port_writes.push_back({port, size, value});
  }
  void key_event(devices::Key key, devices::KeyAction action) override { keys.emplace_back(key, action); }
  void mouse_move(int dx, int dy, int dz) override { mouse = {dx, dy, dz}; }
  void mouse_buttons(uint8_t value) override { buttons = value; }
  Result<ScreenImage> screenshot() override { return ScreenImage{2, 1, {255, 0, 0, 0, 0, 255}}; }
  std::optional<devices::VgaText> text_screen() override { return devices::VgaText{4, {"hi─", ""}, 0, 0}; }
  Result<void> set_balloon(uint64_t megabytes) override {
    if (megabytes == 666) return MonitorTarget::set_balloon(megabytes);
    balloon = megabytes;
    return {};
  }
  std::string describe(Subject subject) const override {
    return subject == Subject::Block ? "ide0-hd0: x.img\n" : "";
  }

  const paging::ShadowSpaces* shadow_spaces(unsigned) const override { return spaces.get(); }

  memory::PhysicalMap& map() { return map_; }
  const uint8_t* storage() const { return ram_->data(); }

  RunState state = RunState::Running;
  unsigned resets = 0, power_buttons = 0, quits = 0;
  std::array<cpu::CpuState, 2> cpus;
  ManualClock manual_clock;
  std::vector<std::array<uint32_t, 3>> port_writes;
  std::vector<std::pair<devices::Key, devices::KeyAction>> keys;
  std::array<int, 3> mouse{};
  uint8_t buttons = 0;
  uint64_t balloon = 0;

 private:
  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap map_;

 public:
  std::unique_ptr<paging::ShadowSpaces> spaces;  // before the map dies
};

/// Files in memory.
class FakeFiles : public FileService {
 public:
  Result<Descriptor> create_file(std::string_view path, FileContents) override {
    if (path == "/forbidden")
      return std::unexpected(Error{"cannot create the file", std::string(path), EACCES});
    Descriptor file(::memfd_create("file", MFD_CLOEXEC));
    created[std::string(path)].reset(::dup(file.get()));
    return file;
  }
  std::vector<uint8_t> contents(const std::string& path) {
    std::vector<uint8_t> data(1 << 20);
    const ssize_t count = ::pread(created[path].get(), data.data(), data.size(), 0);
    data.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return data;
  }
  std::map<std::string, Descriptor> created;
};

class MonitorTest : public testing::Test {
 protected:
  std::string run(std::string_view line) { return monitor_.execute(line); }
  void poke(uint64_t address, uint32_t value) { target_.map().write(PhysicalAddress(address), 4, value); }

  FakeTarget target_;
  FakeFiles files_;
  MemoryCharacterBackend terminal_;
  Monitor monitor_{terminal_, target_, files_};
};

TEST_F(MonitorTest, ExaminesMemory) {
  poke(0x7c00, 0xfa90aa55);
  poke(0x7c04, 0x12345678);
  EXPECT_EQ(run("x/2xw 0x7c00"), "00007c00: 0xfa90aa55 0x12345678\n");
  EXPECT_EQ(run("xp/4xb 0x7c00"), "0000000000007c00: 0x55 0xaa 0x90 0xfa\n");
  EXPECT_EQ(run("xp 0x7c02"), "0000000000007c02: 0x90\n");  // the format is as the last time, the count 1
  EXPECT_EQ(run("x/1dh 0x7c02"), "00007c02: -1392\n");
  EXPECT_EQ(run("x/1uh 0x7c02"), "00007c02: 64144\n");
  EXPECT_EQ(run("x/ob 0x7c04"), "00007c04: 0170\n");
  EXPECT_EQ(run("x/2c 0x7c04"), "00007c04: 'x' 'V'\n");
  EXPECT_EQ(run("x/gx 0x7c00"), "00007c00: 0x12345678fa90aa55\n");
  target_.cpus[0].gpr[x86::kEsp] = 0x7c00;
  EXPECT_EQ(run("x/wx $esp + 4"), "00007c04: 0x12345678\n");
}

TEST_F(MonitorTest, LinesHoldSixteenBytes) {
  EXPECT_EQ(run("x/5xw 0"), "00000000: 0x00000000 0x00000000 0x00000000 0x00000000\n00000010: 0x00000000\n");
}

TEST_F(MonitorTest, SaysWhenMemoryIsNotThere) {
  EXPECT_THAT(run("x/2xw 0xffffc"), HasSubstr("not mapped"));
  EXPECT_THAT(run("x/99999999999x 0"), HasSubstr("at most"));
  EXPECT_THAT(run("x/q 0"), HasSubstr("a format is"));
  EXPECT_THAT(run("x 5 5"), HasSubstr("cannot understand"));
  EXPECT_THAT(run("x"), HasSubstr("missing"));
}

TEST_F(MonitorTest, Disassembles) {
  poke(0x1000, 0x00009090);
  EXPECT_EQ(run("x/3i 0x1000"), "00001000:  nop\n00001001:  nop\n00001002: (no instruction)\n");
}

TEST_F(MonitorTest, DoesNotReadDeviceRegisters) {
  class Device : public memory::MemoryDevice {
   public:
    uint64_t read_memory(uint64_t, unsigned) override {
      ++reads;
      return 0;
    }
    void write_memory(uint64_t, unsigned, uint64_t) override {}
    unsigned reads = 0;
  } device;
  target_.map().add(memory::Placement::mmio(PhysicalAddress(0xfec00000), 4096, device));
  EXPECT_THAT(run("xp/4xw 0xfec00000"), HasSubstr("device"));
  EXPECT_EQ(device.reads, 0u);
  EXPECT_THAT(run("info map"), HasSubstr("0fec00000-0fec00fff device registers\n"));
  EXPECT_THAT(run("info map"), HasSubstr("000000000-0000fffff RAM ram at 0x0\n"));
}

TEST_F(MonitorTest, Calculates) {
  target_.cpus[0].gpr[x86::kEax] = 0x10;
  EXPECT_EQ(run("p $eax * (2 + 3)"), "0x50\n");
  EXPECT_EQ(run("print/d -5"), "-5\n");
  EXPECT_EQ(run("p/x 1 << 4 | 0x1"), "0x11\n");
  EXPECT_EQ(run("p 7 / 0"), "division by zero\n");
  EXPECT_EQ(run("p $nothing"), "there is no register 'nothing'\n");
  EXPECT_THAT(run("p (1"), HasSubstr("parenthesis"));
  EXPECT_THAT(run("p " + std::string(1000, '(')), HasSubstr("nested too deeply"));
  EXPECT_THAT(run("p " + std::string(1000, '-') + "1"), HasSubstr("nested too deeply"));
}

TEST_F(MonitorTest, ShowsRegistersOfTheChosenProcessor) {
  target_.cpus[1].gpr[x86::kEax] = 0xdeadbeef;
  target_.cpus[1].eip = 0x1234;
  EXPECT_THAT(run("info registers"), Not(HasSubstr("deadbeef")));
  EXPECT_EQ(run("cpu 1"), "");
  EXPECT_THAT(run("info registers"), HasSubstr("EAX=deadbeef"));
  EXPECT_THAT(run("info registers"), HasSubstr("CR0=00000000"));
  EXPECT_THAT(run("info cpus"), HasSubstr("* CPU #1: running, 0000:00001234"));
  EXPECT_THAT(run("cpu 2"), HasSubstr("0 to 1"));
  EXPECT_THAT(run("info registers -a"), HasSubstr("CPU#0"));
}

TEST_F(MonitorTest, WalksPageTables) {
  EXPECT_EQ(run("info mem"), "paging is off\n");
  target_.cpus[0].cr0 = 0x80000001;
  target_.cpus[0].cr3 = 0x1000;
  target_.cpus[0].cr4 = 0x10;
  poke(0x1000, 0x2007);          // table at 2000h, user, writable
  poke(0x1000 + 4, 0x00400083);  // 4 MiB page at 400000h, supervisor
  poke(0x2000, 0x3007);
  poke(0x2004, 0x8007);
  poke(0x2008, 0x9005);  // read-only
  EXPECT_EQ(run("info mem"),
            "00000000-00002000 00002000 urw\n"
            "00002000-00003000 00001000 ur-\n"
            "00400000-00800000 00400000 -rw\n");
  const std::string tlb = run("info tlb");
  EXPECT_THAT(tlb, HasSubstr("00001000: 0000000000008000 -------UW\n"));
  EXPECT_THAT(tlb, HasSubstr("00400000: 0000000000400000 --P-----W\n"));
}

TEST_F(MonitorTest, WalksPaeTables) {
  target_.cpus[0].cr0 = 0x80000001;
  target_.cpus[0].cr4 = 0x20;
  target_.cpus[0].pdptes[3] = 0x1001;
  target_.map().write(PhysicalAddress(0x1000), 8, 0x2007);
  target_.map().write(PhysicalAddress(0x2000 + 8), 8, 0x8000000000005003);
  target_.map().write(PhysicalAddress(0x1000 + 8), 8, 0xe00083);
  EXPECT_EQ(run("info mem"), "c0001000-c0002000 00001000 -rw\nc0200000-c0400000 00200000 -rw\n");
  EXPECT_THAT(run("info tlb"), HasSubstr("c0001000: 0000000000005000 X-------W\n"));
}

TEST_F(MonitorTest, ShowsWhatIsBetweenPhysicalAndMachine) {
  const std::string all = run("info p2m");
  EXPECT_THAT(all, HasSubstr("000000000-0000fffff "));
  EXPECT_THAT(all, HasSubstr(" rw ram\n"));
  EXPECT_EQ(run("info p2m 0x2004"), fmt::format("000002004: machine {:012x}, RAM, page 0x2 of ram\n",
                                                reinterpret_cast<uint64_t>(target_.storage() + 0x2004)));
  EXPECT_THAT(run("info p2m 0x200000"), HasSubstr("nothing"));
  EXPECT_THAT(run("info p2m 1 +"), Not(HasSubstr("machine")));
}

TEST_F(MonitorTest, ShowsTheShadow) {
  EXPECT_THAT(run("info shadow 0x1000"), HasSubstr("interpreted"));
  EXPECT_THAT(run("info spaces"), HasSubstr("interpreted"));
  cpu::CpuState& state = target_.cpus[0];
  state.cr0 = 0x80010001;
  state.cr3 = 0x1000;
  poke(0x1000, 0x2027);
  poke(0x2004, 0x8065);  // read-only
  poke(0x2008, 0x9067);
  target_.spaces =
      paging::ShadowSpaces::create(target_.map(), {.policy = paging::ShadowPolicy::Proactive}).value();
  EXPECT_THAT(run("info shadow 0x1004"), HasSubstr("shadow   none"));
  paging::PagingRegisters registers;
  registers.cr0 = state.cr0;
  registers.cr3 = state.cr3;
  target_.spaces->load(registers);
  (void)target_.spaces->fill(VirtualAddress(0x1000), paging::AccessKind::Read, paging::Privilege::Supervisor);
  (void)target_.spaces->fill(VirtualAddress(0x2000), paging::AccessKind::Write, paging::Privilege::User);
  const std::string shadow = run("info shadow 0x1004");
  EXPECT_THAT(shadow,
              HasSubstr("guest    00001004: entry 00008065 at 000002004, directory entry 00002027\n"));
  EXPECT_THAT(shadow, HasSubstr("physical 000008004: machine "));
  EXPECT_THAT(shadow, HasSubstr(": r- page 0x8 of ram\n"));
  EXPECT_THAT(shadow, HasSubstr("shadow   user "));
  EXPECT_THAT(run("info shadow 0x2000"), HasSubstr(": rw page 0x9 of ram\n"));
  EXPECT_THAT(run("info shadow 0x5000"), HasSubstr("not mapped"));
  EXPECT_THAT(run("info shadow"), HasSubstr("usage"));
  EXPECT_THAT(run("info p2m 0x2000"), HasSubstr("watched for: page-table"));
  const std::string spaces = run("info spaces");
  EXPECT_THAT(spaces, HasSubstr("* CR3 00001000, 1 page tables"));
  EXPECT_THAT(spaces, HasSubstr("1 pages in 3 mappings"));
  target_.spaces.reset();
}

TEST_F(MonitorTest, HostileTablesPrintBoundedly) {
  target_.cpus[0].cr0 = 0x80000001;
  target_.cpus[0].cr3 = 0x1000;
  for (uint32_t i = 0; i < 1024; ++i) {
    poke(0x1000 + i * 4, 0x2007);
    poke(0x2000 + i * 4, i % 2 == 0 ? 0x7 : 0x5);
  }
  EXPECT_THAT(run("info mem"), HasSubstr("… and more\n"));
  EXPECT_THAT(run("info tlb"), HasSubstr("… and more\n"));
  EXPECT_LT(run("info tlb").size(), 1u << 20);
}

TEST_F(MonitorTest, ControlsTheMachine) {
  run("stop");
  EXPECT_THAT(run("info status"), HasSubstr("paused"));
  run("c");
  EXPECT_THAT(run("info status"), HasSubstr("running"));
  run("system_reset");
  EXPECT_EQ(target_.resets, 1u);
  run("system_powerdown");
  EXPECT_EQ(target_.power_buttons, 1u);
  run("  q  ");
  EXPECT_EQ(target_.quits, 1u);
}

TEST_F(MonitorTest, TypesKeysOverTime) {
  EXPECT_EQ(run("sendkey ctrl-alt-delete 50"), "");
  EXPECT_EQ(run("sendkey a"), "");
  using Event = std::pair<devices::Key, devices::KeyAction>;
  using devices::Key;
  using devices::KeyAction;
  EXPECT_EQ(target_.keys, (std::vector<Event>{{Key::LeftControl, KeyAction::Press},
                                              {Key::LeftAlt, KeyAction::Press},
                                              {Key::Delete, KeyAction::Press}}));
  target_.manual_clock.advance(50'000'000);
  EXPECT_EQ(target_.keys.size(), 6u);
  EXPECT_EQ(target_.keys[3], Event(Key::Delete, KeyAction::Release));
  target_.manual_clock.advance(300'000'000);
  EXPECT_EQ(target_.keys.size(), 8u);
  EXPECT_EQ(target_.keys[6], Event(Key::A, KeyAction::Press));
  EXPECT_THAT(run("sendkey nokey"), HasSubstr("nokey"));
  EXPECT_THAT(run("sendkey a 0"), HasSubstr("milliseconds"));
  std::string answer;
  for (int i = 0; i < 5000 && answer.empty(); ++i) answer = run("sendkey a");
  EXPECT_THAT(answer, HasSubstr("waiting to be typed"));
}

TEST_F(MonitorTest, AsksForMemory) {
  EXPECT_EQ(run("balloon 100"), "");
  EXPECT_EQ(target_.balloon, 100u);
  EXPECT_NE(run("balloon 0").find("a megabyte at least"), std::string::npos);
  EXPECT_NE(run("balloon"), "");
  EXPECT_NE(run("balloon 666").find("-device virtio-balloon-pci"), std::string::npos);
  EXPECT_EQ(target_.balloon, 100u);
  EXPECT_EQ(run("info balloon"), "this machine has none\n");
}

TEST_F(MonitorTest, MovesTheMouse) {
  run("mouse_move 5 -3");
  EXPECT_EQ(target_.mouse, (std::array<int, 3>{5, -3, 0}));
  run("mouse_button 5");
  EXPECT_EQ(target_.buttons, 5);
  EXPECT_THAT(run("mouse_button 8"), HasSubstr("sum of"));
  EXPECT_THAT(run("mouse_move 1"), HasSubstr("usage"));
}

TEST_F(MonitorTest, ReadsAndWritesPorts) {
  EXPECT_EQ(run("i/xb 0x60"), "port[0x0060] = 0x55\n");
  EXPECT_EQ(run("o/b 0x80 0x12"), "");
  EXPECT_EQ(target_.port_writes, (std::vector<std::array<uint32_t, 3>>{{0x80, 1, 0x12}}));
  EXPECT_THAT(run("i/b 0x10000"), HasSubstr("ports are"));
}

TEST_F(MonitorTest, DumpsTheScreenAsPng) {
  EXPECT_EQ(run("screendump \"my picture.png\""), "");
  const auto file = files_.contents("my picture.png");
  ASSERT_GT(file.size(), 8u);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_memory(&image, file.data(), file.size()), 0);
  EXPECT_EQ(image.width, 2u);
  EXPECT_EQ(image.height, 1u);
  image.format = PNG_FORMAT_RGB;
  std::array<uint8_t, 6> pixels{};
  ASSERT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  EXPECT_EQ(pixels, (std::array<uint8_t, 6>{255, 0, 0, 0, 0, 255}));
  EXPECT_THAT(run("screendump /forbidden"), HasSubstr("cannot create the file '/forbidden'"));
  EXPECT_THAT(run("screendump"), HasSubstr("usage"));
}

TEST_F(MonitorTest, SavesMemory) {
  poke(0x2000, 0x04030201);
  EXPECT_EQ(run("pmemsave 0x2000 4 out"), "");
  EXPECT_EQ(files_.contents("out"), (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(run("memsave 0x2001 0x2000 out"), "");
  EXPECT_EQ(files_.contents("out").size(), 0x2000u);
  EXPECT_THAT(run("memsave 0xfffff 2 out"), HasSubstr("stopped at"));
}

TEST_F(MonitorTest, ShowsTheTextScreen) {
  EXPECT_EQ(run("info screen"), "hi─\n\n");
}

TEST_F(MonitorTest, TranslatesAddresses) {
  EXPECT_EQ(run("gva2gpa 0x1234"), "gpa: 0x1234\n");
  EXPECT_EQ(run("gva2gpa 0xffffffff"), "not mapped\n");
}

TEST_F(MonitorTest, NamesWhatIsNotThere) {
  EXPECT_THAT(run("savevm x"), HasSubstr("savevm is not supported"));
  EXPECT_THAT(run("blah"), HasSubstr("there is no command 'blah'"));
  EXPECT_THAT(run("info blah"), HasSubstr("there is no information on 'blah'"));
  EXPECT_EQ(run("info block"), "ide0-hd0: x.img\n");
  EXPECT_EQ(run("info pci"), "this machine has none\n");
  EXPECT_EQ(run(""), "");
}

TEST_F(MonitorTest, HelpListsEveryCommand) {
  const std::string help = run("help");
  for (const MonitorCommand& command : monitor_commands())
    EXPECT_THAT(help, HasSubstr(std::string(command.name)));
  const std::string info = run("info");
  for (const MonitorCommand& command : info_commands())
    EXPECT_THAT(info, HasSubstr(std::string(command.name)));
  EXPECT_THAT(run("help sendkey"), HasSubstr("caps_lock"));
}

TEST_F(MonitorTest, TheLineEditor) {
  EXPECT_THAT(terminal_.take(), HasSubstr("Vitrine monitor"));
  terminal_.type(
      "info stX\x7f"
      "atus\r");
  EXPECT_THAT(terminal_.take(), HasSubstr("\r\nVM status: running\r\n(vitrine) "));
  terminal_.type(
      "nonsense\x15"
      "stop\r\n");
  EXPECT_EQ(target_.state, RunState::Paused);
  terminal_.type("cont\n");
  EXPECT_EQ(target_.state, RunState::Running);
  terminal_.type("\x1b[A\x1b[A\r");  // up twice: stop
  EXPECT_EQ(target_.state, RunState::Paused);
  terminal_.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\r");
  EXPECT_EQ(target_.state, RunState::Paused);
  terminal_.type("system_reset now\x17\x17system_reset\r");
  EXPECT_EQ(target_.resets, 1u);
}

TEST_F(MonitorTest, ALineIsBounded) {
  terminal_.type(std::string(100'000, 'p'));
  EXPECT_LT(terminal_.take().size(), 2000u);
}

TEST_F(MonitorTest, GreetsWhoeverConnects) {
  terminal_.take();
  terminal_.set_carrier(false);
  EXPECT_EQ(terminal_.take(), "");
  terminal_.set_carrier(true);
  EXPECT_EQ(terminal_.take(), "(vitrine) ");
}

}  // namespace
}  // namespace vitrine::machine

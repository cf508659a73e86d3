// The options of `vitrine run`: what each sets, what is refused and how that is said.
#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cli/property_list.h"
#include "cli/suggestion.h"

namespace vitrine::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Kind = CharacterOptions::Kind;

Result<RunOptions> parse(std::vector<std::string_view> words) {
  return parse_run_options(words);
}

RunOptions parsed(const std::vector<std::string_view>& words) {
  auto options = parse(words);
  EXPECT_TRUE(options) << options.error().message();
  return options ? std::move(*options) : RunOptions{};
}

std::string refusal(const std::vector<std::string_view>& words) {
  const auto options = parse(words);
  EXPECT_FALSE(options) << "accepted";
  return options ? "" : options.error().message();
}

std::string information(const std::vector<std::string_view>& words) {
  return parsed(words).information.value_or("");
}

TEST(OptionTable, EveryRowIsUniqueAndHasHelp) {
  std::set<std::string_view> names;
  const std::string help = run_help();
  for (const Option& option : run_options()) {
    EXPECT_TRUE(names.insert(option.name).second) << option.name;
    EXPECT_FALSE(option.help.empty()) << option.name;
    EXPECT_NE(option.handler, nullptr) << option.name;
    EXPECT_THAT(help, HasSubstr("\n  -" + std::string(option.name) + " "));
  }
}

TEST(OptionTable, NoLineOfHelpIsTooWide) {
  const std::string help = run_help();
  for (size_t start = 0; start < help.size();) {
    const size_t end = help.find('\n', start);
    EXPECT_LE(end - start, 120u) << help.substr(start, end - start);
    start = end + 1;
  }
}

TEST(Options, TheSandboxIsOnUnlessItIsOff) {
  EXPECT_TRUE(parsed({}).sandbox);
  EXPECT_TRUE(parsed({"--sandbox=on"}).sandbox);
  EXPECT_FALSE(parsed({"-sandbox", "off"}).sandbox);
  EXPECT_THAT(refusal({"--sandbox=maybe"}), HasSubstr("on or off"));
  EXPECT_THAT(parsed({"--files", "a", "--files=b"}).file_directories, testing::ElementsAre("a", "b"));
  EXPECT_THAT(refusal({"--files="}), HasSubstr("directory"));
}

TEST(Options, StatisticsHaveAFormAndAPlace) {
  using Form = machine::StatisticsConfig::Form;
  EXPECT_EQ(parsed({}).statistics.form, Form::None);
  EXPECT_EQ(parsed({"--stats"}).statistics.form, Form::Table);
  EXPECT_EQ(parsed({"-stats", "-m", "64"}).memory_size, 64u << 20) << "the next word is no argument of it";
  EXPECT_EQ(parsed({"--stats=json"}).statistics.form, Form::Json);
  EXPECT_EQ(parsed({"-stats=json,file=a"}).statistics.file, "a");
  EXPECT_EQ(parsed({"--stats=file=a"}).statistics.form, Form::Table);
  EXPECT_THAT(refusal({"--stats=xml"}), HasSubstr("table or json, not 'xml'"));
  EXPECT_THAT(refusal({"--stats=json,colour=on"}), HasSubstr("colour"));
}

TEST(Options, OneDashOrTwo) {
  EXPECT_EQ(parsed({"-m", "64"}).memory_size, 64u << 20);
  EXPECT_EQ(parsed({"--m", "64"}).memory_size, 64u << 20);
  EXPECT_EQ(parsed({"--m=64"}).memory_size, 64u << 20);
  EXPECT_TRUE(parsed({"--no-reboot"}).no_reboot);
  EXPECT_THAT(refusal({"--no-reboot=x"}), HasSubstr("takes no argument"));
  EXPECT_THAT(refusal({"-m"}), HasSubstr("needs an argument"));
}

TEST(Options, Typos) {
  EXPECT_THAT(refusal({"-serail", "stdio"}), HasSubstr("did you mean -serial?"));
  EXPECT_THAT(refusal({"-nograhpic"}), HasSubstr("did you mean -nographic?"));
  EXPECT_THAT(refusal({"-xyzzyplugh"}), HasSubstr("--help lists them all"));
}

TEST(Options, WhatIsNotSupportedIsNamed) {
  for (const char* option : {"-daemonize", "-vnc", "-netdev", "-usb", "-qmp", "-blockdev", "-loadvm", "-k"}) {
    EXPECT_THAT(refusal({option, "x"}), HasSubstr(std::string("not supported: '") + option + "'"));
  }
  EXPECT_THAT(refusal({"-display", "gtk"}), HasSubstr("-nographic"));
  EXPECT_THAT(refusal({"-display", "vnc=:0"}), HasSubstr("'vnc=:0'"));
  EXPECT_THAT(refusal({"-net", "user"}), HasSubstr("'user'"));
  EXPECT_THAT(refusal({"-nic", "user,model=e1000"}), HasSubstr("no network"));
  EXPECT_THAT(refusal({"-device", "e1000,netdev=x"}), HasSubstr("'e1000'"));
  EXPECT_THAT(refusal({"-vga", "cirrus"}), HasSubstr("'cirrus'"));
  EXPECT_THAT(refusal({"-machine", "q35"}), HasSubstr("'q35'"));
  EXPECT_THAT(refusal({"--engine", "magic"}), HasSubstr("there is no engine"));
  EXPECT_THAT(refusal({"--shadow", "magic"}), HasSubstr("there is no policy"));
  EXPECT_THAT(refusal({"--views", "three"}), HasSubstr("two or one, not"));
  EXPECT_THAT(refusal({"--fills", "never"}), HasSubstr("first or again, not"));
  EXPECT_THAT(refusal({"-parallel", "file:x"}), HasSubstr("no parallel port"));
}

TEST(Options, ShadowPolicies) {
  EXPECT_FALSE(parsed({}).shadow.has_value());
  EXPECT_EQ(parsed({"--shadow", "ondemand"}).shadow, paging::ShadowPolicy::OnDemand);
  EXPECT_EQ(parsed({"--shadow", "proactive"}).shadow, paging::ShadowPolicy::Proactive);
  EXPECT_EQ(parsed({"--shadow=unsync"}).shadow, paging::ShadowPolicy::Unsync);
  EXPECT_EQ(parsed({"--views", "one"}).views, paging::ShadowViews::One);
  EXPECT_EQ(parsed({"--views=two"}).views, paging::ShadowViews::Two);
  EXPECT_FALSE(parsed({}).fills.has_value());
  EXPECT_EQ(parsed({"--fills", "first"}).fills, paging::ShadowFills::First);
  EXPECT_EQ(parsed({"--fills=again"}).fills, paging::ShadowFills::Again);
  EXPECT_THAT(*parsed({"--shadow", "help"}).information, HasSubstr("ondemand"));
  EXPECT_EQ(parsed({"--shadow", "ondemand", "--engine", "trap"}).notes.size(), 0u);
  EXPECT_EQ(parsed({"--shadow", "ondemand", "--engine", "interpret"}).notes.size(), 1u);
}

TEST(Options, Memory) {
  EXPECT_EQ(parsed({}).memory_size, 128u << 20);
  EXPECT_EQ(parsed({"-m", "1G"}).memory_size, uint64_t{1} << 30);
  EXPECT_EQ(parsed({"-m", "512M"}).memory_size, 512u << 20);
  EXPECT_EQ(parsed({"-m", "size=4096K"}).memory_size, 4u << 20);
  EXPECT_EQ(parsed({"-m", "4"}).memory_size, 4u << 20);
  EXPECT_THAT(refusal({"-m", "1"}), HasSubstr("too little memory"));
  EXPECT_THAT(refusal({"-m", "0"}), HasSubstr("too little memory"));
  EXPECT_THAT(refusal({"-m", "100G"}), HasSubstr("more memory than a 32-bit PC"));
  EXPECT_THAT(refusal({"-m", "lots"}), HasSubstr("not a memory size"));
  EXPECT_THAT(refusal({"-m", "1X"}), HasSubstr("not a memory size"));
  EXPECT_THAT(refusal({"-m", "99999999999999999999"}), HasSubstr("not a memory size"));
  EXPECT_THAT(refusal({"-m", "99999999999999T"}), HasSubstr("not a memory size"));
  EXPECT_THAT(refusal({"-m", "64,slots=2"}), HasSubstr("'slots'"));
}

TEST(Options, Processors) {
  EXPECT_EQ(parsed({"-smp", "4"}).cpus, 4u);
  EXPECT_EQ(parsed({"-smp", "cpus=2"}).cpus, 2u);
  EXPECT_EQ(parsed({"-smp", "sockets=2,cores=2,threads=1"}).cpus, 4u);
  EXPECT_THAT(refusal({"-smp", "0"}), HasSubstr("1 to 16"));
  EXPECT_THAT(refusal({"-smp", "17"}), HasSubstr("1 to 16"));
  EXPECT_THAT(refusal({"-smp", "many"}), HasSubstr("number"));
  EXPECT_THAT(refusal({"-smp", "2,maxcpus=4"}), HasSubstr("maxcpus=4"));
  EXPECT_THAT(refusal({"-smp", "3,sockets=2,cores=2,threads=2"}), HasSubstr("is 8"));
}

TEST(Options, MachineAndAccelerator) {
  EXPECT_EQ(parsed({"-M", "isapc"}).type, machine::MachineType::IsaPc);
  const RunOptions options = parsed({"-machine", "pc-i440fx-7.2,accel=kvm,usb=off,acpi=off"});
  EXPECT_EQ(options.type, machine::MachineType::Pc);
  EXPECT_FALSE(options.acpi);
  ASSERT_EQ(options.notes.size(), 1u);
  EXPECT_THAT(options.notes[0], HasSubstr("'kvm' is not used"));
  EXPECT_EQ(parsed({"-accel", "tcg,thread=multi"}).notes.size(), 1u);
  EXPECT_EQ(parsed({"-enable-kvm"}).notes.size(), 1u);
  EXPECT_THAT(refusal({"-machine", "pc,usb=on"}), HasSubstr("usb=on"));
  EXPECT_THAT(refusal({"-machine", "pc,acpi=maybe"}), HasSubstr("on or off"));
}

TEST(Options, Lists) {
  EXPECT_THAT(information({"-cpu", "help"}), HasSubstr("max"));
  EXPECT_THAT(information({"-d", "help"}), HasSubstr("cpu_reset"));
  EXPECT_THAT(information({"-device", "help"}), HasSubstr("isa-debug-exit"));
  EXPECT_THAT(information({"-machine", "help"}), HasSubstr("isapc"));
  EXPECT_THAT(information({"--help"}), StartsWith("Usage: vitrine run"));
  EXPECT_THAT(information({"-h"}), StartsWith("Usage: vitrine run"));
  EXPECT_THAT(information({"-version"}), StartsWith("Vitrine "));
}

TEST(Options, Cpu) {
  EXPECT_EQ(parsed({"-cpu", "max"}).cpu_model, "max");
  EXPECT_THAT(refusal({"-cpu", "abacus"}), HasSubstr("abacus"));
}

TEST(Options, DebugExit) {
  const auto config = parsed({"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"}).debug_exit;
  ASSERT_TRUE(config);
  EXPECT_EQ(config->port, 0xf4);
  EXPECT_EQ(config->count, 4);
  EXPECT_EQ(parsed({"-device", "isa-debug-exit"}).debug_exit->port, 0x501);
  EXPECT_THAT(refusal({"-device", "isa-debug-exit,iobase=0x10000"}), HasSubstr("0x10000"));
  EXPECT_THAT(refusal({"-device", "isa-debug-exit,iosize=0"}), HasSubstr("1 to 4"));
  EXPECT_THAT(refusal({"-device", "isa-debug-exit,port=1"}), HasSubstr("'port'"));
  EXPECT_THAT(refusal({"-device", "isa-debug-exit", "-device", "isa-debug-exit"}), HasSubstr("twice"));
}

TEST(Options, Drives) {
  const RunOptions options =
      parsed({"-drive", "file=fs.img,index=1,media=disk,format=raw", "-drive",
              "file=a,,b.img,index=0,snapshot=on", "-cdrom", "x.iso", "-fda", "f.img"});
  ASSERT_EQ(options.drives.size(), 4u);
  EXPECT_EQ(options.drives[0].index, 1u);
  EXPECT_TRUE(options.drives[0].raw_given);
  EXPECT_EQ(options.drives[1].file, "a,b.img");
  EXPECT_EQ(options.drives[1].snapshot, true);
  EXPECT_EQ(options.drives[2].media, machine::Media::Cdrom);
  EXPECT_EQ(options.drives[2].index, 2u);
  EXPECT_EQ(options.drives[3].interface, machine::DriveInterface::Floppy);
}

TEST(Options, DrivesWithoutAnIndexTakeTheFirstPlaceLeft) {
  const RunOptions options = parsed(
      {"-nodefaults", "-drive", "file=a", "-hda", "b", "-drive", "file=c", "-drive", "file=d,if=floppy"});
  EXPECT_EQ(options.drives[0].index, 1u);
  EXPECT_EQ(options.drives[1].index, 0u);
  EXPECT_EQ(options.drives[2].index, 2u);
  EXPECT_EQ(options.drives[3].index, 0u);
  EXPECT_THAT(refusal({"a", "-hdb", "b", "-hdc", "c", "-hdd", "d", "-drive", "file=e"}),
              HasSubstr("no place is left"));
}

TEST(Options, DefaultDrives) {
  const RunOptions options = parsed({"disk.img"});
  ASSERT_EQ(options.drives.size(), 3u);
  EXPECT_EQ(options.drives[0].file, "disk.img");
  EXPECT_EQ(options.drives[1].media, machine::Media::Cdrom);
  EXPECT_EQ(options.drives[2].interface, machine::DriveInterface::Floppy);
  EXPECT_EQ(parsed({"disk.img", "-nodefaults"}).drives.size(), 1u);
  EXPECT_EQ(parsed({"-hdc", "disk.img"}).drives.size(), 2u);
}

TEST(Options, DriveRefusals) {
  EXPECT_THAT(refusal({"-hda", "a", "-drive", "file=b,index=0"}),
              HasSubstr("both want IDE index 0, the primary master"));
  EXPECT_THAT(refusal({"-hdc", "a", "-cdrom", "b"}), HasSubstr("secondary master"));
  EXPECT_THAT(refusal({"a", "b"}), HasSubstr("'a' and the disk image 'b'"));
  EXPECT_THAT(refusal({"-drive", "file=a,format=qcow2"}), HasSubstr("qemu-img convert"));
  EXPECT_THAT(refusal({"-drive", "file=a,if=scsi"}), HasSubstr("'scsi'"));
  EXPECT_THAT(refusal({"-drive", "file=a,index=4"}), HasSubstr("0 to 3"));
  EXPECT_THAT(refusal({"-drive", "file=a,if=floppy,index=2"}), HasSubstr("0 to 1"));
  EXPECT_THAT(refusal({"-drive", "file=a,media=tape"}), HasSubstr("'tape'"));
  EXPECT_THAT(refusal({"-drive", "file=a,cache=none"}), HasSubstr("'none'"));
  EXPECT_THAT(refusal({"-drive", "file=a,werror=stop"}), HasSubstr("'werror'"));
  EXPECT_THAT(refusal({"-drive", "format=raw"}), HasSubstr("needs file="));
  EXPECT_THAT(refusal({"-drive", "file=a,snapshot=perhaps"}), HasSubstr("on or off"));
  EXPECT_THAT(refusal({"-hda", ""}), HasSubstr("names no file"));
}

TEST(Options, VirtioDisks) {
  const RunOptions options =
      parsed({"-nodefaults", "-device", "virtio-blk-pci,drive=x,serial=abc,disable-legacy=on", "-drive",
              "file=a,if=virtio", "-drive", "file=b,if=none,id=x", "-hda", "c"});
  ASSERT_EQ(options.virtio.size(), 2u);
  EXPECT_EQ(options.virtio[0].drive, 1u);
  EXPECT_EQ(options.virtio[0].serial, "abc");
  EXPECT_EQ(options.virtio[0].interfaces, devices::VirtioInterfaces::Modern);
  EXPECT_EQ(options.virtio[1].drive, 0u);
  EXPECT_EQ(options.virtio[1].interfaces, devices::VirtioInterfaces::Both);
  EXPECT_EQ(options.drives[0].interface, machine::DriveInterface::Virtio);
  EXPECT_EQ(options.drives[2].index, 0u) << "no IDE place is taken by them";
  const auto device = [](std::string_view text) {
    return parsed({"-drive", "file=b,if=none,id=x", "-device", text}).virtio.at(0);
  };
  EXPECT_EQ(device("virtio-blk-pci-non-transitional,drive=x").interfaces, devices::VirtioInterfaces::Modern);
  EXPECT_EQ(device("virtio-blk,drive=x,disable-modern=on").interfaces, devices::VirtioInterfaces::Legacy);
  EXPECT_EQ(device("virtio-blk-pci,drive=x,disable-legacy=auto").interfaces, devices::VirtioInterfaces::Both);
  EXPECT_EQ(device("virtio-blk-pci,drive=x,vectors=0").interrupts, machine::Interrupts::Pin);
  EXPECT_EQ(device("virtio-blk-pci,drive=x").interrupts, machine::Interrupts::Messages);
}

TEST(Options, OtherVirtioDevices) {
  const RunOptions options = parsed({"-device",  "virtio-serial-pci,id=first",
                                     "-device",  "virtio-rng-pci,disable-modern=on",
                                     "-device",  "virtio-serial",
                                     "-chardev", "null,id=c",
                                     "-chardev", "null,id=d",
                                     "-chardev", "null,id=e",
                                     "-device",  "virtconsole,chardev=c,bus=first.0",
                                     "-device",  "virtconsole,chardev=d",
                                     "-device",  "virtconsole,chardev=e",
                                     "-device",  "virtio-balloon-pci,deflate-on-oom=on"});
  ASSERT_EQ(options.virtio.size(), 5u);
  EXPECT_EQ(options.virtio[0].console->id, "c");
  EXPECT_EQ(options.virtio[1].type, devices::VirtioId::Entropy);
  EXPECT_EQ(options.virtio[1].interfaces, devices::VirtioInterfaces::Legacy);
  EXPECT_EQ(options.virtio[2].console->id, "d");
  EXPECT_EQ(options.virtio[3].type, devices::VirtioId::Console) << "one of its own";
  EXPECT_EQ(options.virtio[3].console->id, "e");
  EXPECT_EQ(options.virtio[4].type, devices::VirtioId::Balloon);
  EXPECT_TRUE(options.virtio[4].deflate_on_out_of_memory);
  EXPECT_FALSE(options.virtio[4].free_page_reporting);
  EXPECT_THAT(information({"-device", "help"}), HasSubstr("virtio-balloon-pci,deflate-on-oom"));
  EXPECT_THAT(refusal({"-device", "virtconsole"}), HasSubstr("needs chardev="));
  EXPECT_THAT(refusal({"-device", "virtconsole,chardev=x"}), HasSubstr("'x'"));
  EXPECT_THAT(refusal({"-device", "virtconsole,chardev=x,bus=y.0"}), HasSubstr("'y.0'"));
  EXPECT_THAT(refusal({"-device", "virtio-serial,id=a", "-device", "virtconsole,chardev=x,bus=a.0", "-device",
                       "virtconsole,chardev=y,bus=a.0"}),
              HasSubstr("one: add another"));
  EXPECT_THAT(refusal({"-device", "virtio-balloon", "-device", "virtio-balloon"}), HasSubstr("twice"));
  EXPECT_THAT(refusal({"-device", "virtio-rng-pci,drive=x"}), HasSubstr("'drive'"));
  EXPECT_THAT(refusal({"-chardev", "null,id=c", "-serial", "chardev:c", "-device", "virtconsole,chardev=c"}),
              HasSubstr("used twice"));
}

TEST(Options, VirtioRefusals) {
  const auto device = [](std::string_view text) {
    return refusal({"-drive", "file=b,if=none,id=x", "-device", text});
  };
  EXPECT_THAT(device("virtio-blk-pci"), HasSubstr("needs drive="));
  EXPECT_THAT(device("virtio-blk-pci,drive=y"), HasSubstr("'y'"));
  EXPECT_THAT(device("virtio-blk-pci,drive=x,disable-legacy=on,disable-modern=on"), HasSubstr("no driver"));
  EXPECT_THAT(device("virtio-blk-pci,drive=x,disable-legacy=perhaps"), HasSubstr("'perhaps'"));
  EXPECT_THAT(device("virtio-blk-pci,drive=x,serial=123456789012345678901"), HasSubstr("20 characters"));
  EXPECT_THAT(device("virtio-blk-pci,drive=x,size=3"), HasSubstr("'size'"));
  EXPECT_THAT(device("virtio-net-pci"), HasSubstr("'virtio-net-pci'"));
  EXPECT_THAT(refusal({"-drive", "file=b,if=none,id=x"}), HasSubstr("no -device has drive ="));
  EXPECT_THAT(refusal({"-drive", "file=b,if=none"}), HasSubstr("needs id="));
  EXPECT_THAT(refusal({"-drive", "if=virtio"}), HasSubstr("needs file="));
  EXPECT_THAT(refusal({"-drive", "file=b,if=virtio,media=cdrom"}), HasSubstr("readonly=on"));
  EXPECT_THAT(refusal({"-M", "isapc", "-drive", "file=b,if=virtio"}), HasSubstr("isapc"));
  EXPECT_THAT(refusal({"-drive", "file=b,if=none,id=x", "-device", "virtio-blk,drive=x", "-device",
                       "virtio-blk,drive=x"}),
              HasSubstr("in two devices"));
  EXPECT_THAT(refusal({"-drive", "file=a,if=virtio,index=3", "-drive", "file=b,if=virtio,index=3"}),
              HasSubstr("virtio index 3"));
}

TEST(Options, Kernel) {
  const RunOptions options = parsed({"-kernel", "k", "-append", "--x -y", "-initrd", "a,b one two,c,,d"});
  EXPECT_EQ(options.kernel_command_line, "--x -y");
  ASSERT_EQ(options.initrd.size(), 3u);
  EXPECT_EQ(options.initrd[1].file, "b");
  EXPECT_EQ(options.initrd[1].command_line, "b one two");
  EXPECT_EQ(options.initrd[2].file, "c,d");
  EXPECT_EQ(options.initrd_argument, "a,b one two,c,,d");
  EXPECT_THAT(refusal({"-initrd", "a"}), HasSubstr("needs -kernel"));
  EXPECT_THAT(refusal({"-append", "a"}), HasSubstr("needs -kernel"));
  EXPECT_THAT(refusal({"-kernel", "k", "-initrd", ","}), HasSubstr("names no file"));
}

TEST(Options, Boot) {
  EXPECT_EQ(parsed({"-boot", "d"}).boot.order, "d");
  const auto boot = parsed({"-boot", "order=ca,once=d,menu=on,splash-time=500"}).boot;
  EXPECT_EQ(boot.order, "ca");
  EXPECT_EQ(boot.once, "d");
  EXPECT_TRUE(boot.menu);
  EXPECT_EQ(boot.menu_wait_ms, 500u);
  EXPECT_THAT(refusal({"-boot", "n"}), HasSubstr("no network"));
  EXPECT_THAT(refusal({"-boot", "z"}), HasSubstr("'z'"));
  EXPECT_THAT(refusal({"-boot", "cc"}), HasSubstr("named twice"));
  EXPECT_THAT(refusal({"-boot", "order="}), HasSubstr("empty"));
}

TEST(Options, FirmwareFiles) {
  const auto files = parsed({"-fw_cfg", "opt/x,string=hello", "-fw_cfg", "name=etc/y,file=z"}).firmware_files;
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].contents, "hello");
  EXPECT_EQ(files[1].file, "z");
  EXPECT_THAT(refusal({"-fw_cfg", "opt/x"}), HasSubstr("one of file= and string="));
  EXPECT_THAT(refusal({"-fw_cfg", "string=x"}), HasSubstr("1 to 55"));
}

TEST(Options, SerialDevices) {
  const auto one = [](std::string_view text) {
    return parsed({"-display", "none", "-serial", text}).serials.at(0);
  };
  EXPECT_EQ(one("stdio").kind, Kind::Stdio);
  EXPECT_TRUE(one("stdio").keep_signals);
  EXPECT_TRUE(one("mon:stdio").multiplexed);
  EXPECT_FALSE(one("mon:stdio").keep_signals);
  EXPECT_EQ(one("file:a.log").path, "a.log");
  EXPECT_EQ(one("pty").kind, Kind::Pty);
  EXPECT_EQ(one("null").kind, Kind::Null);
  EXPECT_EQ(one("none").kind, Kind::None);
  EXPECT_EQ(one("/dev/ttyS0").kind, Kind::Device);
  const CharacterOptions client = one("tcp:example.org:4444");
  EXPECT_EQ(client.host, "example.org");
  EXPECT_EQ(client.port, "4444");
  EXPECT_EQ(client.role, CharacterOptions::Role::Client);
  EXPECT_EQ(one("tcp::4444,server,nowait").wait, false);
  EXPECT_EQ(one("tcp::4444,server=on,wait=off").wait, false);
  EXPECT_EQ(one("tcp::4444,server").wait, true);
  EXPECT_EQ(one("tcp:[::1]:4444").host, "::1");
  EXPECT_EQ(one("unix:/tmp/s,server,nowait").path, "/tmp/s");
}

TEST(Options, SerialRefusals) {
  const auto refused = [](std::string_view text) { return refusal({"-serial", text}); };
  EXPECT_THAT(refused("stdoi"), HasSubstr("there are stdio"));
  EXPECT_THAT(refused("vc"), HasSubstr("mon:stdio"));
  EXPECT_THAT(refused("tcp:4444"), HasSubstr("HOST:PORT"));
  EXPECT_THAT(refused("tcp::0"), HasSubstr("port number"));
  EXPECT_THAT(refused("tcp::99999"), HasSubstr("port number"));
  EXPECT_THAT(refused("tcp:host:1,nowait"), HasSubstr("server"));
  EXPECT_THAT(refused("tcp::1,server,reconnect=5"), HasSubstr("'reconnect'"));
  EXPECT_THAT(refused("unix:"), HasSubstr("needs a path"));
  EXPECT_THAT(refused("file:"), HasSubstr("no such device"));
  EXPECT_THAT(refused("chardev:nobody"), HasSubstr("'nobody'"));
  EXPECT_THAT(refusal({"-serial", "null", "-serial", "null", "-serial", "null", "-serial", "null", "-serial",
                       "null"}),
              HasSubstr("4 serial ports"));
}

TEST(Options, OneTerminal) {
  EXPECT_THAT(refusal({"-serial", "stdio", "-monitor", "stdio"}), HasSubstr("only one device"));
  EXPECT_THAT(refusal({"-serial", "mon:stdio", "-monitor", "pty"}), HasSubstr("one monitor"));
  EXPECT_EQ(parsed({"-serial", "mon:stdio", "-monitor", "null"}).serials[0].kind, Kind::Stdio);
  EXPECT_EQ(parsed({"-nographic", "-serial", "mon:stdio"}).serials.size(), 1u);
  EXPECT_FALSE(parsed({"-nographic", "-serial", "stdio"}).monitor);
}

TEST(Options, DefaultConsoles) {
  const RunOptions plain = parsed({"-nographic"});
  ASSERT_EQ(plain.serials.size(), 1u);
  EXPECT_TRUE(plain.serials[0].multiplexed);
  EXPECT_TRUE(plain.firmware_on_serial);
  EXPECT_TRUE(parsed({}).firmware_on_serial);
  EXPECT_FALSE(parsed({"-serial", "mon:stdio"}).firmware_on_serial);

  const RunOptions quiet = parsed({"-nographic", "-monitor", "null"});
  EXPECT_EQ(quiet.serials[0].kind, Kind::Stdio);
  EXPECT_FALSE(quiet.serials[0].multiplexed);

  const RunOptions to_file = parsed({"-nographic", "-serial", "file:x"});
  EXPECT_EQ(to_file.monitor->kind, Kind::Stdio);

  const RunOptions hidden = parsed({"-display", "none"});
  EXPECT_EQ(hidden.serials[0].kind, Kind::Null);
  EXPECT_FALSE(hidden.monitor);

  const RunOptions bare = parsed({"-nodefaults"});
  EXPECT_TRUE(bare.serials.empty());
  EXPECT_EQ(bare.vga, machine::VgaKind::None);
  EXPECT_EQ(parsed({"-nodefaults", "-vga", "std"}).vga, machine::VgaKind::Standard);
}

TEST(Options, Chardevs) {
  const RunOptions options =
      parsed({"-chardev", "stdio,id=c,mux=on,signal=off", "-serial", "chardev:c", "-monitor", "chardev:c",
              "-device", "isa-debugcon,iobase=0x402,chardev=c"});
  EXPECT_EQ(options.chardevs[0].kind, Kind::Stdio);
  EXPECT_EQ(options.debug_consoles[0].port, 0x402);
  EXPECT_THAT(refusal({"-chardev", "null,id=c", "-serial", "chardev:c", "-monitor", "chardev:c"}),
              HasSubstr("used twice"));
  EXPECT_THAT(refusal({"-chardev", "null"}), HasSubstr("needs id="));
  EXPECT_THAT(refusal({"-chardev", "null,id=a", "-chardev", "null,id=a"}), HasSubstr("given twice"));
  EXPECT_THAT(refusal({"-chardev", "vc,id=a"}), HasSubstr("'vc'"));
  EXPECT_THAT(refusal({"-chardev", "file,id=a"}), HasSubstr("path= is missing"));
  EXPECT_THAT(refusal({"-chardev", "socket,id=a,host=x"}), HasSubstr("port number"));
  EXPECT_THAT(refusal({"-device", "isa-debugcon"}), HasSubstr("needs chardev="));
}

TEST(Options, DebugConsolePort) {
  EXPECT_EQ(parsed({"-debugcon", "file:x"}).debug_consoles[0].port, 0xe9);
  EXPECT_EQ(parsed({"-debugcon", "file:x", "-global", "isa-debugcon.iobase=0x402"}).debug_consoles[0].port,
            0x402);
  EXPECT_THAT(refusal({"-global", "ide.x=y"}), HasSubstr("not supported"));
}

TEST(Options, Gdb) {
  const auto gdb = parsed({"-s"}).gdb;
  ASSERT_TRUE(gdb);
  EXPECT_EQ(gdb->port, "1234");
  EXPECT_EQ(gdb->role, CharacterOptions::Role::Server);
  EXPECT_FALSE(gdb->wait);
  EXPECT_EQ(parsed({"-gdb", "tcp::26000"}).gdb->port, "26000");
  EXPECT_FALSE(parsed({"-s", "-gdb", "none"}).gdb);
  EXPECT_THAT(refusal({"-gdb", "null"}), HasSubstr("no such device"));
}

TEST(Options, Time) {
  EXPECT_EQ(parsed({"-rtc", "base=2026-01-31T12:30:00"}).rtc.date, 1769862600);
  EXPECT_EQ(parsed({"-rtc", "2000-02-29"}).rtc.date, 951782400);
  EXPECT_EQ(parsed({"-rtc", "localtime"}).rtc.base, RtcOptions::Base::LocalTime);
  EXPECT_EQ(parsed({"-rtc", "base=utc,clock=vm,driftfix=none"}).notes.size(), 0u);
  EXPECT_EQ(parsed({"-rtc", "localtime,clock=host"}).notes.size(), 1u);
  EXPECT_THAT(refusal({"-rtc", "clock=host", "--clock=virtual"}), HasSubstr("clock = 'host'"));
  EXPECT_THAT(refusal({"-rtc", "clock=rt"}), HasSubstr("clock = 'rt'"));
  EXPECT_THAT(refusal({"-rtc", "clock=sundial"}), HasSubstr("'sundial'"));
  EXPECT_THAT(refusal({"-rtc", "driftfix=always"}), HasSubstr("'always'"));
  EXPECT_THAT(refusal({"-rtc", "base=utc,speed=2"}), HasSubstr("'speed'"));
  EXPECT_THAT(refusal({"-rtc", "base=2026-02-30"}), HasSubstr("'2026-02-30'"));
  EXPECT_THAT(refusal({"-rtc", "base=noon"}), HasSubstr("'noon'"));
  EXPECT_THAT(refusal({"-rtc", "driftfix=slew"}), HasSubstr("'slew'"));
  EXPECT_EQ(parsed({"--clock=virtual"}).clock.nanoseconds_per_instruction, 10u);
  EXPECT_EQ(parsed({"--clock=virtual,ns=3"}).clock.nanoseconds_per_instruction, 3u);
  EXPECT_EQ(parsed({"-icount", "shift=3"}).clock.nanoseconds_per_instruction, 8u);
  EXPECT_THAT(refusal({"--clock=virtual,ns=0"}), HasSubstr("at least 1"));
  EXPECT_THAT(refusal({"--clock=atomic"}), HasSubstr("'atomic'"));
  EXPECT_THAT(refusal({"--clock=real,ns=3"}), HasSubstr("'ns'"));
  EXPECT_THAT(refusal({"-icount", "auto"}), HasSubstr("'auto'"));
}

TEST(Options, Logs) {
  EXPECT_EQ(parsed({"-d", "int,cpu_reset"}).log_items, 3u);
  EXPECT_THAT(refusal({"-d", "int,cpu_rset"}), HasSubstr("did you mean cpu_reset?"));
  EXPECT_EQ(parsed({"-D", "x.log"}).log_file, "x.log");
}

TEST(PropertyList, TakesWhatIsThere) {
  auto list = PropertyList::parse("-x", "first,b=2,c,d=a,,b,b=3", "name").value();
  EXPECT_EQ(list.take("name"), "first");
  EXPECT_EQ(list.take("b"), "3");
  EXPECT_EQ(list.take("b"), std::nullopt);
  EXPECT_EQ(list.take_switch("c").value(), true);
  EXPECT_THAT(list.nothing_left("name, b, c").error().message(),
              HasSubstr("-x does not support the property 'd'"));
  EXPECT_EQ(list.take("d"), "a,b");
  EXPECT_TRUE(list.nothing_left(""));
  EXPECT_FALSE(PropertyList::parse("-x", "=y"));
}

TEST(Suggestion, CountsEdits) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("serail", "serial"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  constexpr std::array<std::string_view, 2> kNames = {"serial", "monitor"};
  EXPECT_EQ(suggest("serrial", kNames), "serial");
  EXPECT_EQ(suggest("x", kNames), std::nullopt);
  EXPECT_EQ(suggest("keyboard", kNames), std::nullopt);
}

}  // namespace
}  // namespace vitrine::cli

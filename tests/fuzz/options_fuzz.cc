// Command lines of `vitrine run`, words separated by NUL, through the option parser. It opens nothing.
#include <string_view>

#include "base/check.h"
#include "cli/options.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

Input words(std::initializer_list<std::string_view> list) {
  Input input;
  for (const std::string_view word : list) {
    input.insert(input.end(), word.begin(), word.end());
    input.push_back(0);
  }
  return input;
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all = {
      words(
          {"-m", "64M", "-kernel", "vmlinuz", "-initrd", "a,b c", "-append", "console=ttyS0", "-nographic"}),
      words(
          {"-drive", "file=a.img,format=raw,if=ide,index=1,media=cdrom,snapshot=on", "-drive", "if=floppy"}),
      words({"-hda", "a", "-hdb", "b", "-cdrom", "c", "-fda", "d", "-snapshot", "-boot",
             "order=dca,once=a,menu=on"}),
      words({"-chardev", "socket,id=x,host=::1,port=4444,server=on,wait=off", "-serial", "chardev:x",
             "-serial", "mon:stdio"}),
      words({"-serial", "tcp:[::1]:4444,server,nowait", "-monitor", "unix:/tmp/x,server", "-gdb", "tcp::1234",
             "-S"}),
      words({"-cpu", "pentium,+sse,-mmx,avx=off", "-smp", "2,sockets=1,cores=2", "-M", "pc,acpi=off", "-name",
             "x"}),
      words({"-fw_cfg", "name=opt/x,string=hello", "-debugcon", "file:x", "-global",
             "isa-debugcon.iobase=0x402"}),
      words(
          {"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-rtc", "base=2020-01-01T00:00:00,clock=vm"}),
      words({"-icount", "shift=3,align=off,sleep=on", "-d", "int,cpu_reset", "-D", "log", "-no-reboot",
             "-no-shutdown"}),
      words({"disk.img", "--clock=virtual", "--display=none", "-vga", "std", "-L", "dir", "-bios", "none",
             "-accel", "tcg"}),
  };
  for (const cli::Option& option : cli::run_options()) {
    const std::string name = "-" + std::string(option.name);
    all.push_back(words({name, option.argument, name, "help", name, "x=1,y=on,,z"}));
  }
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  std::vector<std::string_view> arguments;
  const std::string text(data, data + size);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    arguments.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto options = cli::parse_run_options(arguments);
  if (!options) CHECK(!options.error().message().empty());
  return 0;
}

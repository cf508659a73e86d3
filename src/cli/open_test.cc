// Opening: what goes wrong with files, locks and sockets, and how that is said.
#include "cli/open.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/image_lock.h"
#include "cli/sockets.h"

namespace vitrine::cli {
namespace {

using testing::HasSubstr;

class OpenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "vitrine-open-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    // A firmware of our own, so that the tests do not depend on an installed package.
    write("bios-256k.bin", "firmware");
    write("vgabios-stdvga.bin", "firmware");
    ::setenv("VITRINE_FIRMWARE", directory_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("VITRINE_FIRMWARE");
    std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string write(const std::string& name, const std::string& contents) const {
    std::ofstream(path(name), std::ios::binary) << contents;
    return path(name);
  }
  std::string image(const std::string& name, size_t size = 1024) const {
    return write(name, std::string(size, 'x'));
  }

  static Result<OpenedMachine> open(std::vector<std::string> words) {
    words.insert(words.begin(), {"-display", "none"});
    const std::vector<std::string_view> views(words.begin(), words.end());
    const auto options = parse_run_options(views);
    EXPECT_TRUE(options) << options.error().message();
    return open_machine(*options);
  }
  static std::string refusal(const std::vector<std::string>& words) {
    const auto opened = open(words);
    EXPECT_FALSE(opened) << "accepted";
    return opened ? "" : opened.error().message();
  }

  std::string directory_;
};

TEST_F(OpenTest, OpensEverythingThatIsNeeded) {
  const auto opened =
      open({image("a.img"), "-kernel", image("k"), "-initrd", image("i"), "-m", "64", "-D", path("log")});
  ASSERT_TRUE(opened) << opened.error().message();
  const auto& config = opened->config;
  EXPECT_EQ(config.memory_size, 64u << 20);
  EXPECT_TRUE(config.bios.file);
  EXPECT_TRUE(config.vga_bios.file);
  EXPECT_TRUE(config.kernel->file);
  EXPECT_EQ(config.kernel->modules.size(), 1u);
  ASSERT_EQ(config.drives.size(), 3u);
  EXPECT_EQ(config.drives[0].id, "ide0-hd0");
  EXPECT_TRUE(config.drives[0].image);
  EXPECT_EQ(config.drives[1].id, "ide1-cd0");
  EXPECT_FALSE(config.drives[1].image);
  EXPECT_TRUE(config.log.output);
  EXPECT_TRUE(opened->warnings.empty());
  EXPECT_FALSE(opened->terminal);
}

TEST_F(OpenTest, GuestCodeIsTranslatedUnlessSomethingElseIsAskedFor) {
  const auto config = [](std::vector<std::string> words) {
    return std::move(open(std::move(words))->config);
  };
  EXPECT_EQ(config({}).engine, machine::EngineKind::Translate);
  EXPECT_EQ(config({}).without_engine, machine::WithoutEngine::Interpret);
  EXPECT_EQ(config({"--engine", "trap"}).engine, machine::EngineKind::Trap);
  EXPECT_EQ(config({"--engine", "trap"}).without_engine, machine::WithoutEngine::Refuse);
}

TEST_F(OpenTest, TheShadowPolicyReachesTheMachine) {
  const auto shadow = [](std::vector<std::string> words) {
    return std::move(open(std::move(words))->config.shadow);
  };
  EXPECT_EQ(shadow({}).policy, paging::ShadowPolicy::Unsync);
  EXPECT_EQ(shadow({}).views, paging::ShadowViews::Two);
  EXPECT_EQ(shadow({"--shadow", "ondemand"}).policy, paging::ShadowPolicy::OnDemand);
  EXPECT_EQ(shadow({"--views", "one"}).views, paging::ShadowViews::One);
  EXPECT_FALSE(shadow({}).fills.has_value());
  EXPECT_EQ(shadow({"--fills", "first"}).fills, paging::ShadowFills::First);
}

TEST_F(OpenTest, VirtualTimeIsWithoutTheHostsRandomNumbers) {
  const auto model = [](std::vector<std::string> words) { return open(std::move(words))->config.cpu_model; };
  EXPECT_EQ(model({}), "max");
  EXPECT_EQ(model({"--clock=virtual"}), "max,-rdrand,-rdseed");
  EXPECT_EQ(model({"-icount", "shift=3", "-cpu", "max,-sse2"}), "max,-rdrand,-rdseed,-sse2");
}

TEST_F(OpenTest, DescriptorsAreNotInherited) {
  const auto opened = open({image("a.img"), "-serial", "pty", "-serial", "file:" + path("log")});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_NE(::fcntl(opened->config.drives[0].image.get(), F_GETFD) & FD_CLOEXEC, 0);
  for (const auto& endpoint : opened->config.endpoints) {
    const auto& stream = std::get<machine::StreamEndpoint>(endpoint.connection);
    EXPECT_NE(::fcntl(stream.output.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(OpenTest, ImagesThatCannotBeUsed) {
  EXPECT_THAT(refusal({path("none.img")}), HasSubstr("none.img': No such file or directory"));
  EXPECT_THAT(refusal({"-snapshot", directory_}), HasSubstr("it is a directory"));
  EXPECT_THAT(refusal({directory_}), HasSubstr("Is a directory"));
  EXPECT_THAT(refusal({image("empty.img", 0)}), HasSubstr("it is empty"));
  EXPECT_THAT(refusal({"-snapshot", "/dev/null"}), HasSubstr("neither a file nor a block device"));
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal({"-snapshot", path("fifo")}), HasSubstr("neither a file nor a block device"));
  EXPECT_THAT(refusal({write("a.qcow2", "QFI\xfb" + std::string(600, 'x'))}),
              HasSubstr("qcow2 image: qemu-img convert"));
  EXPECT_THAT(refusal({write("a.gz", "\x1f\x8b\x08" + std::string(600, 'x'))}),
              HasSubstr("compressed by gzip"));
  EXPECT_TRUE(open({"-drive", "format=raw,file=" + write("b.gz", "\x1f\x8b\x08" + std::string(509, 'x'))}));
}

TEST_F(OpenTest, AnImageThatMayOnlyBeRead) {
  const std::string name = image("readonly.img");
  ASSERT_EQ(::chmod(name.c_str(), 0444), 0);
  if (::geteuid() != 0) {  // root may write to anything
    EXPECT_THAT(refusal({name}), HasSubstr("use -drive readonly=on, or -snapshot"));
  }
  const auto snapshot = open({"-snapshot", name});
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(snapshot->config.drives[0].writes, machine::Writes::ToOverlay);
  EXPECT_TRUE(snapshot->config.drives[0].overlay);
  EXPECT_TRUE(open({"-drive", "readonly=on,file=" + name}));
}

TEST_F(OpenTest, ARaggedImageIsUsedWithAWarning) {
  const auto opened = open({image("ragged.img", 700)});
  ASSERT_TRUE(opened) << opened.error().message();
  ASSERT_EQ(opened->warnings.size(), 1u);
  EXPECT_THAT(opened->warnings[0], HasSubstr("700 bytes, is not a multiple of 512"));
}

TEST_F(OpenTest, TwoDrivesOnOneImage) {
  const std::string name = image("a.img");
  EXPECT_THAT(refusal({"-hda", name, "-hdb", name}), HasSubstr("is in two drives"));
  EXPECT_TRUE(open({"-snapshot", "-hda", name, "-hdb", name}));
}

/// Runs `child` in another process while the parent's `action` runs.
template <typename Child, typename Action>
void beside_another_process(Child child, Action action) {
  std::array<int, 2> ready{}, done{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  ASSERT_EQ(::pipe(done.data()), 0);
  const pid_t pid = ::fork();
  char byte = 0;
  if (pid == 0) {
    ::close(done[1]);
    byte = child() ? 1 : 0;
    (void)!::write(ready[1], &byte, 1);
    (void)!::read(done[0], &byte, 1);
    ::_exit(0);
  }
  ::close(done[0]);
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 1);
  action();
  ::close(done[1]);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(OpenTest, AnImageThatAnotherProcessWrites) {
  const std::string name = image("a.img");
  std::optional<Result<OpenedMachine>> others;
  beside_another_process([&] { return others.emplace(open({name})).has_value(); },
                         [&] {
                           EXPECT_THAT(refusal({name}), HasSubstr("cannot lock the disk image for writing"));
                           EXPECT_THAT(refusal({name}), HasSubstr("another Vitrine or QEMU"));
                           EXPECT_THAT(refusal({"-snapshot", name}), HasSubstr("for reading"));
                         });
  // With the other process its lock is gone.
  EXPECT_TRUE(open({name}));
}

TEST_F(OpenTest, ReadersShareAnImage) {
  const std::string name = image("a.img");
  std::optional<Result<OpenedMachine>> others;
  beside_another_process(
      [&] {
        return others.emplace(open({"-snapshot", name})).has_value();
      },
      [&] {
        EXPECT_TRUE(open({"-snapshot", name}));
        EXPECT_THAT(refusal({name}), HasSubstr("cannot lock"));
      });
}

TEST_F(OpenTest, AClassicLockNamesItsHolder) {
  const std::string name = image("a.img");
  pid_t holder = 0;
  beside_another_process(
      [&] {
        const int fd = ::open(name.c_str(), O_RDWR);
        struct flock lock {};
        lock.l_type = F_WRLCK;
        return ::fcntl(fd, F_SETLK, &lock) == 0;
      },
      [&] {
        const Descriptor file(::open(name.c_str(), O_RDWR));
        struct flock lock {};
        lock.l_type = F_WRLCK;
        ASSERT_EQ(::fcntl(file.get(), F_OFD_GETLK, &lock), 0);
        holder = lock.l_pid;
        EXPECT_THAT(refusal({name}), HasSubstr("process " + std::to_string(holder) + " holds it"));
      });
}

TEST_F(OpenTest, Firmware) {
  std::filesystem::remove(path("vgabios-stdvga.bin"));
  std::filesystem::remove(path("bios-256k.bin"));
  EXPECT_THAT(refusal({"-bios", path("none.bin")}), HasSubstr("cannot open the firmware"));
  EXPECT_THAT(refusal({"-bios", directory_ + "/"}), HasSubstr("it is a directory"));
  EXPECT_THAT(refusal({"-bios", "no-such-firmware.bin"}), HasSubstr("install the package 'seabios'"));
  const auto opened = open({"-vga", "none", "-bios", image("my.bin")});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_FALSE(opened->config.vga_bios.file);
  std::filesystem::create_directory(path("firmware"));
  image("firmware/my2.bin");
  const auto found = open({"-vga", "none", "-L", path("firmware"), "-bios", "my2.bin"});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->config.bios.name, path("firmware/my2.bin"));
  const auto nothing = open({"-bios", "none", "-kernel", image("k")});
  ASSERT_TRUE(nothing) << nothing.error().message();
  EXPECT_FALSE(nothing->config.bios.file);
  EXPECT_FALSE(nothing->config.vga_bios.file);
}

TEST_F(OpenTest, KernelsThatCannotBeUsed) {
  EXPECT_THAT(refusal({"-kernel", path("none")}), HasSubstr("cannot open the kernel"));
  EXPECT_THAT(refusal({"-kernel", directory_}), HasSubstr("it is a directory"));
  EXPECT_THAT(refusal({"-kernel", image("e", 0)}), HasSubstr("it is empty"));
  EXPECT_THAT(refusal({"-kernel", image("k"), "-initrd", path("none")}),
              HasSubstr("initial RAM disk or module"));
}

TEST_F(OpenTest, FirmwareFiles) {
  const auto opened =
      open({"-fw_cfg", "opt/a,string=hello", "-fw_cfg", "opt/b,file=" + write("f", "contents")});
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->config.firmware_files[1].contents.size(), 8u);
  EXPECT_THAT(refusal({"-fw_cfg", "opt/b,file=" + path("none")}), HasSubstr("No such file"));
}

TEST_F(OpenTest, OutputsThatCannotBeCreated) {
  EXPECT_THAT(refusal({"-serial", "file:" + path("none/x")}),
              HasSubstr("serial0: cannot open the file for output"));
  EXPECT_THAT(refusal({"-D", path("none/x")}), HasSubstr("cannot create the log file"));
  EXPECT_THAT(refusal({"-pidfile", path("none/x")}), HasSubstr("cannot create the pid file"));
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal({"-serial", "file:" + path("fifo")}), HasSubstr("needs its reader first"));
}

TEST_F(OpenTest, ThePidFileGoesAway) {
  {
    const auto opened = open({"-pidfile", path("pid")});
    ASSERT_TRUE(opened) << opened.error().message();
    std::ifstream file(path("pid"));
    pid_t pid = 0;
    file >> pid;
    EXPECT_EQ(pid, ::getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(path("pid")));
}

TEST_F(OpenTest, UnixSockets) {
  const std::string name = path("socket");
  {
    const auto opened = open({"-serial", "unix:" + name + ",server,nowait"});
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_THAT(refusal({"-serial", "unix:" + name + ",server,nowait"}),
                HasSubstr("something is there already"));
    EXPECT_TRUE(connect_unix(name));
  }
  EXPECT_FALSE(std::filesystem::exists(name));
  EXPECT_THAT(refusal({"-serial", "unix:" + name}), HasSubstr("nobody listens there"));
  EXPECT_THAT(refusal({"-serial", "unix:" + path(std::string(200, 'x')) + ",server"}), HasSubstr("too long"));

  // What a killed process left behind is replaced; a file that is no socket is not.
  { ASSERT_TRUE(listen_unix(name)); }
  EXPECT_TRUE(std::filesystem::exists(name));
  EXPECT_TRUE(open({"-serial", "unix:" + name + ",server,nowait"}));
  write("file", "precious");
  EXPECT_THAT(refusal({"-serial", "unix:" + path("file") + ",server,nowait"}),
              HasSubstr("something is there"));
}

TEST_F(OpenTest, TcpPorts) {
  Descriptor taken(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  EXPECT_THAT(refusal({"-serial", "tcp::" + port}), HasSubstr("nobody listens there"));
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  EXPECT_THAT(refusal({"-gdb", "tcp::" + port}), HasSubstr("choose another port"));
  const auto client = open({"-serial", "tcp:127.0.0.1:" + port});
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_TRUE(std::get<machine::ConnectedEndpoint>(client->config.endpoints[0].connection).socket);
}

TEST_F(OpenTest, EndpointsAreShared) {
  const auto opened = open({"-serial", "mon:pty", "-serial", "none", "-serial", "null", "-chardev",
                            "null,id=c,mux=on", "-debugcon", "chardev:c", "-serial", "chardev:c"});
  ASSERT_TRUE(opened) << opened.error().message();
  const auto& config = opened->config;
  EXPECT_EQ(config.endpoints.size(), 3u);
  EXPECT_EQ(config.serial_ports[0], config.monitor);
  EXPECT_EQ(config.serial_ports[1], std::nullopt);
  EXPECT_EQ(config.serial_ports[3], config.debug_consoles[0].endpoint);
  EXPECT_EQ(config.endpoints[0].sharing, machine::Sharing::Multiplexed);
  ASSERT_EQ(opened->warnings.size(), 1u);
  EXPECT_THAT(opened->warnings[0], HasSubstr("serial0 is at /dev/pts/"));
}

TEST_F(OpenTest, MemoryThatTheHostDoesNotHave) {
  EXPECT_TRUE(open({"-m", "64"}));
  RunOptions options;
  options.memory_size = uint64_t{1} << 60;
  EXPECT_THAT(open_machine(options).error().message(), HasSubstr("more memory than the host has"));
}

TEST_F(OpenTest, TheMonitorsFiles) {
  HostFileService files;
  EXPECT_TRUE(files.create_file(path("out.png"), machine::FileContents::Picture));
  EXPECT_TRUE(std::filesystem::exists(path("out.png")));
  EXPECT_THAT(files.create_file(path("none/out.png"), machine::FileContents::Picture).error().message(),
              HasSubstr("No such file"));
}

}  // namespace
}  // namespace vitrine::cli

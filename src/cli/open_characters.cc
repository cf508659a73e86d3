#include "cli/open_characters.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/sockets.h"

namespace vitrine::cli {
namespace {

using Kind = CharacterOptions::Kind;
using machine::CharacterEndpoint;
using machine::EndpointIndex;
using machine::ListeningEndpoint;
using machine::StreamEndpoint;
using machine::WhenFull;

void make_raw(int fd) {
  termios mode{};
  if (::tcgetattr(fd, &mode) != 0) return;
  ::cfmakeraw(&mode);
  ::tcsetattr(fd, TCSANOW, &mode);
}

/// Standard output as a descriptor that does not block. O_NONBLOCK belongs to the open file, which the shell
/// shares: terminals and pipes are therefore opened anew. Where that cannot be, writing to a full pipe holds
/// the machine up.
Result<Descriptor> own_output() {
  struct stat status {};
  if (::fstat(STDOUT_FILENO, &status) == 0 && (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode))) {
    Descriptor own(::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own) return own;
  }
  Descriptor copy(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!copy) return std::unexpected(error_from_errno("cannot use standard output", ""));
  return copy;
}

Result<StreamEndpoint> open_stdio() {
  StreamEndpoint stream;
  // A closed standard input is one at its end.
  stream.input.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  stream.output = TRY(own_output());
  return stream;
}

Result<StreamEndpoint> open_output_file(const CharacterOptions& device) {
  const int flags =
      O_WRONLY | O_CREAT | (device.append ? O_APPEND : O_TRUNC) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  StreamEndpoint stream;
  stream.output.reset(::open(device.path.c_str(), flags, 0666));
  if (!stream.output) {
    return std::unexpected(error_from_errno("cannot open the file for output", device.path,
                                            errno == ENXIO ? "a named pipe needs its reader first" : ""));
  }
  return stream;
}

Result<StreamEndpoint> open_device(const CharacterOptions& device) {
  StreamEndpoint stream;
  stream.input.reset(::open(device.path.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!stream.input) return std::unexpected(error_from_errno("cannot open the device", device.path));
  make_raw(stream.input.get());
  stream.output.reset(::fcntl(stream.input.get(), F_DUPFD_CLOEXEC, 3));
  return stream;
}

Result<StreamEndpoint> open_pty(std::string& path) {
  StreamEndpoint stream;
  stream.input.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  std::array<char, 64> name{};
  if (!stream.input || ::grantpt(stream.input.get()) != 0 || ::unlockpt(stream.input.get()) != 0 ||
      ::ptsname_r(stream.input.get(), name.data(), name.size()) != 0) {
    return std::unexpected(error_from_errno("cannot create a pseudo-terminal", ""));
  }
  path = name.data();
  stream.keep_alive.reset(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!stream.keep_alive) return std::unexpected(error_from_errno("cannot open the pseudo-terminal", path));
  make_raw(stream.keep_alive.get());
  stream.output.reset(::fcntl(stream.input.get(), F_DUPFD_CLOEXEC, 3));
  return stream;
}

/// Opens one by one, and knows what is open already.
class Opener {
 public:
  explicit Opener(const RunOptions& options) : options_(options) {}

  Result<OpenedCharacters> run() {
    for (size_t i = 0; i < options_.serials.size(); ++i) {
      opened_.serial_ports.push_back(TRY(open(options_.serials[i], fmt::format("serial{}", i))));
    }
    for (size_t i = 0; i < options_.debug_consoles.size(); ++i) {
      const auto& console = options_.debug_consoles[i];
      const auto endpoint = TRY(open(console.device, fmt::format("debugcon{}", i)));
      if (endpoint) opened_.debug_consoles.push_back({console.port.value_or(0xe9), *endpoint});
    }
    for (size_t i = 0; i < options_.virtio.size(); ++i) {
      const auto& console = options_.virtio[i].console;
      opened_.virtio.push_back(console ? TRY(open(*console, fmt::format("virtconsole{}", i))) : std::nullopt);
    }
    if (options_.monitor) {
      const auto endpoint = TRY(open(*options_.monitor, "monitor"));
      if (options_.monitor->kind != Kind::Null) opened_.monitor = endpoint ? endpoint : opened_.monitor;
    }
    if (options_.gdb) opened_.gdb = TRY(open(*options_.gdb, "gdb"));
    return std::move(opened_);
  }

 private:
  Result<std::optional<EndpointIndex>> open(const CharacterOptions& device, const std::string& label) {
    if (device.kind == Kind::None) return std::nullopt;
    if (device.kind == Kind::Reference) return reference(device);
    const EndpointIndex index = TRY(open_endpoint(device, label));
    if (device.multiplexed && device.id.empty()) opened_.monitor = index;  // mon:
    return index;
  }

  Result<std::optional<EndpointIndex>> reference(const CharacterOptions& device) {
    if (const auto it = chardevs_.find(device.id); it != chardevs_.end()) return it->second;
    for (const CharacterOptions& chardev : options_.chardevs) {
      if (chardev.id != device.id) continue;
      const EndpointIndex index = TRY(open_endpoint(chardev, chardev.id));
      chardevs_[device.id] = index;
      if (device.multiplexed) opened_.monitor = index;  // mon:chardev:ID
      return index;
    }
    return std::unexpected(Error{"no -chardev has the id", device.id});
  }

  Result<EndpointIndex> open_endpoint(const CharacterOptions& device, const std::string& label) {
    CharacterEndpoint endpoint;
    endpoint.label = label;
    endpoint.description = device.text;
    endpoint.sharing = device.multiplexed ? machine::Sharing::Multiplexed : machine::Sharing::Exclusive;
    if (auto connected = connect(endpoint, device); !connected) {
      Error error = connected.error();
      error.what = fmt::format("{}: {}", label, error.what);
      return std::unexpected(std::move(error));
    }
    opened_.endpoints.push_back(std::move(endpoint));
    return opened_.endpoints.size() - 1;
  }

  Result<void> connect(CharacterEndpoint& endpoint, const CharacterOptions& device) {
    switch (device.kind) {
      case Kind::Stdio:
        endpoint.connection = TRY(open_stdio());
        endpoint.when_full = WhenFull::Stall;
        opened_.terminal = device.keep_signals ? TerminalSignals::Keep : TerminalSignals::PassToGuest;
        return {};
      case Kind::File:
        endpoint.connection = TRY(open_output_file(device));
        endpoint.when_full = WhenFull::Stall;
        return {};
      case Kind::Device: endpoint.connection = TRY(open_device(device)); return {};
      case Kind::Pty: {
        std::string path;
        endpoint.connection = TRY(open_pty(path));
        endpoint.description = fmt::format("pty {}", path);
        opened_.announcements.push_back(fmt::format("{} is at {}", endpoint.label, path));
        return {};
      }
      case Kind::Tcp:
      case Kind::Unix: return connect_socket(endpoint, device);
      case Kind::Null:
      case Kind::None:
      case Kind::Reference: return {};
    }
    return {};
  }

  Result<void> connect_socket(CharacterEndpoint& endpoint, const CharacterOptions& device) {
    const bool tcp = device.kind == Kind::Tcp;
    if (device.role == CharacterOptions::Role::Client) {
      endpoint.connection = machine::ConnectedEndpoint{tcp ? TRY(connect_tcp(device.host, device.port))
                                                           : TRY(connect_unix(device.path))};
      return {};
    }
    ListeningEndpoint listening;
    listening.listener = tcp ? TRY(listen_tcp(device.host, device.port)) : TRY(listen_unix(device.path));
    if (!tcp) opened_.socket_files.push_back(device.path);
    if (device.wait) {
      fmt::print(stderr, "vitrine: {} waits for a connection at {}\n", endpoint.label, device.text);
      listening.connected = TRY(wait_for_peer(listening.listener, device.text));
    }
    endpoint.connection = std::move(listening);
    return {};
  }

  const RunOptions& options_;
  OpenedCharacters opened_;
  std::map<std::string, EndpointIndex> chardevs_;
};

}  // namespace

Result<OpenedCharacters> open_characters(const RunOptions& options) {
  return Opener(options).run();
}

}  // namespace vitrine::cli

// The monitor's commands on memory and ports: x, xp, print, i, o, gva2gpa, memsave, pmemsave.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "machine/monitor_commands.h"

namespace vitrine::machine {
namespace {

/// What one command may print or save.
constexpr unsigned kMostUnits = 65536;
constexpr uint64_t kMostSaved = uint64_t{4} << 30;
constexpr unsigned kLongestInstruction = 15;

struct Request {
  unsigned count = 1;
  char letter = 'x';  ///< d, u, o, x, c or i
  unsigned size = 4;  ///< 1, 2, 4 or 8
};

/// Takes "/10xb" from the start of `arguments`, if it is there; what is not said is as the last time.
Result<Request> take_format(MonitorSession& session, std::string_view& arguments) {
  Request request{1, session.last_format.letter, session.last_format.size};
  if (arguments.starts_with('/')) {
    const std::string word = take_word(arguments);
    std::string_view text = std::string_view(word).substr(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), request.count);
    if (error == std::errc::result_out_of_range) request.count = kMostUnits + 1;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    for (const char letter : text) {
      switch (letter) {
        case 'd':
        case 'u':
        case 'o':
        case 'x':
        case 'c':
        case 'i': request.letter = letter; break;
        case 'b': request.size = 1; break;
        case 'h': request.size = 2; break;
        case 'w': request.size = 4; break;
        case 'g': request.size = 8; break;
        default:
          return std::unexpected(Error{"a format is /COUNT, one of d u o x c i, one of b h w g; not", word});
      }
    }
    if (request.letter == 'c' && text.find_first_of("bhwg") == std::string_view::npos) request.size = 1;
  }
  if (request.count > kMostUnits) {
    return std::unexpected(Error{fmt::format("at most {} units at once", kMostUnits), ""});
  }
  session.last_format = {request.letter, request.size};
  return request;
}

uint64_t little_endian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

std::string character_literal(uint64_t value) {
  const auto byte = static_cast<unsigned char>(value);
  if (byte == '\n') return "'\\n'";
  if (byte == '\r') return "'\\r'";
  if (byte == '\'' || byte == '\\') return fmt::format("'\\{}'", static_cast<char>(byte));
  if (byte >= ' ' && byte < 0x7f) return fmt::format("'{}'", static_cast<char>(byte));
  return fmt::format("'\\x{:02x}'", byte);
}

std::string format_value(uint64_t value, char letter, unsigned size) {
  const unsigned bits = size * 8;
  const auto as_signed = static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
  switch (letter) {
    case 'd': return fmt::format("{}", as_signed);
    case 'u': return fmt::format("{}", value);
    case 'o': return fmt::format("0{:0{}o}", value, (bits + 2) / 3);
    case 'c': return character_literal(value);
    default: return fmt::format("0x{:0{}x}", value, size * 2);
  }
}

/// Reads memory for a command, virtual or physical.
class Reader {
 public:
  enum class Space : uint8_t { Virtual, Physical };
  Reader(MonitorSession& session, Space space) : session_(session), space_(space) {}

  [[nodiscard]] bool read(uint64_t address, std::span<uint8_t> data) const {
    if (space_ == Space::Virtual) {
      return session_.target().read_virtual(session_.cpu(), VirtualAddress(static_cast<uint32_t>(address)),
                                            data);
    }
    // A device's registers may change when read: only storage is shown. Nothing at all reads as ones.
    const memory::PhysicalMap& map = session_.target().physical_map();
    for (uint64_t page = address & ~uint64_t{kPageMask}; page < address + data.size(); page += kPageSize) {
      if (map.find(PhysicalAddress(page)).device != nullptr) return false;
    }
    map.read(PhysicalAddress(address), data);
    return true;
  }
  [[nodiscard]] std::string_view failure() const {
    return space_ == Space::Virtual ? "not mapped" : "a device's registers, which are not read";
  }
  [[nodiscard]] std::string show(uint64_t address) const {
    return space_ == Space::Virtual ? fmt::format("{:08x}", static_cast<uint32_t>(address))
                                    : fmt::format("{:016x}", address);
  }

 private:
  MonitorSession& session_;
  Space space_;
};

void show_instructions(MonitorSession& session, const Reader& reader, uint64_t address, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    std::array<uint8_t, kLongestInstruction> code{};
    size_t length = code.size();
    while (length > 0 && !reader.read(address, std::span(code).first(length))) --length;
    if (length == 0) return session.print("{}: {}\n", reader.show(address), reader.failure());
    const auto instruction = session.target().disassemble(session.cpu(), static_cast<uint32_t>(address),
                                                          std::span(code).first(length));
    if (!instruction || instruction->length == 0) {
      session.print("{}: (no instruction)\n", reader.show(address));
      return;
    }
    session.print("{}:  {}\n", reader.show(address), instruction->text);
    address += instruction->length;
  }
}

void show_units(MonitorSession& session, const Reader& reader, uint64_t address, const Request& request) {
  const unsigned per_line = request.letter == 'c' ? 8 : std::max(1u, std::min(8u, 16 / request.size));
  for (unsigned done = 0; done < request.count;) {
    session.print("{}:", reader.show(address));
    for (unsigned i = 0; i < per_line && done < request.count; ++i, ++done) {
      std::array<uint8_t, 8> bytes{};
      const auto unit = std::span(bytes).first(request.size);
      if (!reader.read(address, unit)) return session.print(" {}\n", reader.failure());
      session.print(" {}", format_value(little_endian(unit), request.letter, request.size));
      address += request.size;
    }
    session.print("\n");
  }
}

void examine(MonitorSession& session, std::string_view arguments, Reader::Space space) {
  const auto request = take_format(session, arguments);
  if (!request) return session.print_error(request.error());
  const auto address = session.evaluate(arguments);
  if (!address) return session.print_error(address.error());
  const Reader reader(session, space);
  if (request->letter == 'i') {
    show_instructions(session, reader, *address, request->count);
  } else {
    show_units(session, reader, *address, *request);
  }
}

Result<void> write_all(const Descriptor& file, std::span<const uint8_t> data) {
  while (!data.empty()) {
    const ssize_t written = ::write(file.get(), data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return std::unexpected(error_from_errno("cannot write the file", ""));
    data = data.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> save(MonitorSession& session, std::string_view arguments, Reader::Space space) {
  // The file is cut off first: its leading slash would be taken for a division.
  const Error usage{"usage: memsave ADDRESS SIZE FILE", ""};
  arguments = arguments.substr(0, arguments.find_last_not_of(' ') + 1);
  const size_t space_before_file = arguments.rfind(' ');
  if (space_before_file == std::string_view::npos) return std::unexpected(usage);
  const std::string path(arguments.substr(space_before_file + 1));
  arguments = arguments.substr(0, space_before_file);
  uint64_t address = TRY(take_expression(arguments, session.registers()));
  if (arguments.find_first_not_of(' ') == std::string_view::npos) return std::unexpected(usage);
  uint64_t size = TRY(session.evaluate(arguments));
  if (size > kMostSaved) return std::unexpected(Error{"at most 4 GiB at once", ""});
  const Descriptor file = TRY(session.files().create_file(path, FileContents::Memory));
  const Reader reader(session, space);
  std::vector<uint8_t> buffer;
  while (size > 0) {
    buffer.resize(std::min<uint64_t>(size, kPageSize - address % kPageSize));
    if (!reader.read(address, buffer)) {
      return std::unexpected(
          Error{fmt::format("stopped at {}: {}", reader.show(address), reader.failure()), ""});
    }
    if (auto written = write_all(file, buffer); !written) return written;
    address += buffer.size();
    size -= buffer.size();
  }
  return {};
}

enum class PortAccess : uint8_t { Read, Write };

Result<void> access_port(MonitorSession& session, std::string_view arguments, PortAccess access) {
  const Request request = TRY(take_format(session, arguments));
  const uint64_t port = TRY(take_expression(arguments, session.registers()));
  if (port > 0xffff || request.size > 4)
    return std::unexpected(Error{"ports are 0 to 0xffff, of 1, 2 or 4 bytes", ""});
  const auto number = static_cast<uint16_t>(port);
  if (access == PortAccess::Write) {
    session.target().write_port(number, request.size,
                                static_cast<uint32_t>(TRY(session.evaluate(arguments))));
  } else {
    if (!arguments.empty()) return std::unexpected(Error{"cannot understand", std::string(arguments)});
    const uint32_t value = session.target().read_port(number, request.size);
    session.print("port[{:#06x}] = {}\n", port, format_value(value, request.letter, request.size));
  }
  return {};
}

}  // namespace

void command_examine_virtual(MonitorSession& session, std::string_view arguments) {
  examine(session, arguments, Reader::Space::Virtual);
}

void command_examine_physical(MonitorSession& session, std::string_view arguments) {
  examine(session, arguments, Reader::Space::Physical);
}

void command_print(MonitorSession& session, std::string_view arguments) {
  const auto request = take_format(session, arguments);
  if (!request) return session.print_error(request.error());
  const auto value = session.evaluate(arguments);
  if (!value) return session.print_error(value.error());
  if (request->letter == 'x' || request->letter == 'i') return session.print("{:#x}\n", *value);
  session.print("{}\n", format_value(*value, request->letter, 8));
}

void command_port_read(MonitorSession& session, std::string_view arguments) {
  if (const auto done = access_port(session, arguments, PortAccess::Read); !done)
    session.print_error(done.error());
}

void command_port_write(MonitorSession& session, std::string_view arguments) {
  if (const auto done = access_port(session, arguments, PortAccess::Write); !done)
    session.print_error(done.error());
}

void command_translate(MonitorSession& session, std::string_view arguments) {
  const auto address = session.evaluate(arguments);
  if (!address) return session.print_error(address.error());
  const auto physical =
      session.target().translate(session.cpu(), VirtualAddress(static_cast<uint32_t>(*address)));
  if (!physical) return session.print("not mapped\n");
  session.print("gpa: {:#x}\n", physical->value);
}

void command_save_virtual(MonitorSession& session, std::string_view arguments) {
  if (const auto done = save(session, arguments, Reader::Space::Virtual); !done)
    session.print_error(done.error());
}

void command_save_physical(MonitorSession& session, std::string_view arguments) {
  if (const auto done = save(session, arguments, Reader::Space::Physical); !done)
    session.print_error(done.error());
}

}  // namespace vitrine::machine

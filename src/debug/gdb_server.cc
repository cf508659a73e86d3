// The line and the session, and the packets for registers, memory, breakpoints and threads.
#include "debug/gdb_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "debug/gdb_registers.h"

namespace vitrine::debug {

struct GdbServer::Packet {
  char letter;
  void (GdbServer::*handler)(std::string_view arguments);
};

namespace {

constexpr uint8_t kSignalTrap = 5;
constexpr uint64_t kVirtualEnd = uint64_t{1} << 32;
/// SDM Vol. 3A, "Physical Address Space": no processor has more than 52 bits.
constexpr uint64_t kPhysicalEnd = uint64_t{1} << 52;

/// "address,length" before an optional ':'.
struct Range {
  uint64_t address = 0;
  uint64_t size = 0;
};

std::optional<Range> take_range(std::string_view& text) {
  const auto address = take_number(text);
  if (!address || !take_character(text, ',')) return std::nullopt;
  const auto size = take_number(text);
  if (!size) return std::nullopt;
  return Range{*address, *size};
}

}  // namespace

std::span<const GdbServer::Packet> GdbServer::packets() {
  static constexpr std::array kTable = {
      Packet{'?', &GdbServer::packet_stop_reason},
      Packet{'!', &GdbServer::packet_extended_mode},
      Packet{'H', &GdbServer::packet_select_thread},
      Packet{'T', &GdbServer::packet_thread_alive},
      Packet{'g', &GdbServer::packet_read_registers},
      Packet{'G', &GdbServer::packet_write_registers},
      Packet{'p', &GdbServer::packet_read_register},
      Packet{'P', &GdbServer::packet_write_register},
      Packet{'m', &GdbServer::packet_read_memory},
      Packet{'M', &GdbServer::packet_write_memory},
      Packet{'X', &GdbServer::packet_write_binary},
      Packet{'Z', &GdbServer::packet_insert_stop_point},
      Packet{'z', &GdbServer::packet_remove_stop_point},
      Packet{'c', &GdbServer::packet_continue},
      Packet{'C', &GdbServer::packet_continue_with_signal},
      Packet{'s', &GdbServer::packet_step},
      Packet{'S', &GdbServer::packet_step_with_signal},
      Packet{'v', &GdbServer::packet_v},
      Packet{'q', &GdbServer::packet_query},
      Packet{'Q', &GdbServer::packet_set},
      Packet{'D', &GdbServer::packet_detach},
      Packet{'k', &GdbServer::packet_kill},
      Packet{'R', &GdbServer::packet_restart},
  };
  return kTable;
}

GdbServer::GdbServer(devices::CharacterBackend& line, DebugTarget& target) : line_(line), target_(target) {
  line_.set_receiver(this);
}

GdbServer::~GdbServer() {
  line_.set_receiver(nullptr);
}

// ---- The line.

void GdbServer::carrier_changed(bool present) {
  reader_.reset();
  last_frame_.clear();
  acknowledge_ = true;
  if (present) {
    attach();
  } else {
    end_session();
  }
}

void GdbServer::attach() {
  reports_breakpoint_kind_ = false;
  memory_space_ = MemorySpace::Virtual;
  step_interrupts_ = StepInterrupts::Masked;
  resume_thread_ = {};
  waiting_ = false;
  attached_ = true;
  target_.pause();
  stop_points_.clear();
  apply_stop_points();
  set_stop({.cpu = 0, .signal = kSignalTrap, .detail = {}});
}

void GdbServer::end_session() {
  if (!attached_) return;
  attached_ = false;
  waiting_ = false;
  stop_points_.clear();
  apply_stop_points();
  if (target_.running()) return;
  target_.resume({.actions = std::vector(target_.cpu_count(), CpuAction::Continue)});
}

void GdbServer::receive(std::span<const uint8_t> data) {
  while (const auto event = reader_.next(data)) take(*event);
}

void GdbServer::take(const PacketEvent& event) {
  using Kind = PacketEvent::Kind;
  const auto acknowledge = [this](char answer) {
    const auto byte = static_cast<uint8_t>(answer);
    if (acknowledge_) line_.send(std::span(&byte, 1));
  };
  switch (event.kind) {
    case Kind::Interrupt:
      if (!attached_) attach();
      interrupt();
      break;
    case Kind::SendAgain:
      if (acknowledge_) line_.send(std::vector<uint8_t>(last_frame_.begin(), last_frame_.end()));
      break;
    case Kind::BadChecksum:
      acknowledge('-');
      if (!acknowledge_) reply_error(GdbError::Invalid);
      break;
    case Kind::TooLong:
      acknowledge('+');
      reply_error(GdbError::TooLong);
      break;
    case Kind::Packet:
      acknowledge('+');
      if (!attached_) attach();
      dispatch(event.payload);
      break;
  }
}

void GdbServer::dispatch(std::string_view packet) {
  const auto table = packets();
  const auto row = packet.empty() ? table.end() : std::ranges::find(table, packet.front(), &Packet::letter);
  // An empty reply says that there is no such packet.
  if (row == table.end()) return reply("");
  (this->*row->handler)(packet.substr(1));
}

void GdbServer::reply(std::string_view payload) {
  last_frame_ = frame_packet(payload);
  line_.send(std::vector<uint8_t>(last_frame_.begin(), last_frame_.end()));
}

void GdbServer::reply_error(GdbError error) {
  reply(fmt::format("E{:02x}", static_cast<unsigned>(error)));
}

std::string GdbServer::describe() const {
  if (!attached_) return "gdb: nobody is attached\n";
  return fmt::format("gdb: attached, {} breakpoints and watchpoints, {}\n", stop_points_.size(),
                     waiting_ ? "waiting for the machine to stop" : "in control");
}

// ---- The session.

void GdbServer::packet_stop_reason(std::string_view /*arguments*/) {
  reply_stop();
}

void GdbServer::packet_extended_mode(std::string_view /*arguments*/) {
  reply_ok();
}

void GdbServer::packet_detach(std::string_view /*arguments*/) {
  reply_ok();
  end_session();
  // A line without a carrier can bring the next debugger, who starts with acknowledgements.
  acknowledge_ = true;
}

void GdbServer::packet_kill(std::string_view /*arguments*/) {
  // No reply: gdb expects none.
  attached_ = false;
  waiting_ = false;
  target_.quit();
}

void GdbServer::packet_restart(std::string_view /*arguments*/) {
  // No reply either; gdb asks for the state afterwards.
  waiting_ = false;
  target_.pause();
  target_.reset();
  set_stop({.cpu = 0, .signal = kSignalTrap, .detail = {}});
}

// ---- Threads.

std::optional<GdbServer::ThreadChoice> GdbServer::parse_thread(std::string_view text) const {
  if (text == "-1") return ThreadChoice{ThreadChoice::Kind::All, 0};
  const auto number = take_number(text);
  if (!number || !text.empty() || *number > target_.cpu_count()) return std::nullopt;
  if (*number == 0) return ThreadChoice{ThreadChoice::Kind::Any, 0};
  return ThreadChoice{ThreadChoice::Kind::One, static_cast<unsigned>(*number) - 1};
}

unsigned GdbServer::general_cpu() const {
  return general_thread_.kind == ThreadChoice::Kind::One ? general_thread_.cpu : stop_.cpu;
}

void GdbServer::packet_select_thread(std::string_view arguments) {
  const bool general = take_character(arguments, 'g');
  if (!general && !take_character(arguments, 'c')) return reply_error(GdbError::Invalid);
  const auto thread = parse_thread(arguments);
  if (!thread) return reply_error(GdbError::NoSuchThread);
  (general ? general_thread_ : resume_thread_) = *thread;
  reply_ok();
}

void GdbServer::packet_thread_alive(std::string_view arguments) {
  const auto thread = parse_thread(arguments);
  if (!thread || thread->kind != ThreadChoice::Kind::One) return reply_error(GdbError::NoSuchThread);
  reply_ok();
}

// ---- Registers.

unsigned GdbServer::register_count() const {
  return target_.has_avx() ? kRegisterCount : kRegistersWithoutAvx;
}

void GdbServer::packet_read_registers(std::string_view /*arguments*/) {
  const cpu::CpuState& state = target_.cpu_state(general_cpu());
  std::string digits;
  for (unsigned number = 0; number < register_count(); ++number)
    digits += to_hex(read_register(state, number));
  reply(digits);
}

std::expected<void, GdbError> GdbServer::write_state(cpu::CpuState& state, unsigned number,
                                                     std::span<const uint8_t> bytes) const {
  return write_register(state, number, bytes, [this](VirtualAddress address) -> std::optional<uint64_t> {
    std::array<uint8_t, 8> raw{};
    if (!target_.read_virtual(general_cpu(), address, raw)) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | raw[i];
    return value;
  });
}

void GdbServer::packet_write_registers(std::string_view arguments) {
  const auto bytes = from_hex(arguments);
  if (!bytes) return reply_error(GdbError::Invalid);
  cpu::CpuState state = target_.cpu_state(general_cpu());
  std::span<const uint8_t> rest = *bytes;
  // As many registers as there are bytes for: a debugger that knows only the first ones writes those.
  for (unsigned number = 0; number < register_count() && !rest.empty(); ++number) {
    const size_t size = register_rows()[number].size;
    if (rest.size() < size) return reply_error(GdbError::Invalid);
    const auto written = write_state(state, number, rest.first(size));
    if (!written) return reply_error(written.error());
    rest = rest.subspan(size);
  }
  if (!rest.empty()) return reply_error(GdbError::Invalid);
  target_.set_cpu_state(general_cpu(), state);
  reply_ok();
}

void GdbServer::packet_read_register(std::string_view arguments) {
  const auto number = take_number(arguments);
  if (!number || !arguments.empty() || *number >= register_count()) return reply_error(GdbError::Invalid);
  reply(to_hex(read_register(target_.cpu_state(general_cpu()), static_cast<unsigned>(*number))));
}

void GdbServer::packet_write_register(std::string_view arguments) {
  const auto number = take_number(arguments);
  if (!number || *number >= register_count() || !take_character(arguments, '=')) {
    return reply_error(GdbError::Invalid);
  }
  const auto bytes = from_hex(arguments);
  if (!bytes) return reply_error(GdbError::Invalid);
  cpu::CpuState state = target_.cpu_state(general_cpu());
  const auto written = write_state(state, static_cast<unsigned>(*number), *bytes);
  if (!written) return reply_error(written.error());
  target_.set_cpu_state(general_cpu(), state);
  reply_ok();
}

// ---- Memory.

bool GdbServer::read_memory(uint64_t address, std::span<uint8_t> data) const {
  if (memory_space_ == MemorySpace::Physical) return target_.read_physical(PhysicalAddress(address), data);
  return target_.read_virtual(general_cpu(), VirtualAddress(static_cast<uint32_t>(address)), data);
}

void GdbServer::packet_read_memory(std::string_view arguments) {
  const auto range = take_range(arguments);
  const uint64_t end = memory_space_ == MemorySpace::Virtual ? kVirtualEnd : kPhysicalEnd;
  if (!range || !arguments.empty() || range->size == 0) return reply_error(GdbError::Invalid);
  if (range->address >= end) return reply_error(GdbError::BadAddress);
  // A reply may be shorter than asked for; gdb asks for the rest. It is up to the first byte that is not
  // there.
  std::vector<uint8_t> data(std::min({range->size, uint64_t{kMaxPacket / 2}, end - range->address}));
  size_t done = 0;
  while (done < data.size()) {
    const uint64_t at = range->address + done;
    const size_t piece = std::min<size_t>(data.size() - done, kPageSize - (at & kPageMask));
    if (!read_memory(at, std::span(data).subspan(done, piece))) break;
    done += piece;
  }
  if (done == 0) return reply_error(GdbError::BadAddress);
  reply(to_hex(std::span(data).first(done)));
}

void GdbServer::write_memory(uint64_t address, uint64_t size,
                             const std::optional<std::vector<uint8_t>>& data) {
  if (!data || data->size() != size) return reply_error(GdbError::Invalid);
  if (size == 0) return reply_ok();  // a question whether there is such a packet
  const uint64_t end = memory_space_ == MemorySpace::Virtual ? kVirtualEnd : kPhysicalEnd;
  if (address >= end || size > end - address) return reply_error(GdbError::BadAddress);
  const bool written =
      memory_space_ == MemorySpace::Physical
          ? target_.write_physical(PhysicalAddress(address), *data)
          : target_.write_virtual(general_cpu(), VirtualAddress(static_cast<uint32_t>(address)), *data);
  if (!written) return reply_error(GdbError::BadAddress);
  reply_ok();
}

void GdbServer::packet_write_memory(std::string_view arguments) {
  const auto range = take_range(arguments);
  if (!range || !take_character(arguments, ':')) return reply_error(GdbError::Invalid);
  write_memory(range->address, range->size, from_hex(arguments));
}

void GdbServer::packet_write_binary(std::string_view arguments) {
  const auto range = take_range(arguments);
  if (!range || !take_character(arguments, ':')) return reply_error(GdbError::Invalid);
  write_memory(range->address, range->size, unescape(arguments));
}

// ---- Breakpoints and watchpoints.

std::optional<StopPoint> GdbServer::parse_stop_point(std::string_view text) {
  const auto kind = take_number(text);
  if (!kind || *kind >= StopPoint::kKindCount || !take_character(text, ',')) return std::nullopt;
  const auto range = take_range(text);
  if (!range || !text.empty() || range->address >= kVirtualEnd) return std::nullopt;
  StopPoint point{.kind = static_cast<StopPoint::Kind>(*kind),
                  .address = VirtualAddress(static_cast<uint32_t>(range->address))};
  if (!point.is_breakpoint()) {
    if (range->size == 0 || range->size > kVirtualEnd - range->address || range->size > UINT32_MAX) {
      return std::nullopt;
    }
    point.size = static_cast<uint32_t>(range->size);
  }
  return point;
}

void GdbServer::packet_insert_stop_point(std::string_view arguments) {
  const auto point = parse_stop_point(arguments);
  if (!point) return reply_error(GdbError::Invalid);
  switch (stop_points_.insert(*point)) {
    case StopPointSet::Insertion::Done: apply_stop_points(); [[fallthrough]];
    case StopPointSet::Insertion::AlreadyThere: return reply_ok();
    case StopPointSet::Insertion::Full: return reply_error(GdbError::NoSpace);
  }
}

void GdbServer::packet_remove_stop_point(std::string_view arguments) {
  const auto point = parse_stop_point(arguments);
  if (!point) return reply_error(GdbError::Invalid);
  stop_points_.remove(*point);
  apply_stop_points();
  reply_ok();
}

}  // namespace vitrine::debug

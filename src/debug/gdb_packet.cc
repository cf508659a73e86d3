#include "debug/gdb_packet.h"

#include <fmt/format.h>

#include <numeric>

namespace vitrine::debug {
namespace {

constexpr uint8_t kInterruptByte = 0x03;
constexpr char kEscape = '}';
constexpr char kEscapeFlip = 0x20;

std::optional<uint8_t> digit_value(uint8_t digit) {
  if (digit >= '0' && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<uint8_t>(digit - 'a' + 10);
  if (digit >= 'A' && digit <= 'F') return static_cast<uint8_t>(digit - 'A' + 10);
  return std::nullopt;
}

uint8_t checksum(std::string_view payload) {
  return std::accumulate(payload.begin(), payload.end(), uint8_t{0}, [](uint8_t sum, char c) {
    return static_cast<uint8_t>(sum + static_cast<uint8_t>(c));
  });
}

}  // namespace

std::optional<PacketEvent> PacketReader::next(std::span<const uint8_t>& data) {
  while (!data.empty()) {
    const uint8_t byte = data.front();
    data = data.subspan(1);
    if (auto event = take(byte)) return event;
  }
  return std::nullopt;
}

void PacketReader::reset() {
  state_ = State::Between;
  payload_.clear();
}

void PacketReader::start_packet() {
  state_ = State::Payload;
  payload_.clear();
  too_long_ = false;
  sum_ = 0;
}

std::optional<PacketEvent> PacketReader::take(uint8_t byte) {
  using Kind = PacketEvent::Kind;
  switch (state_) {
    case State::Between:
      if (byte == '$') start_packet();
      if (byte == kInterruptByte) return PacketEvent{Kind::Interrupt, {}};
      if (byte == '-') return PacketEvent{Kind::SendAgain, {}};
      return std::nullopt;
    case State::Payload:
      if (byte == '$') {  // never part of a payload: the packet before was cut off
        start_packet();
        return std::nullopt;
      }
      if (byte == '#') {
        state_ = State::FirstDigit;
        return std::nullopt;
      }
      sum_ = static_cast<uint8_t>(sum_ + byte);
      if (payload_.size() < max_payload_) {
        payload_.push_back(static_cast<char>(byte));
      } else {
        too_long_ = true;
      }
      return std::nullopt;
    case State::FirstDigit:
      first_digit_ = byte;
      state_ = State::SecondDigit;
      return std::nullopt;
    case State::SecondDigit: return finish(byte);
  }
  return std::nullopt;
}

PacketEvent PacketReader::finish(uint8_t second_digit) {
  using Kind = PacketEvent::Kind;
  const auto high = digit_value(first_digit_);
  const auto low = digit_value(second_digit);
  std::string payload = std::move(payload_);
  reset();
  if (!high || !low || (*high << 4 | *low) != sum_) return {Kind::BadChecksum, {}};
  if (too_long_) return {Kind::TooLong, {}};
  return {Kind::Packet, std::move(payload)};
}

std::string frame_packet(std::string_view payload) {
  std::string frame = "$";
  for (const char c : payload) {
    if (c == '$' || c == '#' || c == '*' || c == kEscape) {
      frame.push_back(kEscape);
      frame.push_back(static_cast<char>(c ^ kEscapeFlip));
    } else {
      frame.push_back(c);
    }
  }
  const uint8_t sum = checksum(std::string_view(frame).substr(1));
  return frame + fmt::format("#{:02x}", sum);
}

std::optional<std::vector<uint8_t>> unescape(std::string_view data) {
  std::vector<uint8_t> bytes;
  bytes.reserve(data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    if (data[i] != kEscape) {
      bytes.push_back(static_cast<uint8_t>(data[i]));
    } else if (++i < data.size()) {
      bytes.push_back(static_cast<uint8_t>(data[i] ^ kEscapeFlip));
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string digits;
  digits.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    digits.push_back(kDigits[byte >> 4]);
    digits.push_back(kDigits[byte & 15]);
  }
  return digits;
}

std::string to_hex(std::string_view text) {
  return to_hex(std::vector<uint8_t>(text.begin(), text.end()));
}

std::optional<std::vector<uint8_t>> from_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const auto high = digit_value(static_cast<uint8_t>(digits[i]));
    const auto low = digit_value(static_cast<uint8_t>(digits[i + 1]));
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(*high << 4 | *low));
  }
  return bytes;
}

std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t number = 0;
  size_t used = 0;
  for (; used < text.size(); ++used) {
    const auto digit = digit_value(static_cast<uint8_t>(text[used]));
    if (!digit) break;
    if (number >> 60 != 0) return std::nullopt;
    number = number << 4 | *digit;
  }
  if (used == 0) return std::nullopt;
  text.remove_prefix(used);
  return number;
}

bool take_character(std::string_view& text, char character) {
  if (text.empty() || text.front() != character) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view take_until(std::string_view& text, char separator) {
  const size_t position = text.find(separator);
  const std::string_view part = text.substr(0, position);
  text.remove_prefix(position == std::string_view::npos ? text.size() : position + 1);
  return part;
}

}  // namespace vitrine::debug

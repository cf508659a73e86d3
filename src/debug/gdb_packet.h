// The frames of gdb's remote serial protocol, and the hexadecimal digits inside. Knows no packet's meaning.
// Debugging with GDB, "Overview" of the remote protocol: $payload#checksum, answered by + or -; }x stands for
// the byte x ^ 20h in binary data; a byte 03h between packets is an interrupt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::debug {

/// The number in an error reply. gdb shows it and gives it no meaning; these are the usual errno values.
enum class GdbError : uint8_t {
  NotPermitted = 1,
  NoSuchThread = 3,
  TooLong = 7,
  BadAddress = 14,
  Invalid = 22,
  NoSpace = 28,
};

struct PacketEvent {
  enum class Kind : uint8_t {
    Packet,       ///< `payload` as it came, escapes included; the checksum was right.
    Interrupt,    ///< 03h
    SendAgain,    ///< -
    BadChecksum,  ///< A packet came, but not unharmed.
    TooLong,      ///< A packet came that was longer than allowed; its contents are gone.
  };
  Kind kind = Kind::Packet;
  std::string payload;
};

/// Finds the packets in a stream of bytes. Takes any bytes at all, and keeps no more than one packet.
class PacketReader {
 public:
  explicit PacketReader(size_t max_payload) : max_payload_(max_payload) {}

  /// The next event; takes what it has used from the front of `data`. nullopt: all is used, and more is
  /// needed.
  [[nodiscard]] std::optional<PacketEvent> next(std::span<const uint8_t>& data);
  /// Forgets a packet of which only a part has come.
  void reset();

 private:
  enum class State : uint8_t { Between, Payload, FirstDigit, SecondDigit };
  [[nodiscard]] std::optional<PacketEvent> take(uint8_t byte);
  [[nodiscard]] PacketEvent finish(uint8_t second_digit);
  void start_packet();

  size_t max_payload_;
  State state_ = State::Between;
  std::string payload_;
  bool too_long_ = false;
  uint8_t sum_ = 0;
  uint8_t first_digit_ = 0;
};

/// The whole frame; bytes that would disturb it are escaped.
[[nodiscard]] std::string frame_packet(std::string_view payload);
/// Binary data with its escapes resolved; nullopt: ends in the middle of one.
[[nodiscard]] std::optional<std::vector<uint8_t>> unescape(std::string_view data);

[[nodiscard]] std::string to_hex(std::span<const uint8_t> bytes);
[[nodiscard]] std::string to_hex(std::string_view text);
/// nullopt: an odd number of digits, or something else between them.
[[nodiscard]] std::optional<std::vector<uint8_t>> from_hex(std::string_view digits);

/// Takes a hexadecimal number from the front of `text`. nullopt: none there, or more than 64 bits of it.
[[nodiscard]] std::optional<uint64_t> take_number(std::string_view& text);
/// Takes `character` from the front of `text`; false if something else is there.
[[nodiscard]] bool take_character(std::string_view& text, char character);
/// Takes what comes before `separator`, and the separator, or all if there is none.
[[nodiscard]] std::string_view take_until(std::string_view& text, char separator);

}  // namespace vitrine::debug

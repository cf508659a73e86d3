// What a capability lets its holder do. A set of rights only ever narrows: there is no operation here that
// adds one. docs/capabilities.md says which of them the kernel enforces, and how.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vitrine::capability {

/// What a capability names.
enum class Kind : uint8_t { File, Directory, Process, Socket, SharedMemory, Service };

[[nodiscard]] std::string_view name_of(Kind kind);

/// The values go over the wire (message.h): never renumber them.
enum class Right : uint32_t {
  Read = 1u << 0,      ///< File, shared memory: its contents. Directory: of the files beneath.
  Write = 1u << 1,     ///< Also to truncate a file, and to append.
  Append = 1u << 2,    ///< File: to write at its end only.
  Execute = 1u << 3,   ///< File: to start it as a program.
  Resize = 1u << 4,    ///< Shared memory: another size.
  Lookup = 1u << 5,    ///< Directory: to open what lies beneath it.
  List = 1u << 6,      ///< Directory: the names in it.
  Create = 1u << 7,    ///< Directory: new files and directories.
  Remove = 1u << 8,    ///< Directory: to unlink what lies beneath.
  Handle = 1u << 9,    ///< Directory: its descriptor may be handed out, with which one can also go upwards.
  Signal = 1u << 10,   ///< Process.
  Wait = 1u << 11,     ///< Process: for its end, and how it ended.
  Inspect = 1u << 12,  ///< Process: its number, and whether it runs.
  Send = 1u << 13,     ///< Socket.
  Receive = 1u << 14,  ///< Socket.
  Accept = 1u << 15,   ///< Listening socket: its connections.
  Call = 1u << 16,     ///< Service: to make requests.
};

/// A set of rights.
class Rights {
 public:
  constexpr Rights() = default;
  constexpr Rights(Right right) : bits_(static_cast<uint32_t>(right)) {}  // NOLINT: one right is a set

  [[nodiscard]] static constexpr Rights from_bits(uint32_t bits) {
    Rights set;
    set.bits_ = bits;
    return set;
  }
  [[nodiscard]] constexpr uint32_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool has(Right right) const { return (bits_ & static_cast<uint32_t>(right)) != 0; }
  [[nodiscard]] constexpr bool covers(Rights other) const { return (other.bits_ & ~bits_) == 0; }
  [[nodiscard]] constexpr Rights without(Rights other) const { return from_bits(bits_ & ~other.bits_); }

  friend constexpr Rights operator|(Rights a, Rights b) { return from_bits(a.bits_ | b.bits_); }
  friend constexpr Rights operator&(Rights a, Rights b) { return from_bits(a.bits_ & b.bits_); }
  friend constexpr bool operator==(Rights a, Rights b) = default;

 private:
  uint32_t bits_ = 0;
};

constexpr Rights operator|(Right a, Right b) {
  return Rights(a) | Rights(b);
}

/// All rights that mean something for this kind of object.
[[nodiscard]] constexpr Rights rights_of(Kind kind) {
  using enum Right;
  switch (kind) {
    case Kind::File: return Read | Write | Append | Execute;
    case Kind::Directory: return Read | Write | Execute | Lookup | List | Create | Remove | Handle;
    case Kind::Process: return Signal | Wait | Inspect;
    case Kind::Socket: return Send | Receive | Accept;
    case Kind::SharedMemory: return Read | Write | Resize;
    case Kind::Service: return Call;
  }
  return {};
}

/// With what is meant as well: whoever may write a file may write at its end.
[[nodiscard]] constexpr Rights with_implied(Kind kind, Rights rights) {
  return kind == Kind::File && rights.has(Right::Write) ? rights | Right::Append : rights;
}

struct RightName {
  Right right;
  std::string_view name;
  std::string_view help;
};
/// One row a right, in the order of their values.
[[nodiscard]] std::span<const RightName> right_names();

/// "read,write"; "none" for the empty set.
[[nodiscard]] std::string to_string(Rights rights);
/// What to_string() makes. Error: names the word that is no right.
[[nodiscard]] Result<Rights> parse_rights(std::string_view text);

}  // namespace vitrine::capability

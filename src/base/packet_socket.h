// Packets between two of our own processes, over a SOCK_SEQPACKET socket (unix(7)), each with a descriptor or
// without. Async-signal-safe: also for the child of a clone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "base/descriptor.h"

namespace vitrine {

/// One packet, with a descriptor unless that is -1. False: errno says why. `flags` of send(2).
[[nodiscard]] bool send_packet(int socket, std::string_view packet, int descriptor, int flags);

struct Received {
  ssize_t size = -1;    ///< 0: the other end is closed. -1: errno says why there is nothing.
  bool excess = false;  ///< It was longer, or had more descriptors, than there was room for.
  Descriptor descriptor = {};
};
enum class Attached : uint8_t { None, MayBeOne };
/// The next packet. What is attached beyond `attached` the kernel closes.
[[nodiscard]] Received receive_packet(int socket, std::span<char> buffer, Attached attached, int flags);

}  // namespace vitrine

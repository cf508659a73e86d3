// How a message with capabilities looks on the wire: a header that says what each attached descriptor is and
// which rights it is meant to carry, then the payload. Both ends are on one machine: native byte order.
//
//   0   magic       4 bytes  "VCAP"
//   4   version     2 bytes
//   6   count       2 bytes  of capabilities, 0 to kMaximumCapabilities
//   8   count times: kind 4 bytes, rights 4 bytes
//   …   payload     0 to kMaximumPayload bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "capability/rights.h"

namespace vitrine::capability {

constexpr size_t kMaximumCapabilities = 16;
constexpr size_t kMaximumPayload = size_t{32} << 10;
constexpr size_t kMaximumMessage = 8 + 8 * kMaximumCapabilities + kMaximumPayload;

struct Label {
  Kind kind;
  Rights rights;
};

struct DecodedMessage {
  std::vector<Label> labels;
  std::string_view payload;  ///< Within the bytes that were decoded.
};

/// `labels` and `payload` within the limits.
[[nodiscard]] std::string encode_message(std::span<const Label> labels, std::string_view payload);
/// Error: these bytes are no message. Nothing is believed that the bytes do not hold.
[[nodiscard]] Result<DecodedMessage> decode_message(std::string_view bytes);

}  // namespace vitrine::capability

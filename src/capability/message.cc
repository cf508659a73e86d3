#include "capability/message.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"

namespace vitrine::capability {
namespace {

constexpr uint32_t kMagic = 0x50414356;  // "VCAP"
constexpr uint16_t kVersion = 1;
constexpr uint32_t kKinds = static_cast<uint32_t>(Kind::Service) + 1;

struct WireHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t count;
};
struct WireLabel {
  uint32_t kind;
  uint32_t rights;
};
static_assert(sizeof(WireHeader) == 8 && sizeof(WireLabel) == 8);

template <typename T>
void append(std::string& bytes, const T& value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.append(raw, sizeof raw);
}

template <typename T>
bool take(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return true;
}

Error malformed(std::string detail) {
  return Error{"not a message with capabilities:", std::move(detail)};
}

Result<Label> take_label(std::string_view& rest) {
  WireLabel label{};
  if (!take(rest, label)) return std::unexpected(malformed("it ends within its header"));
  if (label.kind >= kKinds) return std::unexpected(malformed(fmt::format("there is no kind {}", label.kind)));
  const auto kind = static_cast<Kind>(label.kind);
  const Rights rights = Rights::from_bits(label.rights);
  if (rights_of(kind).covers(rights)) return Label{kind, rights};
  return std::unexpected(malformed(
      fmt::format("a {} has no rights {:#x}", name_of(kind), rights.without(rights_of(kind)).bits())));
}

}  // namespace

std::string encode_message(std::span<const Label> labels, std::string_view payload) {
  CHECK(labels.size() <= kMaximumCapabilities && payload.size() <= kMaximumPayload);
  std::string bytes;
  append(bytes, WireHeader{kMagic, kVersion, static_cast<uint16_t>(labels.size())});
  for (const Label& label : labels)
    append(bytes, WireLabel{static_cast<uint32_t>(label.kind), label.rights.bits()});
  bytes += payload;
  return bytes;
}

Result<DecodedMessage> decode_message(std::string_view bytes) {
  WireHeader header{};
  if (!take(bytes, header)) return std::unexpected(malformed("it is too short"));
  if (header.magic != kMagic) return std::unexpected(malformed("it does not begin like one"));
  if (header.version != kVersion)
    return std::unexpected(malformed(fmt::format("its version is {}, not {}", header.version, kVersion)));
  if (header.count > kMaximumCapabilities)
    return std::unexpected(malformed(
        fmt::format("{} capabilities, at most {} are allowed", header.count, kMaximumCapabilities)));
  DecodedMessage message;
  for (unsigned i = 0; i < header.count; ++i) message.labels.push_back(TRY(take_label(bytes)));
  if (bytes.size() > kMaximumPayload) return std::unexpected(malformed("it is too long"));
  message.payload = bytes;
  return message;
}

}  // namespace vitrine::capability

#include "cli/machine_channel.h"

#include <algorithm>
#include <cstring>

namespace vitrine::cli {
namespace {

constexpr uint32_t kRequestMagic = 0x51524d56;  // "VMRQ"
constexpr uint32_t kAnswerMagic = 0x4e414d56;   // "VMAN"

void put(std::string& packet, uint32_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  packet.append(bytes, sizeof bytes);
}

/// Takes numbers off the front; after one that is not there nothing is.
class Reader {
 public:
  explicit Reader(std::string_view packet) : rest_(packet) {}

  uint32_t number() {
    uint32_t value = 0;
    if (rest_.size() < sizeof value) {
      rest_ = {};
      complete_ = false;
      return 0;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool complete_ = true;
};

Error malformed() {
  return Error{"a packet is malformed", ""};
}

}  // namespace

std::string encode(const MachineRequest& request) {
  std::string packet;
  put(packet, kRequestMagic);
  put(packet, static_cast<uint32_t>(request.kind));
  put(packet, static_cast<uint32_t>(request.contents));
  put(packet, static_cast<uint32_t>(request.path.size()));
  return packet + request.path;
}

std::string encode(const MachineAnswer& answer) {
  std::string packet;
  const std::string_view text = std::string_view(answer.text).substr(0, kLongestText);
  put(packet, kAnswerMagic);
  put(packet, answer.granted ? 1 : 0);
  put(packet, static_cast<uint32_t>(text.size()));
  return packet.append(text);
}

Result<MachineRequest> decode_request(std::string_view packet) {
  Reader reader(packet);
  const uint32_t magic = reader.number(), kind = reader.number(), contents = reader.number(),
                 size = reader.number();
  const std::string_view path = reader.rest();
  if (!reader.complete() || magic != kRequestMagic || size != path.size() || size > kLongestPath)
    return std::unexpected(malformed());
  MachineRequest request{static_cast<MachineRequest::Kind>(kind),
                         static_cast<machine::FileContents>(contents), std::string(path)};
  if (request.kind == MachineRequest::Kind::Ready && contents == 0 && path.empty()) return request;
  const bool known = contents == static_cast<uint32_t>(machine::FileContents::Picture) ||
                     contents == static_cast<uint32_t>(machine::FileContents::Memory);
  if (request.kind != MachineRequest::Kind::CreateFile || !known || path.empty() ||
      path.find('\0') != std::string_view::npos) {
    return std::unexpected(malformed());
  }
  return request;
}

Result<MachineAnswer> decode_answer(std::string_view packet) {
  Reader reader(packet);
  const uint32_t magic = reader.number(), granted = reader.number(), size = reader.number();
  if (!reader.complete() || magic != kAnswerMagic || granted > 1 || size != reader.rest().size())
    return std::unexpected(malformed());
  return MachineAnswer{granted == 1, std::string(reader.rest())};
}

}  // namespace vitrine::cli

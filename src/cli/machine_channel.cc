#include "cli/machine_channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
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

bool send_packet(int socket, std::string_view packet, int descriptor, int flags) {
  iovec part{const_cast<char*>(packet.data()), packet.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(packet.size());
}

Received receive_packet(int socket, std::span<char> buffer, Attached attached, int flags) {
  iovec part{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (attached == Attached::MayBeOne) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  Received received;
  do {
    received.size = ::recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  } while (received.size < 0 && errno == EINTR);
  if (received.size < 0) return received;
  received.excess = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  // CMSG_SPACE rounds up, so that two could fit: the second is closed here.
  for (; rights != nullptr; rights = CMSG_NXTHDR(&header, const_cast<cmsghdr*>(rights))) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= rights->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(rights) + at, sizeof number);
      Descriptor owned(number);
      received.excess |= received.descriptor.valid();
      if (!received.descriptor) received.descriptor = std::move(owned);
    }
  }
  return received;
}

}  // namespace vitrine::cli

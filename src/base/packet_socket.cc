#include "base/packet_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace vitrine {

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

}  // namespace vitrine

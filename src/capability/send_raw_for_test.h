// What a peer that keeps to no rules sends over a socket.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <string>
#include <vector>

namespace vitrine::capability {

/// Sends bytes and descriptors as they are. False: errno says why; with a full socket it does not wait.
[[nodiscard]] inline bool send_raw(int socket, std::string bytes, const std::vector<int>& descriptors) {
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(item), descriptors.data(), descriptors.size() * sizeof(int));
  }
  return ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

}  // namespace vitrine::capability

#include "sandbox/denied_call.h"

#include <sys/ioctl.h>

namespace vitrine::sandbox {

std::optional<seccomp_notif> take_denied_call(int listener) {
  // The kernel's structures may be longer than those of our headers (seccomp_unotify(2),
  // SECCOMP_GET_NOTIF_SIZES).
  union {
    seccomp_notif call;
    char space[512];
  } request{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request.call) != 0) return std::nullopt;
  return request.call;
}

}  // namespace vitrine::sandbox

#include "sandbox/patience.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace vitrine::sandbox {

Patience::Patience(std::chrono::milliseconds most) : looks_left_(std::max<long>(1, most / kLook)) {}

bool Patience::wait_for_end_of(int descriptor) {
  while (looks_left_ > 0) {
    pollfd waiting{descriptor, 0, 0};  // poll(2): POLLHUP is told unasked.
    const int ready = ::poll(&waiting, 1, static_cast<int>(kLook.count()));
    if (ready > 0) return true;
    if (ready == 0) --looks_left_;
    if (ready < 0 && errno != EINTR) return false;
  }
  errno = ETIMEDOUT;
  return false;
}

}  // namespace vitrine::sandbox

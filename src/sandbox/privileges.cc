#include "sandbox/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include "sandbox/kernel_calls.h"

namespace vitrine::sandbox {

bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return ::syscall(SYS_capset, &header, data) == 0;
}

void drop_bounding_set() {
  // Who may not drop any (a user without a namespace) has none to gain, either.
  for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
}

bool close_others(const int* kept, size_t count) {
  unsigned first = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto descriptor = static_cast<unsigned>(kept[i]);
    if (descriptor > first && close_range(first, descriptor - 1) != 0) return false;
    first = descriptor + 1;
  }
  return close_range(first, ~0U) == 0;
}

}  // namespace vitrine::sandbox

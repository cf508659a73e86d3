// Steps by which a process gives up what it was born with. Async-signal-safe: for the child of a clone, and
// for a process that confines itself.
#pragma once

#include <cstddef>

namespace vitrine::sandbox {

/// All of the calling thread's capabilities. False: errno says why.
[[nodiscard]] bool drop_capabilities();
/// So that not even a set-user-ID root program would have any (no_new_privs makes that certain).
void drop_bounding_set();
/// Closes all descriptors but those listed, which are sorted. False: errno says why.
[[nodiscard]] bool close_others(const int* kept, size_t count);

}  // namespace vitrine::sandbox

// Attacks that only a machine process can try: on its supervisor, by its own descriptors, on its own code. As
// those of tests/box/attack.c: 0 if it worked, 10 if the kernel refused it, 11 if there is nothing of the
// kind here.
#pragma once

#include <span>

namespace vitrine::tests {

/// One of them, or one of tests/box/attack.c, by name; 99: there is none.
[[nodiscard]] int attack(std::span<char*> words);

}  // namespace vitrine::tests

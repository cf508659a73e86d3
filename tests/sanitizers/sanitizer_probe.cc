// Does what a sanitizer must notice, so that scripts/check-sanitizers can tell a build in which nothing is
// wrong from one in which nobody looks.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <thread>

int main(int count, char** arguments) {
  const std::string_view fault = count == 2 ? arguments[1] : "";
  auto* volatile memory = static_cast<volatile int*>(std::malloc(sizeof(int)));
  if (memory == nullptr) return 1;
  if (fault == "overflow") memory[1] = 1;
  if (fault == "undefined") {
    volatile int number = std::numeric_limits<int>::max();
    number = number + count;
  }
  if (fault == "race") {
    int shared = 0;
    std::thread other([&shared] { ++shared; });
    ++shared;
    other.join();
  }
  if (fault != "leak") std::free(const_cast<int*>(memory));
  memory = nullptr;
  std::puts("nothing was noticed");
  return 0;
}

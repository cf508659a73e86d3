// expect: memory limit
#include <vector>
int main() {
  std::vector<long> numbers(1'000'000'000);
  return static_cast<int>(numbers[5]);
}

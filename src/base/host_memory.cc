#include "base/host_memory.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

namespace vitrine {

// Linux, Documentation/mm/overcommit-accounting.rst.
std::optional<uint64_t> memory_left_to_promise(const std::string& proc) {
  constexpr int kNever = 2;
  int policy = 0;
  std::ifstream(proc + "/sys/vm/overcommit_memory") >> policy;
  if (policy != kNever) return std::nullopt;
  uint64_t limit = 0, used = 0;
  std::ifstream file(proc + "/meminfo");
  for (std::string line; std::getline(file, line);) {
    const auto kilobytes = [&] { return std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10); };
    if (line.starts_with("CommitLimit:")) limit = kilobytes() << 10;
    if (line.starts_with("Committed_AS:")) used = kilobytes() << 10;
  }
  return limit > used ? limit - used : 0;
}

Result<void> memory_can_be_promised(uint64_t size, const std::string& proc) {
  const std::optional<uint64_t> left = memory_left_to_promise(proc);
  if (!left || size <= *left) return {};
  return std::unexpected(Error{
      "-m: more memory than the host promises with vm.overcommit_memory=2:", fmt::format("{}M", size >> 20),
      0,
      fmt::format("it promises {}M more; a smaller -m, more swap space or a higher vm.overcommit_ratio helps",
                  *left >> 20)});
}

}  // namespace vitrine

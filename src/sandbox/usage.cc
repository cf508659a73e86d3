#include "sandbox/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"

namespace vitrine::sandbox {
namespace {

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::string text;
  char part[4096];
  for (ssize_t size; (size = ::read(file.get(), part, sizeof part)) > 0;)
    text.append(part, static_cast<size_t>(size));
  return text;
}

/// Children are listed by the thread that made them.
std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  const std::unique_ptr<DIR, decltype([](DIR* stream) { ::closedir(stream); })> directory(
      ::opendir(tasks.c_str()));
  if (!directory) return children;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const std::string text = read_file(fmt::format("{}/{}/children", tasks, entry->d_name));
    for (const char* position = text.data(); position < text.data() + text.size();) {
      pid_t child = 0;
      const auto [end, error] = std::from_chars(position, text.data() + text.size(), child);
      if (error == std::errc()) children.push_back(child);
      position = end + 1;
    }
  }
  return children;
}

/// proc_pid_stat(5): fields 14 to 17 are utime, stime, cutime, cstime; field 24 is rss in pages. The name in
/// parentheses may contain anything.
void add_process(pid_t pid, TreeUsage& usage) {
  const std::string text = read_file(fmt::format("/proc/{}/stat", pid));
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return;
  uint64_t ticks = 0, pages = 0;
  unsigned field = 2;
  for (size_t position = name_end + 1; position < text.size() && field < 24;) {
    position = text.find_first_not_of(' ', position);
    if (position == std::string::npos) break;
    const size_t end = std::min(text.find(' ', position), text.size());
    ++field;
    uint64_t value = 0;
    std::from_chars(text.data() + position, text.data() + end, value);
    if (field >= 14 && field <= 17) ticks += value;
    if (field == 24) pages = value;
    position = end;
  }
  static const auto ticks_per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  static const auto page_size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  usage.processor_time += std::chrono::nanoseconds(ticks * 1'000'000'000 / ticks_per_second);
  usage.memory += pages * page_size;
  ++usage.processes;
}

}  // namespace

TreeUsage measure_descendants(pid_t root) {
  TreeUsage usage;
  std::vector<pid_t> waiting = children_of(root);
  // A tree that grows while it is read: bounded.
  constexpr unsigned kMost = 10'000;
  while (!waiting.empty() && usage.processes < kMost) {
    const pid_t pid = waiting.back();
    waiting.pop_back();
    add_process(pid, usage);
    const std::vector<pid_t> children = children_of(pid);
    waiting.insert(waiting.end(), children.begin(), children.end());
  }
  return usage;
}

uint64_t private_memory(const Descriptor& status) {
  char text[4096];
  const ssize_t size = ::pread(status.get(), text, sizeof text, 0);
  const std::string_view all(text, size > 0 ? static_cast<size_t>(size) : 0);
  uint64_t kibibytes = 0;
  for (const std::string_view name : {"\nRssAnon:", "\nVmSwap:", "\nVmPTE:"}) {
    size_t at = all.find(name);
    if (at == std::string_view::npos) continue;
    at = std::min(all.find_first_not_of(" \t", at + name.size()), all.size());
    uint64_t value = 0;
    std::from_chars(all.data() + at, all.data() + all.size(), value);
    kibibytes += value;
  }
  return kibibytes * 1024;
}

uint64_t count_tasks(uid_t user) {
  uint64_t count = 0;
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    struct stat status {};
    const std::string name = process.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (::stat(process.path().c_str(), &status) != 0 || status.st_uid != user) continue;
    const std::filesystem::directory_iterator threads(process.path() / "task", error);
    if (!error) count += static_cast<uint64_t>(std::distance(begin(threads), end(threads)));
  }
  return count;
}

}  // namespace vitrine::sandbox

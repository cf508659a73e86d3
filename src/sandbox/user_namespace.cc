#include "sandbox/user_namespace.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

namespace vitrine::sandbox {
namespace {

/// A short text, put together without memory from the heap.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    std::memcpy(text_ + size_, text.data(), text.size());
    size_ += text.size();
    text_[size_] = '\0';
    return *this;
  }
  Line& operator<<(unsigned number) {
    size_ = static_cast<size_t>(std::to_chars(text_ + size_, text_ + sizeof text_, number).ptr - text_);
    text_[size_] = '\0';
    return *this;
  }
  [[nodiscard]] const char* text() const { return text_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  char text_[64] = {};
  size_t size_ = 0;
};

bool write_file(const Line& path, const Line& contents) {
  const int file = ::open(path.text(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written =
      ::write(file, contents.text(), contents.size()) == static_cast<ssize_t>(contents.size());
  ::close(file);
  return written;
}

Line proc_path(int pid, std::string_view name) {
  return Line() << "/proc/" << static_cast<unsigned>(pid) << "/" << name;
}

}  // namespace

bool write_id_maps(int pid, unsigned inside_user, unsigned outside_user, unsigned inside_group,
                   unsigned outside_group) {
  // user_namespaces(7): without privileges the group map can be written only after setgroups is denied.
  return write_file(proc_path(pid, "setgroups"), Line() << "deny") &&
         write_file(proc_path(pid, "uid_map"), Line() << inside_user << " " << outside_user << " 1\n") &&
         write_file(proc_path(pid, "gid_map"), Line() << inside_group << " " << outside_group << " 1\n");
}

int open_user_namespace(int pid) {
  return ::open(proc_path(pid, "ns/user").text(), O_RDONLY | O_CLOEXEC);
}

}  // namespace vitrine::sandbox

// The program `vitrine`, and under its second name `vitrine-box`: the box itself, linked statically and
// without the machine, so that it has started before the machine would be loaded. For judges, who start
// thousands. All other commands are those of `vitrine-system-i386`, which lies beside it.

#include <fmt/format.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"

namespace {

/// With the slash at its end. Without /proc: of the path that this program was executed by.
std::string own_directory() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  // SAFETY: getauxval(3): the address of a string that lives as long as the process.
  const std::string_view own = size > 0 ? std::string_view(path, static_cast<size_t>(size))
                                        : reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  return std::string(own.substr(0, own.rfind('/') + 1));
}

int become_system(char** argv) {
  const std::string path = own_directory() + "vitrine-system-i386";
  ::execv(path.c_str(), argv);
  fmt::print(stderr, "vitrine: {}\n",
             vitrine::error_from_errno("cannot start", path, "it belongs beside this program").message());
  return vitrine::cli::kFailure;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv, argv + argc);
  const std::string_view path = arguments.empty() ? "" : arguments[0];
  if (path.substr(path.rfind('/') + 1) == "vitrine-box")
    return vitrine::cli::box_command(std::span(arguments).subspan(1));
  if (arguments.size() > 1 && arguments[1] == "box")
    return vitrine::cli::box_command(std::span(arguments).subspan(2));
  return become_system(argv);
}

// The program `vitrine-system-i386`: all commands, and under its own name QEMU's arguments: see commands.h.

#include <string_view>
#include <vector>

#include "cli/commands.h"

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv, argv + argc);
  return vitrine::cli::dispatch(arguments);
}

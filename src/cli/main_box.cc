// The program `vitrine-box`: `vitrine box` by itself, linked statically and without the machine, so that it
// has started before the other is loaded. For judges, who start thousands.

#include <string_view>
#include <vector>

#include "cli/commands.h"

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return vitrine::cli::box_command(arguments);
}

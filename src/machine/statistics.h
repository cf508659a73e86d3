// What native execution cost, as a table for people: `--stats`.
#pragma once

#include <string>

#include "machine/processors.h"

namespace vitrine::machine {

/// One section for each vCPU; empty when all is interpreted.
[[nodiscard]] std::string describe_statistics(const Processors& processors);

}  // namespace vitrine::machine

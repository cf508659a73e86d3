// What starting a program needs besides its own file: the interpreter of a script, the loader of a
// dynamically linked program. Found before any child exists, so that nothing is granted without being listed.
#pragma once

#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace vitrine::sandbox {

struct ProgramFile {
  std::string path;                    ///< Of the file that is executed, without symbolic links.
  Descriptor file;                     ///< That file, for execveat.
  std::string loader;                  ///< Of a dynamically linked program; empty: statically linked.
  std::string script;                  ///< The program was a script: its path. `path` is the interpreter.
  std::vector<std::string> arguments;  ///< With the interpreter's in front of a script's.
};

/// `arguments[0]` is the program: a path, or a name that is looked for in `search_path` ("/usr/bin:/bin").
[[nodiscard]] Result<ProgramFile> find_program(const std::vector<std::string>& arguments,
                                               const std::string& search_path);

}  // namespace vitrine::sandbox

#include "sandbox/program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

namespace vitrine::sandbox {
namespace {

constexpr unsigned kMostInterpreters = 4;  // A script's interpreter may be a script; Linux goes four deep.

Result<std::string> search(const std::string& name, const std::string& search_path) {
  if (name.empty()) return std::unexpected(Error{"no program was named", ""});
  if (name.find('/') != std::string::npos) return name;
  std::istringstream directories(search_path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string path = directory + "/" + name;
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0)
      return path;
  }
  return std::unexpected(Error{"there is no program", name, 0,
                               fmt::format("looked in {}; a path with a / is taken as it is", search_path)});
}

Result<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> resolved(::realpath(path.c_str(), nullptr), ::free);
  if (!resolved) return std::unexpected(error_from_errno("cannot start the program", path));
  return std::string(resolved.get());
}

/// The path in PT_INTERP; empty: there is none.
Result<std::string> read_loader(int file, const std::string& path) {
  Elf64_Ehdr header{};
  const ssize_t got = ::pread(file, &header, sizeof header, 0);
  if (got < static_cast<ssize_t>(sizeof header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return std::unexpected(Error{"neither a program for this processor nor a script:", path});
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return std::unexpected(Error{"not a 64-bit x86 program:", path, 0,
                                 "32-bit programs enter the kernel by calls that no policy allows"});
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    const auto offset = static_cast<off_t>(header.e_phoff + uint64_t{i} * header.e_phentsize);
    if (::pread(file, &segment, sizeof segment, offset) != sizeof segment) {
      return std::unexpected(Error{"the program is damaged:", path});
    }
    if (segment.p_type != PT_INTERP) continue;
    std::string loader(std::min<uint64_t>(segment.p_filesz, PATH_MAX), '\0');
    if (::pread(file, loader.data(), loader.size(), static_cast<off_t>(segment.p_offset)) !=
        static_cast<ssize_t>(loader.size())) {
      return std::unexpected(Error{"the program is damaged:", path});
    }
    loader.resize(std::strlen(loader.c_str()));
    return loader;
  }
  return std::string();
}

/// The words of "#!interpreter argument": execve(2) splits off one argument, not more.
std::vector<std::string> read_interpreter(int file) {
  char start[256] = {};
  const ssize_t size = ::pread(file, start, sizeof start - 1, 0);
  if (size < 3 || start[0] != '#' || start[1] != '!') return {};
  std::string line(start + 2);
  line = line.substr(0, line.find('\n'));
  const auto trim = [](std::string text) {
    const size_t first = text.find_first_not_of(" \t");
    if (first == std::string::npos) return std::string();
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
  };
  line = trim(line);
  const size_t gap = line.find_first_of(" \t");
  std::vector<std::string> words;
  if (!line.empty()) words.push_back(line.substr(0, gap));
  if (gap != std::string::npos) words.push_back(trim(line.substr(gap)));
  return words;
}

Result<Descriptor> open_program(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return std::unexpected(error_from_errno("cannot start the program", path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(error_from_errno("cannot start the program", path));
  if (!S_ISREG(status.st_mode))
    return std::unexpected(Error{"not a program:", path, 0, "it is no ordinary file"});
  if (::access(path.c_str(), X_OK) != 0) {
    return std::unexpected(
        error_from_errno("cannot start the program", path, "chmod +x makes a file a program"));
  }
  return file;
}

}  // namespace

Result<ProgramFile> find_program(const std::vector<std::string>& arguments, const std::string& search_path) {
  if (arguments.empty()) return std::unexpected(Error{"no program was named", ""});
  ProgramFile program;
  program.arguments = arguments;
  const std::string named = TRY(search(arguments[0], search_path));
  program.path = TRY(real_path(named));
  for (unsigned depth = 0; depth <= kMostInterpreters; ++depth) {
    program.file = TRY(open_program(program.path));
    const std::vector<std::string> interpreter = read_interpreter(program.file.get());
    if (interpreter.empty()) {
      program.loader = TRY(read_loader(program.file.get(), program.path));
      return program;
    }
    if (program.script.empty()) program.script = program.path;
    // The script's own path takes the place of its name.
    program.arguments[0] = program.path;
    program.arguments.insert(program.arguments.begin(), interpreter.begin(), interpreter.end());
    program.path = TRY(real_path(interpreter[0]));
  }
  return std::unexpected(Error{"too many interpreters call each other:", arguments[0]});
}

}  // namespace vitrine::sandbox

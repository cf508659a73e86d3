// count-file PROGRAM DIRECTORY FILE: has a program read a file beneath a directory. The program is in a box
// and gets the file as its standard input, as a capability to read it; neither the file's name nor the
// directory is anything that it could use.
#include <unistd.h>
#include <vitrine/capability/directory.h>
#include <vitrine/sandbox/child.h>

#include <cstdio>

namespace {

using namespace vitrine;

Result<int> count(const char* program, const char* directory_name, const char* file_name) {
  using enum capability::Right;
  const auto directory = capability::open_directory(directory_name, Lookup | Read);
  if (!directory) return std::unexpected(directory.error());
  const auto file = capability::open_beneath(*directory, {.path = file_name, .rights = Read});
  if (!file) return std::unexpected(file.error());

  auto child = sandbox::Child::spawn(
      sandbox::Policy::compute_only(),
      {.arguments = {program}, .descriptors = {{0, file->descriptor()}, {1, STDOUT_FILENO}}});
  if (!child) return std::unexpected(child.error());
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  return outcome->end == sandbox::Outcome::End::Exited ? outcome->status : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: count-file PROGRAM DIRECTORY FILE\n");
    return 2;
  }
  const auto status = count(argv[1], argv[2], argv[3]);
  if (status) return *status;
  std::fprintf(stderr, "count-file: %s\n", status.error().message().c_str());
  return 1;
}

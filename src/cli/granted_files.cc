#include "cli/granted_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "capability/directory.h"

namespace vitrine::cli {
namespace {

using capability::Creation;
using capability::Right;
using capability::Symlinks;
using machine::FileContents;

/// So many by one machine: more is no use that a person makes of the monitor.
constexpr size_t kMostFiles = 100'000;

constexpr capability::Rights kDirectoryRights = Right::Lookup | Right::Create | Right::Read | Right::Write;

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string real_path(const std::string& path) {
  char buffer[PATH_MAX];
  return ::realpath(path.c_str(), buffer) != nullptr ? std::string(buffer) : path;
}

/// What of `path` lies beneath `directory`; nothing: it lies elsewhere.
std::string_view beneath(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.substr(1);
  if (!path.starts_with(directory) || path.size() <= directory.size() + 1) return {};
  return path[directory.size()] == '/' ? path.substr(directory.size() + 1) : std::string_view();
}

/// The path without empty and "." components. Empty: it has one that is hidden or "..".
std::string plain(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::string_view component = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(component.size() + 1, path.size()));
    if (component.empty() || component == ".") continue;
    if (component.starts_with('.')) return {};
    if (!result.empty()) result += '/';
    result += component;
  }
  return result;
}

/// PNG (ISO/IEC 15948, "PNG signature") and binary PPM.
bool is_picture(int file) {
  std::array<char, 8> start{};
  const ssize_t size = ::pread(file, start.data(), start.size(), 0);
  const std::string_view text(start.data(), size > 0 ? static_cast<size_t>(size) : 0);
  return text == "\x89PNG\r\n\x1a\n" || text.starts_with("P6\n") || text.starts_with("P6 ");
}

}  // namespace

Result<GrantedFiles> GrantedFiles::create(std::span<const std::string> more) {
  GrantedFiles files;
  const char* temporary = std::getenv("TMPDIR");
  // The user may start a machine where these are not to be had; what he names must be.
  for (const char* directory : {"", temporary != nullptr && *temporary == '/' ? temporary : "/tmp"}) {
    if (const auto added = files.add(directory); !added) continue;
  }
  for (const std::string& directory : more) TRY(files.add(directory));
  return files;
}

Result<void> GrantedFiles::add(const std::string& directory) {
  auto opened = capability::open_directory(directory.empty() ? "." : directory, kDirectoryRights);
  if (!opened) return std::unexpected(opened.error());
  directories_.push_back({without_trailing_slashes(directory), real_path(directory.empty() ? "." : directory),
                          *std::move(opened)});
  return {};
}

Error GrantedFiles::refusal(std::string_view path, std::string_view why) const {
  std::string names;
  for (const Directory& each : directories_)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each.real);
  return Error{"the sandbox does not let the monitor create", std::string(path), 0,
               fmt::format("{}; it may beneath {}; --files DIR adds a directory, --sandbox=off lifts this",
                           why, names)};
}

Result<GrantedFiles::Place> GrantedFiles::find(std::string_view path) const {
  const bool absolute = path.starts_with('/');
  for (const Directory& each : directories_) {
    std::string_view rest = path;
    if (absolute) {
      rest = beneath(path, each.real);
      if (rest.empty() && each.name.starts_with('/')) rest = beneath(path, each.name);
    } else if (!each.name.empty()) {
      continue;
    }
    if (rest.empty()) continue;
    std::string found = plain(rest);
    if (found.empty()) return std::unexpected(refusal(path, "no part of the name may begin with a dot"));
    return Place{&each, std::move(found)};
  }
  return std::unexpected(refusal(path, "it lies elsewhere"));
}

Result<Descriptor> GrantedFiles::create_file(std::string_view path, FileContents contents) {
  const Place place = TRY(find(path));
  if (made_.size() >= kMostFiles)
    return std::unexpected(refusal(path, "this machine has made too many files"));
  auto file = capability::open_beneath(place.directory->capability, {.path = place.path,
                                                                     .rights = Right::Write,
                                                                     .symlinks = Symlinks::Refuse,
                                                                     .creation = Creation::Exclusive,
                                                                     .mode = 0666});
  if (!file && file.error().errno_value == EEXIST) return replace(place, contents);
  if (!file)
    return std::unexpected(Error{"cannot create the file", std::string(path), file.error().errno_value});
  struct stat status {};
  if (::fstat(file->descriptor(), &status) == 0) made_.emplace(status.st_dev, status.st_ino);
  return (*std::move(file)).release();
}

Result<Descriptor> GrantedFiles::replace(const Place& place, FileContents contents) {
  auto file = capability::open_beneath(
      place.directory->capability,
      {.path = place.path, .rights = Right::Read | Right::Write, .symlinks = Symlinks::Refuse});
  if (!file) return std::unexpected(refusal(place.path, file.error().message()));
  struct stat status {};
  if (::fstat(file->descriptor(), &status) != 0)
    return std::unexpected(error_from_errno("cannot examine", place.path));
  const bool own = status.st_uid == ::geteuid() && status.st_nlink == 1;
  const bool known = made_.contains({status.st_dev, status.st_ino}) || status.st_size == 0 ||
                     (contents == FileContents::Picture && is_picture(file->descriptor()));
  if (!own || !known) {
    return std::unexpected(refusal(place.path, contents == FileContents::Picture
                                                   ? "the file is there already and no picture"
                                                   : "the file is there already and not of this machine"));
  }
  if (::ftruncate(file->descriptor(), 0) != 0)
    return std::unexpected(error_from_errno("cannot empty the file", place.path));
  return (*std::move(file)).release();
}

}  // namespace vitrine::cli

#include "capability/rights.h"

#include <fmt/format.h>

#include <algorithm>

namespace vitrine::capability {
namespace {

using enum Right;

constexpr RightName kNames[] = {
    {Read, "read", "read the contents; of a directory: of the files beneath"},
    {Write, "write", "write and truncate"},
    {Append, "append", "write at the end of a file"},
    {Execute, "execute", "start as a program"},
    {Resize, "resize", "give shared memory another size"},
    {Lookup, "lookup", "open what lies beneath a directory"},
    {List, "list", "read the names in a directory"},
    {Create, "create", "make files and directories"},
    {Remove, "remove", "unlink files and directories"},
    {Handle, "handle", "be given the directory's own descriptor"},
    {Signal, "signal", "send signals to a process"},
    {Wait, "wait", "wait for the end of a process"},
    {Inspect, "inspect", "ask for a process's number, and whether it runs"},
    {Send, "send", "send on a socket"},
    {Receive, "receive", "receive on a socket"},
    {Accept, "accept", "accept connections"},
    {Call, "call", "make requests to a service"},
};

consteval bool names_are_complete() {
  uint32_t expected = 1;
  for (const RightName& row : kNames) {
    if (static_cast<uint32_t>(row.right) != expected) return false;
    expected <<= 1;
  }
  return expected == static_cast<uint32_t>(Call) << 1;
}
static_assert(names_are_complete());

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::File: return "file";
    case Kind::Directory: return "directory";
    case Kind::Process: return "process";
    case Kind::Socket: return "socket";
    case Kind::SharedMemory: return "shared memory";
    case Kind::Service: return "service";
  }
  return "unknown";
}

std::span<const RightName> right_names() {
  return kNames;
}

std::string to_string(Rights rights) {
  std::string text;
  for (const RightName& row : kNames) {
    if (!rights.has(row.right)) continue;
    if (!text.empty()) text += ',';
    text += row.name;
  }
  return text.empty() ? "none" : text;
}

Result<Rights> parse_rights(std::string_view text) {
  Rights rights;
  if (text == "none") return rights;
  while (true) {
    const std::string_view word = text.substr(0, text.find(','));
    const auto row = std::ranges::find(kNames, word, &RightName::name);
    if (row == std::end(kNames)) {
      return std::unexpected(Error{"there is no right", std::string(word), 0,
                                   fmt::format("the rights are {}", to_string(Rights::from_bits(~0u)))});
    }
    rights = rights | row->right;
    if (word.size() == text.size()) return rights;
    text.remove_prefix(word.size() + 1);
  }
}

}  // namespace vitrine::capability

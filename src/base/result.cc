#include "base/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace vitrine {

std::string Error::message() const {
  std::string text = what;
  if (!object.empty()) text += fmt::format(" '{}'", object);
  if (errno_value != 0) text += fmt::format(": {}", std::strerror(errno_value));
  if (!advice.empty()) text += fmt::format(" ({})", advice);
  return text;
}

Error error_from_errno(std::string_view what, std::string_view object, std::string_view advice) {
  const int saved = errno;
  return Error{std::string(what), std::string(object), saved, std::string(advice)};
}

}  // namespace vitrine

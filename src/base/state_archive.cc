#include "base/state_archive.h"

#include <fmt/format.h>

namespace vitrine {

void StateArchive::raw(void* data, size_t size) {
  if (size == 0) return;  // an empty vector's data() may be null, which memcpy does not take
  if (!loading_) {
    const auto* begin = static_cast<const uint8_t*>(data);
    output_.insert(output_.end(), begin, begin + size);
    return;
  }
  if (failure_.empty() && size > input_.size() - position_) failure_ = "it ends too early";
  if (!failure_.empty()) {
    std::memset(data, 0, size);
    return;
  }
  std::memcpy(data, input_.data() + position_, size);
  position_ += size;
}

void StateArchive::section(std::string_view name, uint32_t version) {
  section_ = name;
  uint32_t stored_version = version;
  uint16_t length = static_cast<uint16_t>(name.size());
  field(length);
  std::string stored_name(length, '\0');
  if (!loading_) stored_name = name;
  if (loading_ && length != name.size()) return reject("another part was expected here");
  raw(stored_name.data(), stored_name.size());
  field(stored_version);
  if (stored_name != name) reject("another part was expected here");
  if (stored_version != version) reject("its layout is of another version");
}

void StateArchive::blob(std::vector<uint8_t>& data, size_t limit) {
  uint64_t size = data.size();
  field(size);
  if (loading_) {
    if (size > limit) {
      reject("a block is larger than possible");
      size = 0;
    }
    data.assign(size, 0);
  }
  raw(data.data(), data.size());
}

void StateArchive::timer(Timer& timer) {
  bool armed = timer.armed();
  Nanoseconds deadline = armed ? timer.deadline() : 0;
  fields(armed, deadline);
  if (!loading_) return;
  if (armed) {
    timer.arm(deadline);
  } else {
    timer.cancel();
  }
}

void StateArchive::reject(std::string_view what) {
  if (failure_.empty()) failure_ = what;
}

Result<void> StateArchive::status() const {
  if (failure_.empty()) return {};
  return std::unexpected(
      Error{fmt::format("the saved state is damaged or of another version: {}", failure_), section_});
}

}  // namespace vitrine

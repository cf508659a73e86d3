#include "sandbox/policy.h"

#include <utility>

namespace vitrine::sandbox {

Policy& Policy::read(std::string path) {
  paths_.push_back({std::move(path), PathRights::Read, false, {}});
  return *this;
}

Policy& Policy::read_and_write(std::string path) {
  paths_.push_back({std::move(path), PathRights::ReadWrite, false, {}});
  return *this;
}

Policy& Policy::directory(int descriptor, std::string place, PathRights rights) {
  paths_.push_back({std::move(place), rights, false, "", descriptor});
  return *this;
}

Policy& Policy::temporary_files(uint64_t bytes) {
  temporary_bytes_ = bytes;
  return *this;
}

Policy& Policy::system_libraries(bool granted) {
  system_libraries_ = granted;
  return *this;
}

Policy& Policy::allow(MayStartPrograms) {
  start_programs_ = true;
  return *this;
}

Policy& Policy::allow(MayMapExecutableMemory) {
  map_executable_ = true;
  return *this;
}

Policy& Policy::allow(MayUseLoopback) {
  loopback_ = true;
  return *this;
}

Policy& Policy::allow(MayLack lack) {
  lacks_.insert(lack.guarantee);
  return *this;
}

Policy& Policy::require(Guarantee guarantee) {
  required_.insert(guarantee);
  return *this;
}

Policy& Policy::limit(const Limits& limits) {
  limits_ = limits;
  return *this;
}

Policy& Policy::on_violation(OnViolation action) {
  on_violation_ = action;
  return *this;
}

Policy& Policy::record_paths() {
  record_paths_ = true;
  return *this;
}

}  // namespace vitrine::sandbox

#include "sandbox/outcome.h"

namespace vitrine::sandbox {

std::string_view limit_name(LimitKind limit) {
  switch (limit) {
    case LimitKind::ProcessorTime: return "cpu-time";
    case LimitKind::WallTime: return "wall-time";
    case LimitKind::Memory: return "memory";
    case LimitKind::Output: return "output";
  }
  return "";
}

}  // namespace vitrine::sandbox

// What the machine process and its supervisor say to each other: one packet each on a SOCK_SEQPACKET socket.
// The supervisor believes nothing of it. Both are one program on one machine: native byte order.
//
//   request   magic, kind, contents, size of the path: 4 bytes each; the path
//   answer    magic, 1 if granted (then a descriptor is attached), size of the text: 4 bytes each; the text
//
// Not capability::Channel: to look at what came takes calls that the machine process has not any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/packet_socket.h"
#include "base/result.h"
#include "machine/file_service.h"

namespace vitrine::cli {

inline constexpr size_t kLongestPath = 4095;  // PATH_MAX without the end
inline constexpr size_t kLongestText = 1023;
inline constexpr size_t kLongestPacket = 4 * sizeof(uint32_t) + kLongestPath;

struct MachineRequest {
  enum class Kind : uint32_t {
    Ready = 1,   ///< The machine is built and confined; the listener for denied calls may be attached.
    CreateFile,  ///< As machine::FileService has it.
  };
  Kind kind = Kind::Ready;
  machine::FileContents contents = machine::FileContents::Picture;
  std::string path;
};

struct MachineAnswer {
  bool granted = false;
  std::string text;  ///< Not granted: why.
};

[[nodiscard]] std::string encode(const MachineRequest& request);
[[nodiscard]] std::string encode(const MachineAnswer& answer);
/// Error: no such packet.
[[nodiscard]] Result<MachineRequest> decode_request(std::string_view packet);
[[nodiscard]] Result<MachineAnswer> decode_answer(std::string_view packet);

}  // namespace vitrine::cli

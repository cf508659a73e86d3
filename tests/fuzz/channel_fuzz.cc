// A hostile peer of a channel: any bytes with any number of descriptors of any kind, several messages one
// after the other. Whatever comes, what is received is what its label says, and no descriptor is left behind.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/check.h"
#include "capability/channel.h"
#include "capability/send_raw_for_test.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

using capability::Capability;

/// Descriptors of all sorts, made once: what a peer might attach.
class Objects {
 public:
  Objects() {
    int pipe_ends[2];
    int sockets[2];
    CHECK(::pipe2(pipe_ends, O_CLOEXEC) == 0);
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    const int all[] = {::open("/dev/null", O_RDONLY | O_CLOEXEC),
                       ::open("/", O_PATH | O_CLOEXEC),
                       ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
                       ::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                       static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)),
                       ::eventfd(0, EFD_CLOEXEC),
                       pipe_ends[0],
                       pipe_ends[1],
                       sockets[0],
                       sockets[1]};
    static_assert(std::size(all) == kCount);
    for (size_t i = 0; i < kCount; ++i) descriptors_[i].reset(all[i]);
  }
  [[nodiscard]] int any(FuzzInput& input) const { return descriptors_[input.below(kCount)].get(); }

 private:
  static constexpr size_t kCount = 10;
  std::array<Descriptor, kCount> descriptors_;
};

/// A header that is right but for what the input changes.
std::string message_from(FuzzInput& input, size_t descriptors) {
  if (input.flag()) {
    const auto raw = input.bytes(300);
    return {raw.begin(), raw.end()};
  }
  std::vector<capability::Label> labels;
  const size_t count = input.below(4) == 0 ? input.below(capability::kMaximumCapabilities + 1)
                                           : std::min(descriptors, capability::kMaximumCapabilities);
  for (size_t i = 0; i < count; ++i)
    labels.push_back(
        {static_cast<capability::Kind>(input.below(8)), capability::Rights::from_bits(input.value())});
  const auto payload = input.bytes(input.byte());
  return capability::encode_message(labels, {reinterpret_cast<const char*>(payload.data()), payload.size()});
}

void check_received(const capability::Message& message) {
  for (const Capability& each : message.capabilities) {
    CHECK(capability::rights_of(each.kind()).covers(each.rights()));
    const auto actual = capability::kind_of(each.descriptor());
    CHECK(actual && (*actual == each.kind() || each.kind() == capability::Kind::Service));
    const auto allowed = capability::allowed_by_kernel(each.kind(), each.descriptor());
    CHECK(allowed && allowed->covers(each.rights()));
  }
}

/// The lowest number that is free: the same before and after, if nothing was left open.
int lowest_free() {
  return Descriptor(::fcntl(0, F_DUPFD_CLOEXEC, 0)).get();
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all = {{}, {0, 0, 0, 1, 0}, {1, 0, 0, 1, 1, 1, 1, 1}, {17, 0, 1, 2, 3}};
  for (uint64_t i = 0; i < 12; ++i) all.push_back(noise(i, 64));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  static const fuzz::Objects objects;
  fuzz::FuzzInput input(data, size);
  auto ends = capability::Channel::pair();
  CHECK(ends.has_value());
  const int before = fuzz::lowest_free();
  for (int i = 0; i < 8 && !input.empty(); ++i) {
    std::vector<int> descriptors(input.below(20));
    for (int& each : descriptors) each = objects.any(input);
    if (!capability::send_raw(ends->first.descriptor(), fuzz::message_from(input, descriptors.size()),
                              descriptors))
      continue;
    const auto received = ends->second.receive();
    if (received && *received) fuzz::check_received(**received);
  }
  CHECK(fuzz::lowest_free() == before, "a descriptor was left open");
  return 0;
}

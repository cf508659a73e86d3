// The token service against hostile clients: requests of all sorts by several users, well-formed ones with
// tokens that exist and bytes that are none, with and without objects. Whatever is asked, nobody gets more
// rights than his token has, nobody but the owner and root mints or lists, and replies can be read.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <variant>
#include <vector>

#include "base/check.h"
#include "capability/directory.h"
#include "capability/token_broker.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/fuzz_target.h"

namespace vitrine::fuzz {
namespace {

using namespace capability;

constexpr uid_t kOwner = 1000;
constexpr uid_t kUsers[] = {kOwner, 0, 1001, 1002, 65534};

/// What users have been told.
struct Known {
  std::vector<Issued> tokens;
  std::vector<Rights> rights;
};

Token any_token(FuzzInput& input, const Known& known) {
  if (!known.tokens.empty() && input.below(4) != 0) return input.any_of(known.tokens).token;
  Token::Bytes bytes{};
  for (uint8_t& byte : bytes) byte = input.byte();
  return Token(bytes);
}

std::string text(FuzzInput& input) {
  static const std::string kPaths[] = {
      "", "bin", "../etc/passwd", "/etc/passwd", "etc/hostname", "proc/self/root"};
  if (input.flag()) return input.any_of(kPaths);
  const auto bytes = input.bytes(input.byte());
  return {bytes.begin(), bytes.end()};
}

std::optional<Time> lifetime(FuzzInput& input) {
  if (input.flag()) return std::nullopt;
  return Time(input.flag() ? int64_t{input.byte()} : INT64_MAX - input.byte());
}

TokenRequest any_request(FuzzInput& input, const Known& known) {
  switch (input.below(5)) {
    case 0: return MintRequest{text(input), lifetime(input)};
    case 1: return NarrowRequest{any_token(input, known), Rights::from_bits(input.value()), lifetime(input)};
    case 2: {
      const Token token = any_token(input, known);
      const auto rights = input.flag() ? std::optional(Rights::from_bits(input.value())) : std::nullopt;
      return RedeemRequest{token, rights, text(input)};
    }
    case 3: return ListRequest{input.byte()};
    default:
      if (input.flag()) return RevokeRequest{any_token(input, known)};
      return RevokeRequest{TokenNumber{input.byte()}};
  }
}

/// A few objects, opened once.
std::optional<Capability> any_object(FuzzInput& input) {
  static const Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  static const Descriptor root(::open("/", O_PATH | O_CLOEXEC));
  const uint32_t choice = input.below(4);
  if (choice == 0) return std::nullopt;
  const Kind kind = choice == 1 ? Kind::Directory : Kind::File;
  Descriptor copy(::fcntl(choice == 1 ? root.get() : null.get(), F_DUPFD_CLOEXEC, 3));
  auto adopted = Capability::adopt(kind, std::move(copy), Rights::from_bits(input.value()) & rights_of(kind));
  if (!adopted) return std::nullopt;
  return *std::move(adopted);
}

void check_answer(const TokenBroker::Answer& answer, const TokenRequest& request, uid_t user, Known& known) {
  const auto reply = decode_token_reply(answer.payload);
  CHECK(reply.has_value());
  const bool refused = std::holds_alternative<Error>(*reply);
  const bool administrator = user == kOwner || user == 0;
  const bool mints_or_lists =
      std::holds_alternative<MintRequest>(request) || std::holds_alternative<ListRequest>(request);
  CHECK(refused || administrator || !mints_or_lists);
  CHECK(!answer.capability || std::holds_alternative<RedeemedReply>(*reply));
  if (const auto* issued = std::get_if<IssuedReply>(&*reply)) known.tokens.push_back(issued->issued);
  const auto* redeem = std::get_if<RedeemRequest>(&request);
  if (!answer.capability || redeem == nullptr) return;
  if (redeem->rights)
    CHECK(with_implied(answer.capability->kind(), *redeem->rights).covers(answer.capability->rights()));
  CHECK(answer.capability->kind() == Kind::Directory || answer.capability->kernel_enforced());
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> all = {{}, {0, 0, 0, 1, 0, 1}, {1, 0, 0, 1, 1, 1, 1, 1}};
  for (uint64_t i = 0; i < 16; ++i) all.push_back(noise(i, 200));
  return all;
}

}  // namespace vitrine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vitrine;
  using namespace vitrine::capability;
  fuzz::FuzzInput input(data, size);
  BrokerLimits limits;
  limits.requests = limits.failures = {1000, 0};
  limits.tokens = {.tokens = 20, .of_user = 10, .objects = 5, .depth = 3};
  auto broker = TokenBroker::create(
      fuzz::kOwner,
      [](std::string_view line) {
        CHECK(line.find('\n') == line.npos);
        return true;
      },
      limits);
  CHECK(broker.has_value());
  fuzz::Known known;
  Time now(1000);
  for (int i = 0; i < 60 && !input.empty(); ++i) {
    now += Time(input.byte() / 8);
    const Peer peer{1, input.any_of(fuzz::kUsers), 1};
    const TokenRequest request = fuzz::any_request(input, known);
    Message message;
    message.payload = encode(request);
    if (auto object = fuzz::any_object(input)) message.capabilities.push_back(*std::move(object));
    if (input.below(8) == 0 && !message.payload.empty()) {
      message.payload[input.below(static_cast<uint32_t>(message.payload.size()))] ^=
          static_cast<char>(input.byte());
      const auto again = decode_token_request(message.payload);
      const auto answer = broker->answer(std::move(message), peer, now);
      CHECK(decode_token_reply(answer.payload).has_value());
      if (again) CHECK(decode_token_request(encode(*again)).has_value());
      continue;
    }
    fuzz::check_answer(broker->answer(std::move(message), peer, now), request, peer.user, known);
    CHECK(broker->table().size() <= limits.tokens.tokens);
  }
  (void)decode_token_reply({reinterpret_cast<const char*>(data), size});
  return 0;
}

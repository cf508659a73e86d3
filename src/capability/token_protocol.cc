// A message is a byte that says which it is, and its fields in the order of their declaration: numbers in
// native order, texts with a length of two bytes before them, what may be absent with a byte 0 or 1.
#include "capability/token_protocol.h"

#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

namespace vitrine::capability {
namespace {

class Writer {
 public:
  template <typename T>
  requires std::is_integral_v<T>
  void put(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof raw);
  }
  void put(std::string_view text, size_t most) {
    text = text.substr(0, most);
    put(static_cast<uint16_t>(text.size()));
    bytes_ += text;
  }
  void put(const Token& token) {
    for (const uint8_t byte : token.bytes()) put(byte);
  }
  void put(std::optional<Time> time) {
    put(static_cast<uint8_t>(time ? 1 : 0));
    if (time) put(static_cast<int64_t>(time->count()));
  }
  void put(std::optional<Rights> rights) {
    put(static_cast<uint8_t>(rights ? 1 : 0));
    if (rights) put(rights->bits());
  }
  void put(const TokenRecord& record) {
    put(record.number);
    put(record.parent);
    put(uint32_t{record.depth});
    put(static_cast<uint8_t>(record.kind));
    put(record.rights.bits());
    put(uint32_t{record.owner});
    put(record.name, kMaximumTokenName);
    put(record.expires);
    put(record.redeemed);
  }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what Writer wrote. After the first thing that is missing or wrong everything is zero and good()
/// false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  requires std::is_integral_v<T> T take() {
    T value{};
    if (rest_.size() < sizeof value) {
      fail();
    } else {
      std::array<char, sizeof(T)> raw{};
      rest_.copy(raw.data(), raw.size());
      value = std::bit_cast<T>(raw);
      rest_.remove_prefix(sizeof value);
    }
    return value;
  }
  std::string text(size_t most) {
    const size_t size = take<uint16_t>();
    if (size > most || size > rest_.size()) {
      fail();
      return {};
    }
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  Token token() {
    Token::Bytes bytes{};
    for (uint8_t& byte : bytes) byte = take<uint8_t>();
    return Token(bytes);
  }
  bool flag() {
    const auto value = take<uint8_t>();
    if (value > 1) fail();
    return value == 1;
  }
  std::optional<Time> time() {
    if (!flag()) return std::nullopt;
    const auto count = take<int64_t>();
    if (count < 0) fail();
    return Time(count);
  }
  Rights rights() { return Rights::from_bits(take<uint32_t>()); }
  std::optional<Rights> optional_rights() {
    if (!flag()) return std::nullopt;
    return rights();
  }
  Kind kind() {
    const auto value = take<uint8_t>();
    if (value > static_cast<uint8_t>(Kind::Service)) fail();
    return good_ ? static_cast<Kind>(value) : Kind::File;
  }
  TokenRecord record() {
    TokenRecord record;
    record.number = take<uint64_t>();
    record.parent = take<uint64_t>();
    record.depth = take<uint32_t>();
    record.kind = kind();
    record.rights = rights();
    record.owner = take<uint32_t>();
    record.name = text(kMaximumTokenName);
    record.expires = time();
    record.redeemed = take<uint64_t>();
    return record;
  }
  void fail() {
    good_ = false;
    rest_ = {};
  }
  /// Everything was there, and nothing is left.
  [[nodiscard]] bool complete() const { return good_ && rest_.empty(); }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void write(Writer& writer, const MintRequest& request) {
  writer.put(request.name, kMaximumTokenName);
  writer.put(request.lifetime);
}
void write(Writer& writer, const NarrowRequest& request) {
  writer.put(request.token);
  writer.put(request.rights);
  writer.put(request.lifetime);
}
void write(Writer& writer, const RedeemRequest& request) {
  writer.put(request.token);
  writer.put(request.rights);
  writer.put(request.path, kMaximumTokenPath);
}
void write(Writer& writer, const ListRequest& request) {
  writer.put(request.after);
}
void write(Writer& writer, const RevokeRequest& request) {
  writer.put(static_cast<uint8_t>(request.which.index()));
  std::visit([&](const auto& which) { writer.put(which); }, request.which);
}
void write(Writer& writer, const Error& error) {
  writer.put(error.what, kMaximumTokenPath);
  writer.put(error.object, kMaximumTokenPath);
  writer.put(int32_t{error.errno_value});
  writer.put(error.advice, kMaximumTokenPath);
}
void write(Writer& writer, const IssuedReply& reply) {
  writer.put(reply.issued.token);
  writer.put(reply.issued.number);
}
void write(Writer& writer, const RedeemedReply& reply) {
  writer.put(reply.number);
}
void write(Writer& writer, const ListReply& reply) {
  writer.put(static_cast<int64_t>(reply.now.count()));
  writer.put(static_cast<uint16_t>(reply.records.size()));
  for (const TokenRecord& record : reply.records) writer.put(record);
}
void write(Writer& writer, const RevokedReply& reply) {
  writer.put(reply.count);
}

template <typename Variant>
std::string encode_variant(const Variant& message) {
  Writer writer;
  writer.put(static_cast<uint8_t>(message.index()));
  std::visit([&](const auto& each) { write(writer, each); }, message);
  return writer.take();
}

std::optional<TokenRequest> read_request(Reader& reader) {
  switch (reader.take<uint8_t>()) {
    case 0: {
      std::string name = reader.text(kMaximumTokenName);
      return MintRequest{std::move(name), reader.time()};
    }
    case 1: {
      const Token token = reader.token();
      const auto rights = reader.optional_rights();
      return NarrowRequest{token, rights, reader.time()};
    }
    case 2: {
      const Token token = reader.token();
      const auto rights = reader.optional_rights();
      return RedeemRequest{token, rights, reader.text(kMaximumTokenPath)};
    }
    case 3: return ListRequest{reader.take<uint64_t>()};
    case 4:
      if (reader.flag()) return RevokeRequest{reader.take<uint64_t>()};
      return RevokeRequest{reader.token()};
    default: return std::nullopt;
  }
}

std::optional<TokenReply> read_reply(Reader& reader) {
  switch (reader.take<uint8_t>()) {
    case 0: {
      Error error;
      error.what = reader.text(kMaximumTokenPath);
      error.object = reader.text(kMaximumTokenPath);
      error.errno_value = reader.take<int32_t>();
      error.advice = reader.text(kMaximumTokenPath);
      return error;
    }
    case 1: {
      const Token token = reader.token();
      return IssuedReply{{token, reader.take<uint64_t>()}};
    }
    case 2: return RedeemedReply{reader.take<uint64_t>()};
    case 3: {
      ListReply reply;
      reply.now = Time(reader.take<int64_t>());
      const size_t count = reader.take<uint16_t>();
      for (size_t i = 0; i < count && reader.good(); ++i) reply.records.push_back(reader.record());
      return reply;
    }
    case 4: return RevokedReply{reader.take<uint64_t>()};
    default: return std::nullopt;
  }
}

}  // namespace

std::string encode(const TokenRequest& request) {
  return encode_variant(request);
}

std::string encode(const TokenReply& reply) {
  return encode_variant(reply);
}

Result<TokenRequest> decode_token_request(std::string_view bytes) {
  Reader reader(bytes);
  auto request = read_request(reader);
  if (request && reader.complete()) return *std::move(request);
  return std::unexpected(Error{"not a request to a token service", ""});
}

Result<TokenReply> decode_token_reply(std::string_view bytes) {
  Reader reader(bytes);
  auto reply = read_reply(reader);
  if (reply && reader.complete()) return *std::move(reply);
  return std::unexpected(Error{"not a reply of a token service", ""});
}

}  // namespace vitrine::capability

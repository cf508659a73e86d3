#include "capability/token_table.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <set>
#include <utility>

namespace vitrine::capability {
namespace {

Error limit_reached(std::string_view what, size_t limit) {
  return Error{"no more tokens can be made", "", 0,
               fmt::format("{} are at their limit of {}: revoke some", what, limit)};
}

/// Whether what is handed out for these rights will allow no more than they say. Tried, not assumed.
Result<void> check_enforceable(const Capability& object, Rights rights) {
  if (object.kind() == Kind::Directory && !rights.has(Right::Handle)) return {};
  const Capability handed_out = TRY(object.narrowed(rights));
  // With the bare descriptor of a directory its holder has whatever his user has: that is what Handle says.
  if (handed_out.kernel_enforced() || object.kind() == Kind::Directory) return {};
  return std::unexpected(Error{
      fmt::format("a token for '{}' of this {} would give more", to_string(rights), name_of(object.kind())),
      "", 0,
      fmt::format("the kernel cannot take away from its descriptor: {}", to_string(handed_out.excess()))});
}

std::optional<Time> end_of(std::optional<Time> lifetime, Time now, std::optional<Time> limit) {
  if (!lifetime) return limit;
  const Time end = *lifetime > Time::max() - now ? Time::max() : now + *lifetime;
  return limit ? std::min(end, *limit) : end;
}

}  // namespace

Result<TokenTable> TokenTable::create(const TokenLimits& limits) {
  SipHashKey key{};
  if (::getrandom(key.data(), sizeof key, 0) != static_cast<ssize_t>(sizeof key))
    return std::unexpected(error_from_errno("cannot get random bits for a table of tokens", ""));
  return TokenTable(limits, key);
}

std::vector<TokenNumber>& TokenTable::bucket_of(const Token& token) {
  return buckets_[siphash(key_, token.bytes()) % kBuckets];
}

Result<void> TokenTable::check_limits(uid_t owner, bool new_object) const {
  if (entries_.size() >= limits_.tokens) return std::unexpected(limit_reached("all tokens", limits_.tokens));
  size_t of_user = 0;
  std::set<const Capability*> objects;
  for (const auto& [number, entry] : entries_) {
    of_user += entry.record.owner == owner ? 1 : 0;
    objects.insert(entry.object.get());
  }
  if (of_user >= limits_.of_user)
    return std::unexpected(limit_reached(fmt::format("the tokens of user {}", owner), limits_.of_user));
  if (new_object && objects.size() >= limits_.objects)
    return std::unexpected(limit_reached("the objects", limits_.objects));
  return {};
}

Result<Issued> TokenTable::add(TokenRecord record, std::shared_ptr<const Capability> object) {
  const Token token = TRY(Token::random());
  const TokenNumber number = next_++;
  record.number = number;
  bucket_of(token).push_back(number);
  entries_.emplace(number, Entry{token, std::move(record), std::move(object)});
  return Issued{token, number};
}

Result<Issued> TokenTable::mint(Capability object, uid_t owner, std::string name,
                                std::optional<Time> lifetime, Time now) {
  if (auto checked = check_limits(owner, true); !checked) return std::unexpected(checked.error());
  if (auto checked = check_enforceable(object, object.rights()); !checked)
    return std::unexpected(checked.error());
  TokenRecord record;
  record.kind = object.kind();
  record.rights = object.rights();
  record.owner = owner;
  record.name = std::move(name);
  record.expires = end_of(lifetime, now, std::nullopt);
  return add(std::move(record), std::make_shared<const Capability>(std::move(object)));
}

Result<Issued> TokenTable::narrow(const Token& token, std::optional<Rights> wanted, uid_t owner,
                                  std::optional<Time> lifetime, Time now) {
  const Found parent = TRY(find(token, now));
  const Rights rights = with_implied(parent.record->kind, wanted.value_or(parent.record->rights));
  if (!parent.record->rights.covers(rights)) {
    return std::unexpected(Error{"the token has not the rights",
                                 to_string(rights.without(parent.record->rights)), 0,
                                 fmt::format("it has {}", to_string(parent.record->rights))});
  }
  if (parent.record->depth >= limits_.depth)
    return std::unexpected(limit_reached("generations", limits_.depth));
  if (auto checked = check_limits(owner, false); !checked) return std::unexpected(checked.error());
  if (auto checked = check_enforceable(*parent.object, rights); !checked)
    return std::unexpected(checked.error());
  TokenRecord record = *parent.record;
  record.parent = record.number;
  record.depth += 1;
  record.rights = rights;
  record.owner = owner;
  record.expires = end_of(lifetime, now, record.expires);
  record.redeemed = 0;
  return add(std::move(record), entries_.at(parent.record->number).object);
}

Result<TokenTable::Found> TokenTable::find(const Token& token, Time now) {
  Entry* found = nullptr;
  for (const TokenNumber number : bucket_of(token)) {
    Entry& entry = entries_.at(number);
    if (entry.token.matches(token)) found = &entry;
  }
  if (found != nullptr && (!found->record.expires || now < *found->record.expires))
    return Found{&found->record, found->object.get()};
  return std::unexpected(
      Error{"there is no such token", "", 0, "it may have been revoked, or its time is over"});
}

const TokenRecord* TokenTable::find(TokenNumber number) const {
  const auto at = entries_.find(number);
  return at == entries_.end() ? nullptr : &at->second.record;
}

void TokenTable::erase(TokenNumber number) {
  const auto at = entries_.find(number);
  std::erase(bucket_of(at->second.token), number);
  entries_.erase(at);
}

size_t TokenTable::revoke(TokenNumber number) {
  if (!entries_.contains(number)) return 0;
  // A token is younger than what it was narrowed from: one pass in the order of the numbers finds them all.
  std::set<TokenNumber> gone = {number};
  for (const auto& [each, entry] : entries_) {
    if (gone.contains(entry.record.parent)) gone.insert(each);
  }
  for (const TokenNumber each : gone) erase(each);
  return gone.size();
}

size_t TokenTable::expire(Time now) {
  // What was narrowed from a token does not outlive it (end_of).
  std::vector<TokenNumber> over;
  for (const auto& [number, entry] : entries_) {
    if (entry.record.expires && now >= *entry.record.expires) over.push_back(number);
  }
  for (const TokenNumber number : over) erase(number);
  return over.size();
}

std::vector<TokenRecord> TokenTable::list(TokenNumber after, size_t most) const {
  std::vector<TokenRecord> records;
  for (auto at = entries_.upper_bound(after); at != entries_.end() && records.size() < most; ++at)
    records.push_back(at->second.record);
  return records;
}

}  // namespace vitrine::capability

#include "machine/monitor_expression.h"

#include <cctype>
#include <charconv>
#include <string>

namespace vitrine::machine {
namespace {

/// A recursive-descent parser; depth is bounded, because expressions come from whoever reaches the monitor.
class Parser {
 public:
  Parser(std::string_view text, const RegisterLookup& registers) : text_(text), registers_(registers) {}

  Result<uint64_t> binary(unsigned level) {
    if (level == kLevels) return unary();
    uint64_t left = TRY(binary(level + 1));
    while (const auto operation = take_operator(level)) {
      const uint64_t right = TRY(binary(level + 1));
      left = TRY(apply(*operation, left, right));
    }
    return left;
  }
  [[nodiscard]] std::string_view rest() const { return text_; }

 private:
  static constexpr unsigned kLevels = 6;
  static constexpr unsigned kDepthLimit = 64;

  void skip_space() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
  }

  /// One character for each operator of a level; '<' and '>' stand for the shifts.
  std::optional<char> take_operator(unsigned level) {
    static constexpr std::string_view kOperators[kLevels] = {"|", "^", "&", "<>", "+-", "*/%"};
    skip_space();
    if (text_.empty()) return std::nullopt;
    const char operation = text_.front();
    if (kOperators[level].find(operation) == std::string_view::npos) return std::nullopt;
    const bool shift = operation == '<' || operation == '>';
    if (shift && (text_.size() < 2 || text_[1] != operation)) return std::nullopt;
    text_.remove_prefix(shift ? 2 : 1);
    return operation;
  }

  static Result<uint64_t> apply(char operation, uint64_t left, uint64_t right) {
    switch (operation) {
      case '|': return left | right;
      case '^': return left ^ right;
      case '&': return left & right;
      case '<': return right < 64 ? left << right : 0;
      case '>': return right < 64 ? left >> right : 0;
      case '+': return left + right;
      case '-': return left - right;
      case '*': return left * right;
      default: break;
    }
    if (right == 0) return std::unexpected(Error{"division by zero", ""});
    return operation == '/' ? left / right : left % right;
  }

  Result<uint64_t> unary() {
    if (++depth_ > kDepthLimit) return std::unexpected(Error{"the expression is nested too deeply", ""});
    const auto value = unary_inside();
    --depth_;
    return value;
  }

  Result<uint64_t> unary_inside() {
    skip_space();
    if (text_.empty()) return std::unexpected(Error{"an expression is missing", ""});
    const char first = text_.front();
    if (first == '-' || first == '~' || first == '+') {
      text_.remove_prefix(1);
      const uint64_t value = TRY(unary());
      return first == '-' ? -value : first == '~' ? ~value : value;
    }
    if (first == '(') return parenthesis();
    if (first == '$') return register_value();
    return number();
  }

  Result<uint64_t> parenthesis() {
    text_.remove_prefix(1);
    const uint64_t value = TRY(binary(0));
    skip_space();
    if (text_.empty() || text_.front() != ')')
      return std::unexpected(Error{"a closing parenthesis is missing", ""});
    text_.remove_prefix(1);
    return value;
  }

  Result<uint64_t> register_value() {
    size_t length = 1;
    while (length < text_.size() && std::isalnum(static_cast<unsigned char>(text_[length])) != 0) ++length;
    const std::string_view name = text_.substr(1, length - 1);
    const auto value = registers_(name);
    if (!value) return std::unexpected(Error{"there is no register", std::string(name)});
    text_.remove_prefix(length);
    return *value;
  }

  Result<uint64_t> number() {
    int base = 10;
    std::string_view digits = text_;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits.front() == '0') {
      base = 8;
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{}) return std::unexpected(Error{"not a number", std::string(text_)});
    text_ = digits.substr(static_cast<size_t>(end - digits.data()));
    return value;
  }

  std::string_view text_;
  const RegisterLookup& registers_;
  unsigned depth_ = 0;
};

}  // namespace

Result<uint64_t> take_expression(std::string_view& text, const RegisterLookup& registers) {
  Parser parser(text, registers);
  const uint64_t value = TRY(parser.binary(0));
  text = parser.rest();
  return value;
}

Result<uint64_t> evaluate_expression(std::string_view text, const RegisterLookup& registers) {
  const uint64_t value = TRY(take_expression(text, registers));
  if (text.find_first_not_of(' ') != std::string_view::npos) {
    return std::unexpected(Error{"cannot understand", std::string(text)});
  }
  return value;
}

}  // namespace vitrine::machine

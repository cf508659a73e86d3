// Random cases: values that matter more often than others, operands where memory is, encodings of all address
// forms.
#pragma once

#include <random>

#include "differential/forms.h"
#include "differential/test_case.h"

namespace vitrine::differential {

class Generator {
 public:
  Generator(const Forms& forms, uint64_t seed) : forms_(forms), random_(seed) {}

  [[nodiscard]] TestCase make(unsigned form);
  /// Random bytes; only the state around them is made as usual.
  [[nodiscard]] TestCase make_bytes();
  [[nodiscard]] std::vector<uint8_t> make_data();

 private:
  [[nodiscard]] uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  [[nodiscard]] bool chance(uint32_t percent) { return below(100) < percent; }
  [[nodiscard]] uint32_t interesting32();
  [[nodiscard]] std::array<uint8_t, 16> interesting128();
  [[nodiscard]] std::array<uint8_t, 10> interesting80();
  void make_state(TestCase& test);
  void make_unit(MachineState& state);
  void make_window(TestCase& test);
  [[nodiscard]] uint32_t make_target(const TestCase& test);
  void place_pointers(TestCase& test, const Form& form);
  void encode(TestCase& test, const Form& form);
  void encode_memory(TestCase& test, unsigned reg, uint32_t target, std::vector<uint8_t>& bytes,
                     bool address16);
  void encode_vex(const Form& form, std::vector<uint8_t>& bytes);
  void encode_gather(TestCase& test, const Form& form, std::vector<uint8_t>& bytes);
  void adjust(TestCase& test, const Form& form, std::vector<uint8_t>& immediate);

  const Forms& forms_;
  std::mt19937_64 random_;
};

}  // namespace vitrine::differential

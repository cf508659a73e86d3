// Drives a fuzz target without libFuzzer: mutates the seeds, deterministically, until a number of inputs or
// of seconds is reached. It has no coverage to learn from; it is for regular runs and for compilers without
// libFuzzer.
//
// The inputs run in a child process, which leaves the input it is about to try in shared memory. However it
// dies (a signal, a sanitizer, too long over one input), its parent has the input, and writes it to a file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "fuzz/fuzz_target.h"

namespace {

using Clock = std::chrono::steady_clock;
using vitrine::fuzz::Input;

constexpr size_t kLongestInput = size_t{1} << 16;
constexpr size_t kTypicalLength = 4096;
// A slow machine with sanitizers takes milliseconds for an ordinary input.
constexpr std::chrono::seconds kHangAfter{60};

struct Options {
  uint64_t inputs = UINT64_MAX;
  double seconds = 10;
  uint64_t seed = 1;
  std::string write_seeds;         // a directory to put the seeds in, and nothing else
  std::vector<std::string> files;  // to run once each, instead of mutating
};

// What parent and child share. Only the child writes while it lives.
struct Shared {
  uint64_t count;  // inputs begun
  size_t size;
  uint8_t data[kLongestInput];
};

class Mutator {
 public:
  Mutator(uint64_t seed, std::vector<Input> corpus) : random_(seed), corpus_(std::move(corpus)) {
    for (const Input& input : corpus_) limit_ = std::max(limit_, std::min(2 * input.size(), kLongestInput));
  }

  Input next() {
    Input input =
        below(16) == 0 ? vitrine::fuzz::noise(random_(), below(limit_) + 1) : corpus_[below(corpus_.size())];
    for (size_t steps = size_t{1} << below(6); steps > 0; --steps) mutate(input);
    if (input.size() > limit_) input.resize(limit_);
    return input;
  }

 private:
  size_t below(size_t limit) { return static_cast<size_t>(random_() % std::max<size_t>(limit, 1)); }
  uint8_t byte() { return static_cast<uint8_t>(random_()); }
  // Where and how much, within `size`.
  std::pair<size_t, size_t> range(size_t size) {
    const size_t start = below(size);
    return {start, std::min(size - start, 1 + below(below(4) == 0 ? size : 16))};
  }

  void mutate(Input& input) {
    if (input.empty()) input.push_back(byte());
    const size_t at = below(input.size());
    switch (below(9)) {
      case 0: input[at] ^= static_cast<uint8_t>(1u << below(8)); break;
      case 1: input[at] = byte(); break;
      case 2: input[at] = static_cast<uint8_t>(input[at] + below(32) - 16); break;
      case 3: put_number(input, at); break;
      case 4: {
        const auto [start, count] = range(input.size());
        input.erase(input.begin() + static_cast<std::ptrdiff_t>(start),
                    input.begin() + static_cast<std::ptrdiff_t>(start + count));
        break;
      }
      case 5: insert(input, at, vitrine::fuzz::noise(random_(), 1 + below(16))); break;
      case 6: {  // a piece of itself again
        const auto [start, count] = range(input.size());
        insert(input, at,
               Input(input.begin() + static_cast<std::ptrdiff_t>(start),
                     input.begin() + static_cast<std::ptrdiff_t>(start + count)));
        break;
      }
      case 7: {  // a piece of another
        const Input& other = corpus_[below(corpus_.size())];
        if (other.empty()) break;
        const auto [start, count] = range(other.size());
        insert(input, at,
               Input(other.begin() + static_cast<std::ptrdiff_t>(start),
                     other.begin() + static_cast<std::ptrdiff_t>(start + count)));
        break;
      }
      default: input[at] = input[below(input.size())]; break;
    }
  }

  void put_number(Input& input, size_t at) {
    constexpr uint64_t kNumbers[] = {0,
                                     1,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x10000,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0xfffffffffffff000,
                                     UINT64_MAX};
    const uint64_t number = kNumbers[below(std::size(kNumbers))];
    std::memcpy(input.data() + at, &number, std::min(size_t{1} << below(4), input.size() - at));
  }
  void insert(Input& input, size_t at, const Input& piece) {
    if (input.size() + piece.size() > limit_) return;
    input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
  }

  std::mt19937_64 random_;
  std::vector<Input> corpus_;
  size_t limit_ = kTypicalLength;
};

std::optional<Options> parse_options(int count, char** arguments) {
  Options options;
  if (const char* seed = std::getenv("VITRINE_FUZZ_SEED")) options.seed = std::strtoull(seed, nullptr, 0);
  for (int i = 1; i < count; ++i) {
    const std::string_view word = arguments[i];
    if (!word.starts_with("--")) {
      options.files.emplace_back(word);
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    const char* value = arguments[++i];
    if (word == "--inputs") {
      options.inputs = std::strtoull(value, nullptr, 0);
    } else if (word == "--seconds") {
      options.seconds = std::strtod(value, nullptr);
    } else if (word == "--seed") {
      options.seed = std::strtoull(value, nullptr, 0);
    } else if (word == "--write-seeds") {
      options.write_seeds = value;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

Input read_input(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Input input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (input.size() > kLongestInput) input.resize(kLongestInput);
  return input;
}

void write_input(const std::string& path, const uint8_t* data, size_t size) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));  // SAFETY: bytes
}

int write_seeds(const std::string& directory) {
  std::filesystem::create_directories(directory);
  unsigned number = 0;
  for (const Input& input : vitrine::fuzz::seeds()) {
    write_input(directory + "/seed-" + std::to_string(number++), input.data(), input.size());
  }
  return number != 0 ? 0 : 1;
}

void run_one(Shared& shared, const Input& input) {
  shared.size = input.size();
  if (!input.empty()) std::memcpy(shared.data, input.data(), input.size());
  ++shared.count;
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

// The child's work.
void run_inputs(Shared& shared, const Options& options) {
  for (const std::string& file : options.files) run_one(shared, read_input(file));
  if (!options.files.empty()) return;
  std::vector<Input> corpus = vitrine::fuzz::seeds();
  for (const Input& input : corpus) run_one(shared, input);
  Mutator mutator(options.seed, std::move(corpus));
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(options.seconds));
  while (shared.count < options.inputs && Clock::now() < end) run_one(shared, mutator.next());
}

// Waits for the child. A child that gets no further is ended.
int wait_for(pid_t child, const Shared& shared, bool& hung) {
  const volatile uint64_t& count = shared.count;
  uint64_t last = 0;
  auto since = Clock::now();
  for (int status = 0;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) return status;
    if (done < 0) return -1;
    if (count != last) {
      last = count;
      since = Clock::now();
    } else if (!hung && Clock::now() - since > kHangAfter) {
      hung = true;
      ::kill(child, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Options> options = parse_options(count, arguments);
  if (!options) {
    std::fprintf(stderr,
                 "usage: %s [--inputs N] [--seconds S] [--seed N]   mutate the seeds\n"
                 "       %s FILE…                                   run these inputs once\n"
                 "       %s --write-seeds DIRECTORY                 a corpus for libFuzzer\n",
                 arguments[0], arguments[0], arguments[0]);
    return 2;
  }
  if (!options->write_seeds.empty()) return write_seeds(options->write_seeds);

  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  Shared& shared = *static_cast<Shared*>(memory);
  const auto started = Clock::now();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return 2;
  if (child == 0) {
    run_inputs(shared, *options);
    std::exit(0);  // the leak checker has its say
  }
  bool hung = false;
  const int status = wait_for(child, shared, hung);
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  std::printf("%llu inputs in %.1f s, VITRINE_FUZZ_SEED=%llu\n",
              static_cast<unsigned long long>(shared.count), seconds,
              static_cast<unsigned long long>(options->seed));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;

  const std::string name = std::filesystem::path(arguments[0]).filename().string();
  const std::string file =
      name + "-" + std::to_string(options->seed) + "-" + std::to_string(shared.count) + ".input";
  write_input(file, shared.data, shared.size);
  std::fprintf(stderr, "%s: input %llu %s (status %#x). It is in %s: repeat with\n  %s %s\n", name.c_str(),
               static_cast<unsigned long long>(shared.count), hung ? "takes too long" : "failed", status,
               file.c_str(), arguments[0], file.c_str());
  return 1;
}

// What filling and dropping shadow entries costs on this host, in microseconds of processor time: alone,
// while a second thread of this process computes (the host then has to interrupt its processor for
// shoot-downs), and while a second process does. Printed as one table. The guest is made of page tables only;
// nothing executes.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "memory/physical_map.h"
#include "paging/shadow_spaces.h"
#include "x86/control_registers.h"
#include "x86/page_entries.h"

namespace {

using namespace vitrine;
using namespace vitrine::paging;

constexpr uint64_t kRam = 256 << 20;
constexpr uint32_t kDirectory = 0x100000;  // one a MiB apart for each address space
constexpr uint32_t kUserBase = 0x08000000;
constexpr uint32_t kKernelBase = 0xc0000000;
constexpr uint32_t kFrames = 0x04000000;
constexpr uint32_t kUsed =
    x86::kPagePresent | x86::kPageWritable | x86::kPageUser | x86::kPageAccessed | x86::kPageDirty;

class Guest {
 public:
  explicit Guest(ShadowPolicy policy) : ram_(memory::RamBlock::create("ram", kRam).value()) {
    memory_.add(memory::Placement::ram(PhysicalAddress(0), kRam, *ram_, 0));
    for (uint64_t at = 0; at < kRam; at += kPageSize) ram_->data()[at] = 1;
    registers_.cr0 = x86::kCr0Pe | x86::kCr0Pg | x86::kCr0Wp;
    registers_.cr4 = x86::kCr4Pse;
    spaces_ = ShadowSpaces::create(memory_, {.policy = policy}).value();
    load(0);
  }
  void load(uint32_t space) {
    registers_.cr3 = directory(space);
    spaces_->load(registers_);
  }
  // Contiguous runs of `run` pages with one page between them.
  void map(uint32_t space, uint32_t address, uint32_t pages, uint32_t run, uint32_t first_frame = 0) {
    for (uint32_t i = 0; i < pages; ++i, address += kPageSize) {
      const uint32_t table = directory(space) + kPageSize * (1 + (address >> 22) % 64);
      word(directory(space) + (address >> 22) * 4) = table | kUsed;
      const uint32_t frame = first_frame + (run == 1 ? i * 7 % 8192 : i + i / run);
      word(table + (address >> 12 & 1023) * 4) = (kFrames + frame * kPageSize) | kUsed;
    }
  }
  void map_large(uint32_t space, uint32_t address, uint32_t frame) {
    word(directory(space) + (address >> 22) * 4) = frame | kUsed | x86::kPageLarge;
  }
  uint32_t& entry(uint32_t space, uint32_t address) {
    return word(directory(space) + kPageSize * (1 + (address >> 22) % 64) + (address >> 12 & 1023) * 4);
  }
  void fill(uint32_t address, Privilege privilege = Privilege::User) {
    const FillResult result = spaces_->fill(VirtualAddress(address), AccessKind::Write, privilege);
    if (result.outcome != FillOutcome::Filled) {
      fmt::print(stderr, "a fill failed\n");
      std::exit(1);
    }
  }
  ShadowSpaces& spaces() { return *spaces_; }

 private:
  static uint32_t directory(uint32_t space) { return kDirectory * (1 + space); }
  uint32_t& word(uint32_t at) { return *reinterpret_cast<uint32_t*>(ram_->data() + at); }

  std::unique_ptr<memory::RamBlock> ram_;
  memory::PhysicalMap memory_;
  PagingRegisters registers_;
  std::unique_ptr<ShadowSpaces> spaces_;
};

// Processor time of this thread: what else runs on the host does not count, waiting for shoot-downs does.
double processor_time() {
  timespec now{};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double microseconds(const std::function<void()>& work) {
  const double start = processor_time();
  work();
  return processor_time() - start;
}

// The median of some repetitions; `prepare` is not counted.
double median(unsigned divisor, const std::function<void()>& prepare, const std::function<void()>& work) {
  std::array<double, 9> times{};
  for (double& time : times) {
    prepare();
    time = microseconds(work) / divisor;
  }
  std::ranges::nth_element(times, times.begin() + times.size() / 2);
  return times[times.size() / 2];
}

struct Row {
  std::string name;
  std::function<double()> measure;
};

constexpr uint32_t kCount = 1000;

// A row for runs of `run` pages; microseconds a run.
Row fill_row(const char* name, uint32_t run) {
  return {name, [run] {
            Guest guest(ShadowPolicy::OnDemand);
            const uint32_t runs = std::max(8u, std::min(kCount, 8192 / run));
            // Runs of 64 and more begin at multiples of their length and are one page short.
            const uint32_t length = run >= 16 ? run - 1 : run;
            for (uint32_t i = 0; i < runs; ++i) {
              const uint32_t step = run == 1 ? 2 : run;
              guest.map(0, kUserBase + i * step * kPageSize, length, length + 1, run == 1 ? i * 7 : i * run);
            }
            const uint32_t step = run == 1 ? 2 : run;
            const auto empty = [&] { guest.spaces().window(Privilege::User).discard_all(); };
            return median(runs, empty, [&] {
              for (uint32_t i = 0; i < runs; ++i) guest.fill(kUserBase + i * step * kPageSize);
            });
          }};
}

void fill_scattered(Guest& guest) {
  for (uint32_t i = 0; i < kCount; ++i) guest.fill(kUserBase + i * kPageSize);
}

std::vector<Row> rows() {
  std::vector<Row> rows;
  rows.push_back(fill_row("fill 1 page", 1));
  rows.push_back({"fill 1 page that shows another", [] {
                    Guest guest(ShadowPolicy::OnDemand);
                    uint32_t shift = 0;
                    return median(
                        kCount, [&] { guest.map(0, kUserBase, kCount, 1, shift += 13); },
                        [&] { fill_scattered(guest); });
                  }});
  rows.push_back({"fill 1 page whose mapping was kept", [] {
                    Guest guest(ShadowPolicy::OnDemand);
                    guest.map(0, kUserBase, kCount, 1);
                    fill_scattered(guest);
                    return median(
                        kCount, [&] { guest.load(0); }, [&] { fill_scattered(guest); });
                  }});
  rows.push_back(fill_row("fill a run of 16 (15)", 16));
  rows.push_back(fill_row("fill a run of 64 (63)", 64));
  rows.push_back({"fill 256 pages of a 4 MiB page", [] {
                    Guest guest(ShadowPolicy::OnDemand);
                    for (uint32_t i = 0; i < 16; ++i) guest.map_large(0, kUserBase + (i << 22), i << 22);
                    const auto empty = [&] { guest.spaces().window(Privilege::User).discard_all(); };
                    return median(64, empty, [&] {
                      for (uint32_t i = 0; i < 64; ++i) guest.fill(kUserBase + (i << 20));
                    });
                  }});
  rows.push_back({"INVLPG of a changed page", [] {
                    Guest guest(ShadowPolicy::Unsync);
                    const auto prepare = [&] {
                      guest.map(0, kUserBase, kCount, 1);
                      fill_scattered(guest);
                      for (uint32_t i = 0; i < kCount; i += 10) guest.entry(0, kUserBase + i * kPageSize) = 0;
                    };
                    return median(kCount / 10, prepare, [&] {
                      for (uint32_t i = 0; i < kCount; i += 10) {
                        guest.spaces().invalidate_page(VirtualAddress(kUserBase + i * kPageSize));
                      }
                    });
                  }});
  const auto empty_row = [](const char* name, const std::function<void(ShadowWindow&)>& how) {
    return Row{name, [how] {
                 Guest guest(ShadowPolicy::OnDemand);
                 guest.map(0, kUserBase, kCount, 1);
                 ShadowWindow& window = guest.spaces().window(Privilege::User);
                 return median(
                     kCount,
                     [&] {
                       window.discard_all();
                       fill_scattered(guest);
                     },
                     [&] { how(window); });
               }};
  };
  rows.push_back(empty_row("empty a window: mprotect over all, a page",
                           [](ShadowWindow& window) { window.drop(0, ShadowBook::kPages); }));
  rows.push_back(
      empty_row("empty a window: mmap over all, a page", [](ShadowWindow& window) { window.discard_all(); }));
  rows.push_back(empty_row("empty a window: page by page, a page", [](ShadowWindow& window) {
    for (uint32_t i = 0; i < kCount; ++i) window.drop((kUserBase >> kPageShift) + i, 1);
  }));
  rows.push_back({"write-protect 256 pages of 1,000 (fork), a page", [] {
                    Guest guest(ShadowPolicy::Unsync);
                    const auto prepare = [&] {
                      guest.map(0, kUserBase, kCount, 1);
                      fill_scattered(guest);
                      for (uint32_t i = 0; i < 256; ++i) {
                        guest.entry(0, kUserBase + i * kPageSize) &= ~uint32_t{x86::kPageWritable};
                      }
                    };
                    return median(256, prepare, [&] { guest.load(0); });
                  }});
  rows.push_back({"CR3 load, 16 tables unchanged", [] {
                    Guest guest(ShadowPolicy::Unsync);
                    for (uint32_t i = 0; i < 16; ++i) {
                      guest.map(0, kUserBase + (i << 22), 8, 1);
                      guest.fill(kUserBase + (i << 22));
                    }
                    for (uint32_t i = 0; i < 60; ++i) {
                      guest.map_large(0, kKernelBase + (i << 22), i << 22);
                      guest.fill(kKernelBase + (i << 22), Privilege::Supervisor);
                    }
                    return median(
                        100, [] {},
                        [&] {
                          for (int i = 0; i < 100; ++i) guest.load(0);
                        });
                  }});
  rows.push_back({"switch between two processes, 4 tables each", [] {
                    Guest guest(ShadowPolicy::Unsync);
                    for (uint32_t space = 0; space < 2; ++space) {
                      for (uint32_t i = 0; i < 4; ++i)
                        guest.map(space, kUserBase + (i << 22), 8, 1, space * 100);
                      guest.load(space);
                      for (uint32_t i = 0; i < 4; ++i) guest.fill(kUserBase + (i << 22));
                    }
                    return median(
                        100, [] {},
                        [&] {
                          for (uint32_t i = 0; i < 100; ++i) guest.load(i % 2);
                        });
                  }});
  return rows;
}

void compute(const std::atomic<bool>& stop) {
  volatile uint64_t sum = 0;
  while (!stop.load(std::memory_order_relaxed)) sum = sum + 1;
}

double with_thread(const Row& row) {
  std::atomic<bool> stop = false;
  std::thread other([&] { compute(stop); });
  const double result = row.measure();
  stop = true;
  other.join();
  return result;
}

double with_process(const Row& row) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    compute(false);
  }
  const double result = row.measure();
  (void)::kill(child, SIGKILL);
  (void)::waitpid(child, nullptr, 0);
  return result;
}

}  // namespace

int main() {
  fmt::print("{:<50}{:>9}{:>14}{:>15}   (microseconds)\n", "", "alone", "with a thread", "with a process");
  for (const Row& row : rows()) {
    const double alone = row.measure();
    const double thread = with_thread(row);
    const double process = with_process(row);
    fmt::print("{:<50}{:>9.2f}{:>14.2f}{:>15.2f}\n", row.name, alone, thread, process);
    std::fflush(stdout);
  }
  return 0;
}

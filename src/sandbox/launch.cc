#include "sandbox/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/packet_socket.h"
#include "sandbox/kernel_calls.h"
#include "sandbox/patience.h"
#include "sandbox/usage.h"
#include "sandbox/user_namespace.h"

namespace vitrine::sandbox {
namespace {

/// Users that nobody is: as root every box gets one of its own, so that boxes cannot signal each other and
/// RLIMIT_NPROC counts each by itself.
uid_t new_box_user() {
  constexpr uid_t kFirst = 0x60000000;
  constexpr uid_t kCount = 0x10000000;
  uid_t random = 0;
  // Short requests are never cut (getrandom(2)); a number that is taken already would share its limits, no
  // more.
  CHECK(::getrandom(&random, sizeof random, 0) == sizeof random);
  return kFirst + random % kCount;
}

constexpr std::chrono::seconds kSetupPatience{30};

/// Blocks every signal while it lives: a handler of ours must not run in the child.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalBlock() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_{};
};

Result<std::pair<Descriptor, Descriptor>> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return std::unexpected(error_from_errno("cannot make", "a pair of sockets"));
  }
  return std::pair{Descriptor(ends[0]), Descriptor(ends[1])};
}

Result<std::pair<Descriptor, Descriptor>> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(error_from_errno("cannot make", "a pipe"));
  return std::pair{Descriptor(ends[0]), Descriptor(ends[1])};
}

std::string search_path(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) return variable.substr(5);
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  // execve(2) takes pointers to mutable strings and does not change them.
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

bool writes_files(const Policy& policy) {
  return policy.temporary_bytes() || std::ranges::any_of(policy.paths(), [](const PathGrant& grant) {
           return grant.rights == PathRights::ReadWrite;
         });
}

}  // namespace

Launch::Launch(const Policy& policy, const SpawnRequest& request, const HostFeatures& features)
    : policy_(policy), request_(request), features_(features), state_(std::make_unique<Child::State>()) {
  for (const Mechanism mechanism : request.without) features_.remove(mechanism, "switched off for a test");
  // Who is root needs no user namespace: the other namespaces come without, and root becomes another user.
  if (!has(Mechanism::OtherUser) && !has(Mechanism::UserNamespace)) {
    for (const Mechanism mechanism :
         {Mechanism::MountNamespace, Mechanism::PidNamespace, Mechanism::NetworkNamespace,
          Mechanism::IpcNamespace, Mechanism::UtsNamespace, Mechanism::CgroupNamespace,
          Mechanism::TimeNamespace}) {
      if (has(mechanism)) features_.remove(mechanism, "needs root or a user namespace");
    }
  }
  if (!has(Mechanism::PidNamespace) || !has(Mechanism::MountNamespace)) {
    features_.remove(Mechanism::ProcFileSystem, "needs a PID and a mount namespace");
  }
  leave_out_what_is_not_used();
}

void Launch::leave_out_what_is_not_used() {
  const auto unused = [&](Mechanism mechanism, const char* reason) {
    if (has(mechanism)) features_.remove(mechanism, reason);
  };
  const Limits& limits = policy_.limits();
  if (has(Mechanism::OtherUser)) unused(Mechanism::UserNamespace, "not used by root");
  if (has(Mechanism::PidNamespace)) unused(Mechanism::Subreaper, "not used with a PID namespace");
  if (limits.processes == 1) {
    unused(Mechanism::CgroupProcesses, "not used for one process");
    unused(Mechanism::CgroupKill, "not used for one process");
  }
  if (!limits.memory) unused(Mechanism::CgroupMemory, "not used without a limit");
  if (policy_.may_map_executable()) unused(Mechanism::DenyWriteExecute, "the policy allows it");
}

bool Launch::uses_user_namespace() const {
  return !has(Mechanism::OtherUser) && has(Mechanism::UserNamespace);
}

uint32_t Launch::rights() const {
  uint32_t rights = right_bit(Right::Compute);
  const bool dynamic = !program_.loader.empty();
  // Every box has its own file and some devices, and start-up code asks for them. Which paths there are,
  // mounts and Landlock hold; where the host has neither, a program that needs no file can name none.
  if (has(Mechanism::MountNamespace) || has(Mechanism::Landlock) || dynamic || !policy_.paths().empty()) {
    rights |= right_bit(Right::Files);
  }
  if (writes_files(policy_)) rights |= right_bit(Right::ChangeFiles);
  if (dynamic || policy_.may_start_programs()) rights |= right_bit(Right::MapFiles);
  if (policy_.limits().processes > 1) rights |= right_bit(Right::Processes);
  // Without a PID namespace they are ended as one process group, which nobody must leave.
  if (policy_.limits().processes > 1 && has(Mechanism::PidNamespace)) rights |= right_bit(Right::Sessions);
  if (policy_.may_start_programs()) rights |= right_bit(Right::Programs);
  if (policy_.may_map_executable()) rights |= right_bit(Right::ExecutableMemory);
  if (policy_.may_use_loopback()) rights |= right_bit(Right::Loopback);
  // Something else than the filter keeps it from others.
  if (has(Mechanism::PidNamespace) || has(Mechanism::OtherUser) || features_.landlock_abi() >= 6) {
    rights |= right_bit(Right::SignalOthers);
  }
  return rights;
}

Result<void> Launch::prepare() {
  program_ = TRY(find_program(request_.arguments, search_path(request_.environment)));
  const bool own_proc = has(Mechanism::ProcFileSystem);
  view_ = TRY(plan_file_view(policy_, program_, request_.working_directory, own_proc));
  assurances_ = assess(policy_, features_);
  if (!has(Mechanism::MountNamespace)) {
    if (auto possible = refuse_read_only_within_writable(); !possible) return possible;
  }
  const bool places =
      std::ranges::any_of(policy_.paths(), [](const auto& grant) { return grant.directory >= 0; });
  if (places && !has(Mechanism::MountNamespace)) {
    return std::unexpected(Error{"this host cannot give a directory another place in the box", "", 0,
                                 features_[Mechanism::MountNamespace].detail});
  }
  if (policy_.temporary_bytes() && !has(Mechanism::MountNamespace)) {
    // Limits of a process hold for each file, not for their sum.
    return std::unexpected(Error{
        "this host cannot give temporary files of their own", "", 0,
        features_[Mechanism::MountNamespace].detail +
            "; without, grant for writing a directory whose size something else bounds, such as a tmpfs"});
  }
  if (policy_.may_use_loopback() && !has(Mechanism::NetworkNamespace)) {
    return std::unexpected(Error{"this host cannot give a loopback network of its own", "", 0,
                                 features_[Mechanism::NetworkNamespace].detail});
  }
  return require_all(assurances_);
}

Result<void> Launch::refuse_read_only_within_writable() const {
  // Landlock's rules only add rights.
  for (const PathGrant& inner : view_.grants) {
    for (const PathGrant& outer : view_.grants) {
      if (inner.rights == PathRights::ReadWrite || outer.rights == PathRights::Read || !inner.reason.empty())
        continue;
      if (!is_beneath(inner.path, outer.path)) continue;
      return std::unexpected(
          Error{fmt::format("this host cannot keep a path beneath '{}' from being written:", outer.path),
                inner.path, 0, features_[Mechanism::MountNamespace].detail});
    }
  }
  return {};
}

Result<Explanation> Launch::explain() {
  if (auto prepared = prepare(); !prepared) return std::unexpected(prepared.error());
  return Explanation{program_.path, std::move(view_.grants), std::move(assurances_)};
}

Filter Launch::make_filter() const {
  FilterSpec spec;
  spec.rights = state_->rights;
  const bool end = policy_.on_violation() == OnViolation::End;
  spec.denied = plan_.listener ? DeniedCall::Notify : end ? DeniedCall::Kill : DeniedCall::Fail;
  spec.largest_mapping = policy_.limits().memory;
  spec.program_descriptor = program_descriptor(plan_.first_reserved);
  spec.tell_paths = policy_.records_paths() && plan_.listener;
  return Filter::make(spec);
}

Result<void> Launch::send_rules() {
  if (landlock_.get() >= 0) {
    if (auto added = add_landlock_rules(landlock_, features_.landlock_abi(), view_); !added) return added;
  }
  const Filter filter = plan_.filter ? make_filter() : Filter();
  const auto code = std::as_bytes(std::span(filter.code()));
  const std::string_view packet(reinterpret_cast<const char*>(code.data()), code.size());
  // Who has failed meanwhile has said why: hear() tells.
  (void)send_packet(setup_.get(), packet.empty() ? "-" : packet, -1, 0);
  return {};
}

Result<void> Launch::make_landlock() {
  const int abi = features_.landlock_abi();
  if (abi == 0) return {};
  landlock_ = TRY(LandlockRuleset::create(abi, policy_.may_use_loopback()));
  plan_.landlock = landlock_.get();
  plan_.landlock_abi = abi;
  return {};
}

Result<void> Launch::make_cgroup() {
  const std::optional<uint64_t> memory =
      has(Mechanism::CgroupMemory) ? policy_.limits().memory : std::nullopt;
  CgroupLimits limits{memory, std::nullopt, has(Mechanism::CgroupKill)};
  // The first process counts as well.
  if (has(Mechanism::CgroupProcesses)) limits.processes = policy_.limits().processes + 1;
  if (!limits.memory && !limits.processes && !limits.kill) return {};
  auto cgroup = Cgroup::create(limits);
  if (!cgroup) {
    cgroups_refused_ = true;
    return std::unexpected(cgroup.error());
  }
  state_->cgroup = *std::move(cgroup);
  plan_.cgroup_entrances = state_->cgroup.entrances();
  return {};
}

Result<void> Launch::make_descriptors() {
  std::vector<DescriptorMove> moves;
  for (const auto& [target, source] : request_.descriptors) {
    if (target < 0 || static_cast<uint64_t>(target) >= policy_.limits().open_files) {
      return std::unexpected(
          Error{"no place for the descriptor", fmt::to_string(target), 0, "the limit of open files"});
    }
    moves.push_back({target, source});
  }
  for (int target = 0; target <= 2; ++target) {
    if (std::ranges::find(moves, target, &DescriptorMove::target) != moves.end()) continue;
    held_.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!held_.back()) return std::unexpected(error_from_errno("cannot open", "/dev/null"));
    moves.push_back({target, held_.back().get()});
  }
  for (const int target : request_.counted) {
    const auto move = std::ranges::find(moves, target, &DescriptorMove::target);
    if (move == moves.end())
      return std::unexpected(Error{"no such descriptor to count:", fmt::to_string(target)});
    Descriptor to(::fcntl(move->source, F_DUPFD_CLOEXEC, 0));
    if (!to)
      return std::unexpected(error_from_errno("cannot duplicate descriptor", fmt::to_string(move->source)));
    auto [reader, writer] = TRY(make_pipe());
    ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
    move->source = writer.get();
    held_.push_back(std::move(writer));
    state_->outputs.push_back({std::move(reader), std::move(to)});
  }
  std::ranges::sort(moves, {}, &DescriptorMove::target);
  plan_.descriptors = std::move(moves);
  return {};
}

void Launch::make_limits() {
  const Limits& limits = policy_.limits();
  const auto add = [&](int resource, uint64_t value) { plan_.limits.push_back({resource, {value, value}}); };
  add(RLIMIT_CORE, 0);
  add(RLIMIT_MSGQUEUE, 0);
  add(RLIMIT_NOFILE, limits.open_files);
  // The first process counts as well, and where the user is not the box's own, everything else that the user
  // runs.
  const bool own_count = has(Mechanism::OtherUser) || uses_user_namespace();
  if (own_count || limits.processes > 1) {
    add(RLIMIT_NPROC, limits.processes + 1 + (own_count ? 0 : count_tasks(::getuid())));
  }
  if (limits.output) add(RLIMIT_FSIZE, *limits.output);
  if (limits.processor_time) {
    // A second line, in whole seconds, behind the supervisor's.
    const auto seconds =
        static_cast<uint64_t>(std::chrono::ceil<std::chrono::seconds>(*limits.processor_time).count());
    plan_.limits.push_back({RLIMIT_CPU, {seconds + 1, seconds + 2}});
  }
  if (limits.memory) {
    // A second line behind the supervisor's samples: what is private and writable, touched or not. Twice the
    // limit, so that programs that reserve more than they use run.
    constexpr uint64_t kSlack = uint64_t{64} << 20;
    add(RLIMIT_DATA, 2 * *limits.memory + kSlack);
  }
}

void Launch::fill_plan() {
  plan_.wait_for_maps = uses_user_namespace();
  plan_.cgroup_namespace = has(Mechanism::CgroupNamespace);
  plan_.host_name = has(Mechanism::UtsNamespace);
  plan_.network_namespace = has(Mechanism::NetworkNamespace);
  plan_.loopback = policy_.may_use_loopback();
  plan_.time_namespace = has(Mechanism::TimeNamespace);
  plan_.own_processes = state_->own_processes = has(Mechanism::PidNamespace);
  if (has(Mechanism::MountNamespace)) plan_.mounts = std::move(view_.steps);
  plan_.program = program_.file.get();
  plan_.filter = has(Mechanism::SeccompFilter);
  plan_.listener = plan_.filter && has(Mechanism::SeccompNotification);
  plan_.keyring = has(Mechanism::SessionKeyring);
  if (has(Mechanism::OtherUser)) plan_.user = new_box_user();
  plan_.deny_write_execute = has(Mechanism::DenyWriteExecute) && !policy_.may_map_executable();
  plan_.working_directory = view_.working_directory;
  plan_.arguments = pointers(program_.arguments);
  plan_.environment = pointers(request_.environment);
}

unsigned long Launch::clone_flags() const {
  unsigned long flags = CLONE_PIDFD | SIGCHLD;
  if (uses_user_namespace()) flags |= CLONE_NEWUSER;
  for (const auto& [mechanism, flag] :
       {std::pair{Mechanism::MountNamespace, CLONE_NEWNS}, std::pair{Mechanism::PidNamespace, CLONE_NEWPID},
        std::pair{Mechanism::IpcNamespace, CLONE_NEWIPC}, std::pair{Mechanism::UtsNamespace, CLONE_NEWUTS}}) {
    if (has(mechanism)) flags |= static_cast<unsigned long>(flag);
  }
  return flags;
}

Result<void> Launch::clone() {
  auto [setup, child_setup] = TRY(socket_pair());
  auto [lifeline, child_lifeline] = TRY(socket_pair());
  plan_.setup = child_setup.get();
  plan_.lifeline = child_lifeline.get();
  long pid = 0;
  int pidfd = -1;
  {
    const SignalBlock block;
    // The child must not hold the supervisor's ends: they would never be seen to close.
    const int ours[] = {setup.get(), lifeline.get()};
    pid = clone_process(clone_flags(), &pidfd);
    if (pid == 0) {
      for (const int descriptor : ours) ::close(descriptor);
      run_first_process(plan_);
    }
  }
  if (pid < 0) {
    namespaces_refused_ = true;
    return std::unexpected(error_from_errno("cannot start a process", request_.arguments[0]));
  }
  state_->pid = static_cast<pid_t>(pid);
  state_->pidfd.reset(pidfd);
  state_->lifeline = std::move(lifeline);
  setup_ = std::move(setup);
  if (!plan_.wait_for_maps) return {};
  const unsigned user = ::geteuid(), group = ::getegid();
  if (!write_id_maps(state_->pid, user, user, group, group)) {
    missing_ = Mechanism::UserNamespace;
    return std::unexpected(error_from_errno("cannot map users into", "the user namespace"));
  }
  if (::send(setup_.get(), "", 1, MSG_NOSIGNAL) != 1)
    return std::unexpected(error_from_errno("cannot start", "the box"));
  return {};
}

Error Launch::setup_error(const SetupMessage& message) {
  const StageText text = describe(message.stage);
  missing_ = text.mechanism;
  if (message.stage == Stage::Cgroup) cgroups_refused_ = true;
  std::string object = message.stage == Stage::Execute ? program_.path : "";
  if (plan_.mounts && message.index >= 0 && static_cast<size_t>(message.index) < plan_.mounts->size() &&
      (message.stage == Stage::Mounts || message.stage == Stage::Processes)) {
    object = "/" + (*plan_.mounts)[static_cast<size_t>(message.index)].target;
  }
  std::string advice;
  if (message.stage == Stage::Execute && message.error == EACCES && plan_.user) {
    advice = "the box runs as another user, to whom the program must be readable and executable: chmod o+rx";
  }
  return Error{text.text, std::move(object), message.error, std::move(advice)};
}

Result<void> Launch::hear() {
  // Not for each message: to wake somebody costs the set-up more than to say something.
  if (!Patience(kSetupPatience).wait_for_end_of(setup_.get()))
    return std::unexpected(Error{"the start takes too long:", program_.path, errno});
  for (;;) {
    SetupMessage message;
    Received received = receive_packet(setup_.get(), {reinterpret_cast<char*>(&message), sizeof message},
                                       Attached::MayBeOne, 0);
    if (received.size == 0) break;  // Closed by execve.
    if (received.size < 0) return std::unexpected(error_from_errno("cannot hear from", "the box"));
    if (message.kind == SetupMessage::Kind::Failure) return std::unexpected(setup_error(message));
    if (received.descriptor) state_->listener = std::move(received.descriptor);
  }
  if (plan_.listener && !state_->listener)
    return std::unexpected(Error{"the box ended while it was set up", program_.path});
  return {};
}

Result<std::unique_ptr<Child::State>> Launch::start() {
  if (auto prepared = prepare(); !prepared) return std::unexpected(prepared.error());
  state_->policy = policy_;
  state_->rights = rights();
  plan_.first_reserved = static_cast<int>(policy_.limits().open_files);
  for (const auto step : {&Launch::make_cgroup, &Launch::make_landlock, &Launch::make_descriptors}) {
    if (auto made = (this->*step)(); !made) return std::unexpected(made.error());
  }
  make_limits();
  fill_plan();
  state_->started = std::chrono::steady_clock::now();
  if (auto cloned = clone(); !cloned) return std::unexpected(cloned.error());
  held_.clear();
  if (auto sent = send_rules(); !sent) return std::unexpected(sent.error());
  if (auto heard = hear(); !heard) return std::unexpected(heard.error());
  state_->assurances = std::move(assurances_);
  return std::move(state_);
}

}  // namespace vitrine::sandbox

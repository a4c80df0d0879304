// SPDX-License-Identifier: Apache-2.0
#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace fmvm {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int cannot_execute = 127;  // the exit status that shells have for it

struct Pipe {
    UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "no pipe can be made");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A running child; it does not outlive this.
class Child {
  public:
    // (glibc 2.36 declares pidfd_open() for C only.)
    explicit Child(pid_t pid)
        : pid_(pid), handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    // Readable when it has ended.
    const UniqueFd& handle() const { return handle_; }
    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return status;
    }

  private:
    pid_t pid_;
    UniqueFd handle_;
};

void limit(int resource, std::uint64_t value) {
    const struct rlimit both { value, value };
    ::setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

// Between fork and exec: only what is safe in a signal handler.
[[noreturn]] void become(const char* file, char* const* arguments, char* const* environment,
                         const ChildLimits& limits, pid_t parent, int output, int errors) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(cannot_execute);  // it died before that
    ::umask(0077);  // what it makes is for its owner only, as what fmvm makes
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_AS, limits.memory_bytes);
    limit(RLIMIT_FSIZE, limits.file_bytes);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGPIPE, SIGXFSZ})
        ::signal(number, SIG_DFL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    ::execve(file, arguments, environment);
    ::_exit(cannot_execute);
}

Result<pid_t> start(const std::string& file, const std::vector<std::string>& arguments,
                    const ChildLimits& limits, int output, int errors) {
    std::vector<char*> argv{const_cast<char*>(file.c_str())};
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    std::string path = "PATH=/usr/bin:/bin", locale = "LC_ALL=C.UTF-8";
    const std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return errno_error(errno, "no process can be made");
    if (pid == 0) {
        become(file.c_str(), argv.data(), environment.data(), limits, parent, output, errors);
    }
    return pid;
}

// What the child writes until it has ended, and nobody else has its ends of the pipes.
class Collector {
  public:
    Collector(const ChildLimits& limits, const ChildWatch& watch, ChildResult& result)
        : limits_(limits), watch_(watch), result_(result) {}

    Result<void> collect(const Child& child, const UniqueFd& output, const UniqueFd& errors) {
        std::array<pollfd, 4> watched{
            pollfd{output.get(), POLLIN, 0}, pollfd{errors.get(), POLLIN, 0},
            pollfd{child.handle().get(), POLLIN, 0}, pollfd{watch_.stop_fd, POLLIN, 0}};
        auto& [out, err, ended, stop] = watched;  // poll() passes over what is negative
        const auto deadline = Clock::now() + limits_.time;
        while (out.fd >= 0 || err.fd >= 0 || ended.fd >= 0) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
            if (left.count() <= 0)
                return make_error("took longer than {} s, and was ended", limits_.time.count());
            // In parts that an int can hold.
            const int part = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
            if (::poll(watched.data(), watched.size(), part) < 0) {
                if (errno == EINTR) continue;
                return errno_error(errno, "cannot be waited for");
            }
            if (stop.revents != 0) return Error("was stopped");
            if (out.revents != 0) FMVM_TRY(take(out.fd, result_.output, true));
            if (err.revents != 0) FMVM_TRY(take(err.fd, result_.errors, false));
            if (ended.revents != 0) ended.fd = -1;
        }
        return {};
    }

  private:
    // fd becomes -1 at its end.
    Result<void> take(int& fd, std::string& into, bool is_output) {
        std::array<char, 64 * kib> space;
        const ssize_t count = ::read(fd, space.data(), space.size());
        if (count < 0) {
            if (errno == EINTR) return {};
            return errno_error(errno, "its output cannot be read");
        }
        if (count == 0) {
            fd = -1;
            return {};
        }
        const std::string_view part(space.data(), static_cast<std::size_t>(count));
        if (is_output && watch_.on_output) {
            watch_.on_output(part);
            return {};
        }
        if (part.size() > limits_.output_bytes - into.size())
            return make_error("printed more than {} bytes, and was ended", limits_.output_bytes);
        into += part;
        return {};
    }

    const ChildLimits& limits_;
    const ChildWatch& watch_;
    ChildResult& result_;
};

Result<ChildResult> run(const std::string& file, const std::vector<std::string>& arguments,
                        const ChildLimits& limits, const ChildWatch& watch) {
    Pipe output = FMVM_TRY(make_pipe());
    Pipe errors = FMVM_TRY(make_pipe());
    Child child(
        FMVM_TRY(start(file, arguments, limits, output.write_end.get(), errors.write_end.get())));
    if (!child.handle()) return errno_error(errno, "cannot be watched");
    output.write_end.reset();
    errors.write_end.reset();
    ChildResult result;
    FMVM_TRY(Collector(limits, watch, result).collect(child, output.read_end, errors.read_end));
    const int status = child.wait();
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
        return make_error("wrote a file of more than {} bytes, and was ended", limits.file_bytes);
    if (WIFSIGNALED(status))
        return make_error("was ended by signal {} ({})", WTERMSIG(status),
                          ::strsignal(WTERMSIG(status)));
    result.exit_status = WEXITSTATUS(status);
    if (result.exit_status == cannot_execute) return make_error("cannot be executed ({})", file);
    return result;
}

}  // namespace

Result<std::string> find_program(const HelperProgram& program) {
    const char* const path = std::getenv("PATH");
    std::string_view left = path == nullptr ? "/usr/bin:/bin" : path;
    while (!left.empty()) {
        const std::string_view directory = left.substr(0, left.find(':'));
        left.remove_prefix(std::min(left.size(), directory.size() + 1));
        if (!directory.starts_with('/')) continue;  // never from where somebody happens to stand
        std::string file = fmt::format("{}/{}", directory, program.name);
        struct stat status {};
        if (::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
            ::access(file.c_str(), X_OK) == 0) {
            return file;
        }
    }
    return make_error("{} is missing; install Debian's package {} (apt-get install {})",
                      program.name, program.package, program.package);
}

std::string ChildResult::complaint(std::string_view program) const {
    constexpr std::size_t length_max = 300;
    const std::size_t first = errors.find_first_not_of('\n');
    if (first == std::string::npos)
        return fmt::format("without a word, with exit status {}", exit_status);
    std::string line = errors.substr(first, errors.find('\n', first) - first);
    const std::string prefix = std::string(program) + ": ";
    if (line.starts_with(prefix)) line.erase(0, prefix.size());
    if (line.size() > length_max) line.resize(length_max);
    return printable_ascii(std::move(line));
}

Result<ChildResult> run_child(const HelperProgram& program,
                              const std::vector<std::string>& arguments, const ChildLimits& limits,
                              const ChildWatch& watch) {
    const std::string file = FMVM_TRY(find_program(program));
    Result<ChildResult> result = run(file, arguments, limits, watch);
    if (!result.ok()) return make_error("{} {}", program.name, result.error().message());
    return result;
}

}  // namespace fmvm

// SPDX-License-Identifier: Apache-2.0
#include "cli/protected_guest.h"

#include <malloc.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "lockstep/arbiter/arbiter_thread.h"
#include "lockstep/output/output_permit.h"

namespace fmvm::cli {

namespace {

constexpr std::chrono::seconds mark_limit{2};

}  // namespace

void keep_message_memory() {
    constexpr int largest_message = 8 << 20;
    constexpr int kept_free = 64 << 20;
    ::mallopt(M_MMAP_THRESHOLD, largest_message);
    ::mallopt(M_TRIM_THRESHOLD, kept_free);
}

std::string make_side_name() {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    return fmt::format("{}:{}:{:016x}", host, ::getpid(), random_value<std::uint64_t>());
}

Result<std::shared_ptr<lockstep::Arbiter>> open_arbiter(const node::ArbiterOptions& options,
                                                        const lockstep::VmId& vm,
                                                        const std::string& side) {
    if (!options.none) {
        return std::shared_ptr<lockstep::Arbiter>(
            FMVM_TRY(lockstep::create_file_arbiter(options.path, vm, side)));
    }
    log::notice("arbiter", "none: after a cut link two sides may run this guest at once");
    return std::shared_ptr<lockstep::Arbiter>(lockstep::create_no_arbiter());
}

void mark_ended(const std::shared_ptr<lockstep::Arbiter>& arbiter, lockstep::Generation generation,
                std::string_view component) {
    const auto marked = lockstep::ask_for<Result<void>>(
        mark_limit, [arbiter, generation] { return arbiter->mark_ended(generation); });
    if (!marked) {
        log::warning(component, "the arbiter does not answer; the next start needs --restart");
    } else if (!marked->ok()) {
        log::warning(component, "{}", marked->error().message());
    }
}

void guard_output(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                  std::function<lockstep::Generation()> generation,
                  std::chrono::milliseconds lost_after) {
    const auto permit = std::make_shared<lockstep::OutputPermit>(
        built.machine->loop(), std::move(arbiter), std::move(generation), lost_after / 2);
    permit->on_answer([console = built.console, gates = built.write_gates] {
        console->ask_again();
        for (lockstep::WriteGate* gate : gates)
            gate->ask_again();
    });
    built.console->require_permit(
        [permit](std::chrono::milliseconds patience) { return permit->ask(patience); });
    for (lockstep::WriteGate* gate : built.write_gates) {
        gate->require_permit([permit] {
            return permit->ask(std::chrono::milliseconds(0)) == ConsoleOutput::Permit::granted;
        });
    }
}

}  // namespace fmvm::cli

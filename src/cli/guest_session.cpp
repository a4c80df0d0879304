// SPDX-License-Identifier: Apache-2.0
#include "cli/guest_session.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "devices/console/console_input.h"
#include "node/console/escape_parser.h"
#include "node/console/terminal.h"
#include "node/run/stop_signals.h"
#include "vmm/cpu/vcpu_thread.h"

namespace fmvm::cli {

namespace {

// A guest that reads nothing for so long, with its input full, may hang: then the operator must be
// heard all the same.
constexpr std::chrono::seconds hung_guest_patience{1};

}  // namespace

void prepare_process() {
    ::signal(SIGPIPE, SIG_IGN);  // a console reader that goes away does not end the guest
    ::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an I/O error of the guest's disk
    ::signal(SIGUSR1, SIG_IGN);  // asks for statistics; before there are any it kills nobody
    ::signal(SIGTTOU, SIG_IGN);  // a job in the background may show its console,
    ::signal(SIGTTIN, SIG_IGN);  // and is not stopped because it was reading when it became one
    prepare_kick_signal();
}

void add_stop_signals(boost::asio::signal_set& signals) {
    for (const int number : node::stop_signals())
        signals.add(number);
}

void tell_quirks(const BuiltMachine& built) {
    if (built.quirks.empty()) return;
    log::notice("run",
                "this host emulates ring 0; added to the kernel command line "
                "(--host-quirks off leaves it out): {}",
                built.quirks);
}

Result<void> connect_input(BuiltMachine& built) {
    Machine& machine = *built.machine;
    Serial& serial = *built.serial;
    if (node::in_background_of(STDIN_FILENO)) {
        log::notice("run",
                    "in the background of its terminal: what is typed does not reach the guest");
        return {};
    }
    ConsoleInput::Receiver receiver;
    receiver.room = [&serial] { return serial.input_room(); };
    if (::isatty(STDIN_FILENO) == 1) {
        receiver.patience = hung_guest_patience;
        receiver.take = [&machine, &serial, parser = node::EscapeParser()](
                            std::span<const std::uint8_t> bytes) mutable {
            const node::EscapeParser::Result typed = parser.feed(bytes);
            const std::span<const std::uint8_t> keys(typed.guest_bytes);
            const auto taken = keys.first(std::min(keys.size(), serial.input_room()));
            if (!taken.empty()) serial.receive(taken);
            if (typed.help)
                std::fwrite(node::escape_help.data(), 1, node::escape_help.size(), stderr);
            if (typed.quit) machine.request_end(GuestEnd::stopped);
        };
    } else {
        receiver.take = [&serial](std::span<const std::uint8_t> bytes) { serial.receive(bytes); };
    }
    // The machine owns it, so that it goes after the loop, which still holds bytes on their way.
    ConsoleInput& input = machine.own(
        FMVM_TRY(ConsoleInput::create(machine.loop(), STDIN_FILENO, std::move(receiver))));
    const QuiesceGuard standing(machine);  // a guest that came here by a takeover runs
    serial.on_input_room([&input] { input.room_changed(); });
    return {};
}

std::string describe_end(GuestEnd end) {
    switch (end) {
        case GuestEnd::power_off:
            return "the guest powered off";
        case GuestEnd::reset:
            return "the guest asked for a reset";
        case GuestEnd::crash:
            return "the guest crashed (triple fault)";
        case GuestEnd::unsupported:
            return "KVM could not go on with the guest";
        case GuestEnd::stopped:
            return "the guest was stopped";
    }
    return "the guest ended";
}

int report_end(GuestEnd end, const std::string& report) {
    switch (end) {
        case GuestEnd::power_off:
            log::info("run", "the guest powered off");
            return to_int(ExitStatus::ok);
        case GuestEnd::reset:
            log::info("run", "the guest asked for a reset");
            return to_int(ExitStatus::guest_reset);
        case GuestEnd::crash:
            return report_error(
                "the guest crashed (triple fault); the host's kernel log may name the vector and "
                "RIP",
                ExitStatus::guest_crashed);
        case GuestEnd::unsupported:
            fmt::print(stderr, "fmvm: {}\n", report);
            return to_int(ExitStatus::guest_stuck);
        case GuestEnd::stopped:
            log::info("run", "the guest was stopped");
            return to_int(ExitStatus::operator_stop);
    }
    return to_int(ExitStatus::failure);
}

}  // namespace fmvm::cli

// SPDX-License-Identifier: Apache-2.0
#include "node/console/console_session.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "devices/console/console_input.h"
#include "node/console/escape_parser.h"
#include "node/console/terminal.h"

namespace fmvm::node {

namespace {

// A guest that reads nothing for so long, with its input full, may hang: then the operator must be
// heard all the same.
constexpr std::chrono::seconds hung_guest_patience{1};

ConsoleInput::Receiver terminal_receiver(Machine& machine, Serial& serial,
                                         std::function<void()> show_help) {
    ConsoleInput::Receiver receiver;
    receiver.patience = hung_guest_patience;
    receiver.take = [&machine, &serial, show_help = std::move(show_help),
                     parser = EscapeParser()](std::span<const std::uint8_t> bytes) mutable {
        const EscapeParser::Result typed = parser.feed(bytes);
        const std::span<const std::uint8_t> keys(typed.guest_bytes);
        const auto taken = keys.first(std::min(keys.size(), serial.input_room()));
        if (!taken.empty()) serial.receive(taken);
        if (typed.help) show_help();
        if (typed.quit) machine.request_end(GuestEnd::stopped);
    };
    return receiver;
}

}  // namespace

Result<void> connect_input(BuiltMachine& built, std::function<void()> show_help) {
    Machine& machine = *built.machine;
    Serial& serial = *built.serial;
    if (in_background_of(STDIN_FILENO)) {
        log::notice("run",
                    "in the background of its terminal: what is typed does not reach the guest");
        return {};
    }
    ConsoleInput::Receiver receiver;
    if (::isatty(STDIN_FILENO) == 1) {
        receiver = terminal_receiver(machine, serial, std::move(show_help));
    } else {
        receiver.take = [&serial](std::span<const std::uint8_t> bytes) { serial.receive(bytes); };
    }
    receiver.room = [&serial] { return serial.input_room(); };
    // The machine owns it, so that it goes after the loop, which still holds bytes on their way.
    ConsoleInput& input = machine.own(
        FMVM_TRY(ConsoleInput::create(machine.loop(), STDIN_FILENO, std::move(receiver))));
    const QuiesceGuard standing(machine);  // a guest that came here by a takeover runs
    serial.on_input_room([&input] { input.room_changed(); });
    return {};
}

}  // namespace fmvm::node

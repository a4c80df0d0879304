// SPDX-License-Identifier: Apache-2.0
// The only user of CLI11 (it compiles slowly). CLI11 sorts words into options; the tables in
// cli/options say what they mean, as for the configuration file.
#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <deque>
#include <sstream>

#include "base/process_end.h"
#include "cli/options/command.h"
#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/report_error.h"
#include "cli/version.h"

namespace fmvm::cli {

namespace {

constexpr const char* main_footer = R"(
Examples:
  fmvm check
  fmvm run --kernel vmlinux --cmdline "console=ttyS0 root=/dev/vda" --disk path=disk.img
  fmvm run --kernel vmlinux --disk path=disk.img --control vm.sock
  fmvm import debian-12-generic-amd64.qcow2 --to vm1 > vm1.json
  fmvm run --config vm1.json
  fmvm snapshot --control vm.sock --to saved --stop
  fmvm run --restore saved --disk path=disk.img
  fmvm backup --listen 127.0.0.1:7000 --dir b --arbiter file:/shared/vm1
  fmvm primary --backup 127.0.0.1:7000 --arbiter file:/shared/vm1 --kernel vmlinux
  fmvm run --help, fmvm primary --help, ...)";

// One line, whatever the message holds (a path may hold a newline, or worse).
int usage_error(std::string_view message) {
    return report_error(message, ExitStatus::usage);
}

// CLI11's own finding; help and version come as "errors" with status 0.
int parse_ended(const CLI::App& app, const std::string& name, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
        std::ostringstream text;
        app.exit(error, text, text);
        return print_result(text.str());
    }
    const std::string_view what = error.what();
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
        return usage_error(
            fmt::format("{} needs a value; see {} --help", what.substr(0, what.find(':')), name));
    }
    return usage_error(fmt::format("{}; see {} --help", what, name));
}

void add_option(CLI::App& app, Arguments& arguments, const OptionText& text) {
    std::vector<std::string>& words = arguments.behind(text.flag);
    if (text.is_switch()) {
        // It may also be written --flag=NUMBER, whatever that is.
        const auto stood = [&words](std::int64_t times) {
            words.assign(static_cast<std::size_t>(std::clamp<std::int64_t>(times, 0, 9)), "");
        };
        app.add_flag_function(text.flag, stood, text.help_text());
        return;
    }
    CLI::Option* const option = app.add_option(text.flag, words, text.help_text());
    option->type_name(text.type);
    // Each takes one word, however often it stands: that is counted where it means something.
    if (!text.is_positional()) option->expected(1)->take_all()->allow_extra_args(false);
}

// The command line of the program, and the words that stand in it.
class CommandLine {
  public:
    CommandLine() {
        app_.set_version_flag("--version", fmt::format("fmvm {}", version));
        app_.footer(main_footer);
        app_.allow_extras();
        app_.require_subcommand(0, 1);
        for (Command& command : all_commands())
            add(std::move(command));
    }

    CLI::App& app() { return app_; }

    // "fmvm run", or "fmvm" while no command is known.
    std::string name() const {
        const auto parsed = app_.get_subcommands();
        return parsed.empty() ? "fmvm" : "fmvm " + parsed.front()->get_name();
    }

    int run() const {
        for (const Line& line : lines_) {
            if (line.app->parsed()) return line.command.run(line.arguments);
        }
        return usage_error("no command is given; see fmvm --help");
    }

  private:
    struct Line {
        Command command;
        Arguments arguments;
        CLI::App* app = nullptr;
    };

    void add(Command command) {
        Line& line = lines_.emplace_back();
        line.app = app_.add_subcommand(command.name, command.help);
        for (const OptionText& option : command.options)
            add_option(*line.app, line.arguments, option);
        line.app->allow_extras();
        line.app->footer(command.footer);
        line.command = std::move(command);
    }

    CLI::App app_{"fmvm runs virtual machines on /dev/kvm and keeps them alive.", "fmvm"};
    std::deque<Line> lines_;  // stay put: CLI11 knows where their words go
};

int dispatch(int argc, char** argv) {
    CommandLine line;
    try {
        line.app().parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return parse_ended(line.app(), line.name(), error);
    }
    const std::vector<std::string> unknown = line.app().remaining(true);
    if (!unknown.empty()) {
        return usage_error(
            fmt::format("'{}' is not known here; see {} --help", unknown.front(), line.name()));
    }
    return line.run();
}

}  // namespace

int run(int argc, char** argv) {
    try {
        return dispatch(argc, argv);
    } catch (...) {
        // Nothing of ours throws: this is memory running out or a library giving up.
        std::array<char, 512> why{};
        describe_exception(why);
        return report_error(why.data(), ExitStatus::failure);
    }
}

}  // namespace fmvm::cli

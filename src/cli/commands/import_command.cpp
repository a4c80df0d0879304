// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/import_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/json.h"
#include "base/unfinished_directory.h"
#include "base/units.h"
#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "node/import/image_convert.h"
#include "node/import/image_reader.h"
#include "node/import/image_system.h"
#include "node/run/stop_signals.h"

namespace fmvm::cli {

namespace {

constexpr std::uint64_t kernel_bytes_max = 256 * mib, initrd_bytes_max = gib;
// For a kernel and its initial RAM disk as they usually are.
constexpr std::uint64_t room_for_boot_files = 128 * mib;

// For somebody who watches; a pipe gets only the result.
class ConvertProgress {
  public:
    ~ConvertProgress() {
        if (shown_) fmt::print(stderr, "\r\x1b[K");
    }
    void operator()(double percent) {
        if (!watched_) return;
        shown_ = true;
        fmt::print(stderr, "\rconverting: {:3.0f} %", percent);
    }

  private:
    const bool watched_ = ::isatty(STDERR_FILENO) == 1;
    bool shown_ = false;
};

class Import {
  public:
    Import(const ImportOptions& options, const node::StopSignals& signals)
        : options_(options), signals_(signals) {}

    Result<void> run() {
        FMVM_TRY(find_program(node::qemu_img));
        FMVM_TRY(find_program(node::grub_fstest));
        const node::ForeignImage image = FMVM_TRY(
            blame_input(node::inspect_image(options_.image, options_.format, signals_.fd())));
        UnfinishedDirectory directory =
            FMVM_TRY(blame_input(in(options_.to, UnfinishedDirectory::make(options_.to))));
        FMVM_TRY(in(options_.to, check_room(image)));
        ConvertProgress progress;
        FMVM_TRY(node::convert_image(image, directory.path() + "/disk.img", std::ref(progress),
                                     signals_.fd()));
        FMVM_TRY(blame_input(in("image " + options_.image, take_system(directory.path()))));
        FMVM_TRY(in(options_.to, directory.rename_into_place()));
        return in(options_.to, directory.make_name_durable());
    }

    void tell() const {
        fmt::print(stderr, "{}: {}, kernel {}, root={}\n", options_.to, system_.name,
                   system_.kernel.version, system_.root);
        if (!warning_.empty()) fmt::print(stderr, "warning: {}\n", warning_);
        const std::string initrd =
            system_.kernel.initrd.empty()
                ? ""
                : fmt::format("  \"initrd\": {},\n", json_quote(options_.to + "/initrd"));
        fmt::print(
            "{{\n  \"kernel\": {},\n{}  \"cmdline\": {},\n  \"memory\": \"1G\",\n"
            "  \"disks\": [{{\"path\": {}}}]\n}}\n",
            json_quote(options_.to + "/vmlinuz"), initrd,
            json_quote("console=ttyS0 root=" + system_.root),
            json_quote(options_.to + "/disk.img"));
    }

    ExitStatus status_of_failure() const { return blame_; }

  private:
    // What was given is bad, not this host.
    template <typename T>
    Result<T> blame_input(Result<T> result) {
        if (!result.ok()) blame_ = ExitStatus::usage;
        return result;
    }
    template <typename T>
    static Result<T> in(const std::string& what, Result<T> result) {
        if (!result.ok()) return make_error("{}: {}", what, result.error().message());
        return result;
    }

    // The guest may fill its disk, and does badly when the host's is full then.
    Result<void> check_room(const node::ForeignImage& image) const {
        const std::filesystem::path parent = std::filesystem::path(options_.to).parent_path();
        std::error_code failure;
        const auto space = std::filesystem::space(parent.empty() ? "." : parent, failure);
        if (failure)
            return make_error("how much room is there is not known: {}", failure.message());
        if (space.available >= image.disk_bytes + room_for_boot_files) return {};
        return make_error(
            "the disk of {} MiB, and kernel and initial RAM disk beside it, need {} MiB, and {} "
            "MiB "
            "are free; make room, or give --to where there is",
            image.disk_bytes / mib, (image.disk_bytes + room_for_boot_files) / mib,
            space.available / mib);
    }

    Result<void> take_system(const std::string& directory) {
        const std::string disk_path = directory + "/disk.img";
        const boot::FileSource disk = FMVM_TRY(boot::FileSource::open("disk", disk_path));
        const node::ImageReader reader(std::filesystem::absolute(disk_path).string(),
                                       signals_.fd());
        const node::PartitionTable table = FMVM_TRY(node::read_partition_table(disk));
        system_ = FMVM_TRY(node::find_system(reader, table));
        const auto take = [&](const std::string& name, const std::string& to, std::uint64_t max) {
            return reader.copy(system_.kernel_device, system_.kernel_directory + name, to, max);
        };
        FMVM_TRY(take(system_.kernel.kernel, directory + "/vmlinuz", kernel_bytes_max));
        std::string initrd;
        if (!system_.kernel.initrd.empty()) {
            initrd = directory + "/initrd";
            FMVM_TRY(take(system_.kernel.initrd, initrd, initrd_bytes_max));
        }
        warning_ = FMVM_TRY(node::disk_driver_warning(reader, system_, initrd));
        return {};
    }

    const ImportOptions& options_;
    const node::StopSignals& signals_;
    ExitStatus blame_ = ExitStatus::failure;
    node::ImageSystem system_;
    std::string warning_;
};

}  // namespace

int import_command(const ImportOptions& options) {
    const Result<node::StopSignals> signals = node::StopSignals::take();
    if (!signals.ok()) return report_error(signals.error().message(), ExitStatus::failure);
    Import import(options, signals.value());
    const Result<void> done = import.run();
    if (!done.ok() && signals.value().came())
        return report_error("import: stopped; nothing is left of it", ExitStatus::operator_stop);
    if (!done.ok()) return report_error(done.error().message(), import.status_of_failure());
    import.tell();
    return to_int(ExitStatus::ok);
}

}  // namespace fmvm::cli

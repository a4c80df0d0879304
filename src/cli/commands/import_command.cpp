// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/import_command.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file_io.h"
#include "base/json_writer.h"
#include "base/standard_error.h"
#include "base/unfinished_directory.h"
#include "base/units.h"
#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/progress_line.h"
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
            FMVM_TRY(blame_input(about(options_.to, UnfinishedDirectory::make(options_.to))));
        FMVM_TRY(about(options_.to, check_room(image)));
        FMVM_TRY(convert(image, directory.path() + "/disk.img"));
        FMVM_TRY(blame_input(about("image " + options_.image, take_system(directory.path()))));
        FMVM_TRY(about(options_.to, directory.rename_into_place()));
        return about(options_.to, directory.make_name_durable());
    }

    // Returns the exit status.
    int tell() const {
        standard_error().write(fmt::format("{}: {}, kernel {}, root={}\n", options_.to,
                                           system_.name, system_.kernel.version, system_.root));
        if (!warning_.empty()) standard_error().write(fmt::format("warning: {}\n", warning_));
        return print_result(configuration().indented());
    }

  private:
    Result<void> convert(const node::ForeignImage& image, const std::string& to) const {
        ProgressLine line;
        const auto show = [&line](double percent) {
            line.show(fmt::format("converting: {:3.0f} %", percent));
        };
        return node::convert_image(image, to, show, signals_.fd());
    }

    // The configuration file that runs it.
    JsonObject configuration() const {
        JsonObject configuration;
        configuration.add("kernel", options_.to + "/vmlinuz");
        if (!system_.kernel.initrd.empty()) configuration.add("initrd", options_.to + "/initrd");
        return configuration.add("cmdline", "console=ttyS0 root=" + system_.root)
            .add("memory", "1G")
            .add("disks", std::vector{JsonObject().add("path", options_.to + "/disk.img")});
    }

    // The guest may fill its disk, and does badly when the host's is full then.
    Result<void> check_room(const node::ForeignImage& image) const {
        std::error_code failure;
        const auto space = std::filesystem::space(directory_of(options_.to), failure);
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
    node::ImageSystem system_;
    std::string warning_;
};

}  // namespace

int import_command(const ImportOptions& options) {
    const Result<node::StopSignals> signals = node::StopSignals::take();
    if (!signals.ok()) return report_error(signals.error());
    Import import(options, signals.value());
    const Result<void> done = import.run();
    if (!done.ok() && signals.value().came())
        return report_error("import: stopped; nothing is left of it", ExitStatus::operator_stop);
    if (!done.ok()) return report_error(done.error());
    return import.tell();
}

}  // namespace fmvm::cli

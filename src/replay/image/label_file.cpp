// SPDX-License-Identifier: Apache-2.0
#include "replay/image/label_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/durable_file.h"
#include "base/file_io.h"
#include "base/work_steps.h"

namespace fmvm::replay {

namespace {

constexpr std::uint64_t label_copy_bytes =
    4096;  // one write for the disk, whatever its sectors are
constexpr std::uint64_t regions_offset = 2 * label_copy_bytes;

struct Layout {
    explicit Layout(std::uint64_t image_bytes)
        : region_words(words_for(image_bytes, label_region_bytes)),
          block_words(words_for(image_bytes, disk_block_bytes)),
          blocks_offset(regions_offset + align_up(region_words * 8, page_size)),
          progress_offset(blocks_offset + align_up(block_words * 8, page_size)),
          file_bytes(progress_offset + page_size) {}

    // Of a file that may lack its last page.
    bool fits(std::uint64_t size) const { return size == file_bytes || size == progress_offset; }

    // For one bit more than there are units, begun ones included.
    static std::uint64_t words_for(std::uint64_t bytes, std::uint64_t unit) {
        return (bytes / unit + 1) / 64 + 1;
    }
    std::uint64_t region_words;
    std::uint64_t block_words;
    std::uint64_t blocks_offset;
    std::uint64_t progress_offset;
    std::uint64_t file_bytes;
};

Error label_error(int error_number, const std::string& path, std::string_view what) {
    return errno_error(error_number, fmt::format("disk label {}: {}", path, what));
}

Result<void> lock(int fd, const std::string& path) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return {};
    if (errno == EAGAIN || errno == EACCES) {
        return make_error(
            "disk label {}: in use by another virtual machine; stop that one, or give each disk "
            "its own label=PATH",
            path);
    }
    return label_error(errno, path, "cannot be locked; its file system must support locks");
}

// The first copy that is whole, in a file of the size that it asks for.
Result<FoundLabel> read_copies(int fd, const std::string& path) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return label_error(errno, path, "cannot be examined");
    if (!S_ISREG(info.st_mode))
        return make_error("disk label {}: is not a file; give another label=PATH", path);
    for (const std::uint64_t offset : {std::uint64_t{0}, label_copy_bytes}) {
        std::array<std::uint8_t, DiskLabel::encoded_bytes> bytes{};
        std::size_t count = 0;
        if (const int failure =
                read_up_to_at(fd, std::as_writable_bytes(std::span(bytes)), offset, count);
            failure != 0)
            return label_error(failure, path, "cannot be read");
        const auto label = DiskLabel::decode(std::span(bytes).first(count));
        if (label && Layout(label->image_bytes).fits(static_cast<std::uint64_t>(info.st_size)))
            return FoundLabel{LabelState::whole, *label};
    }
    return FoundLabel{LabelState::damaged, {}};
}

// Room on the disk for all of it: a write to the mapping can not fail.
Result<void> reserve(int fd, const std::string& path, std::uint64_t bytes) {
    const int failure = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    if (failure != 0) return label_error(failure, path, "cannot be made");
    return {};
}

// A file system that writes copies (btrfs) would need new room for each write to the mapping. This
// asks it to write in place, which it does for files that are still empty. Others do not know the
// flag.
void write_in_place(int fd) {
    int flags = 0;
    if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return;
    flags |= FS_NOCOW_FL;
    ::ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

}  // namespace

LabelFile::LabelFile(LabelFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::move(other.fd_)),
      label_(other.label_),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(other.mapping_bytes_),
      regions_(other.regions_),
      blocks_(other.blocks_),
      progress_(other.progress_),
      failed_(other.failed_) {}

LabelFile::~LabelFile() {
    if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

Result<LabelFile> LabelFile::create(const std::string& path, const DiskLabel& label) {
    const UniqueFd old(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (old) FMVM_TRY(lock(old.get(), path));
    DurableFile draft =
        FMVM_TRY(DurableFile::create(path, DurableFile::Draft::fixed, 0600, label_error));
    LabelFile file(path, draft.take_descriptor(), label);
    write_in_place(file.fd_.get());
    FMVM_TRY(lock(file.fd_.get(), path));
    FMVM_TRY(file.fill());
    FMVM_TRY(draft.replace());
    return file;
}

Result<LabelFile> LabelFile::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return label_error(errno, path, "cannot be opened for writing");
    FMVM_TRY(lock(fd.get(), path));
    const FoundLabel found = FMVM_TRY(read_copies(fd.get(), path));
    if (found.state != LabelState::whole) return make_error("disk label {}: is damaged", path);
    LabelFile file(path, std::move(fd), found.label);
    FMVM_TRY(reserve(file.fd_.get(), path, Layout(found.label.image_bytes).file_bytes));
    FMVM_TRY(file.map());
    return file;
}

Result<LabelFile> LabelFile::unsaved(const DiskLabel& label) {
    LabelFile file("in memory", UniqueFd(::memfd_create("fmvm-label", MFD_CLOEXEC)), label);
    if (!file.fd_) return label_error(errno, file.path_, "cannot be created");
    FMVM_TRY(file.fill());
    return file;
}

Result<void> LabelFile::fill() {
    FMVM_TRY(reserve(fd_.get(), path_, Layout(label_.image_bytes).file_bytes));
    FMVM_TRY(map());
    std::ranges::fill(regions_, ~std::uint64_t{0});
    std::ranges::fill(blocks_, ~std::uint64_t{0});
    return write(label_);
}

Result<void> LabelFile::map() {
    const Layout layout(label_.image_bytes);
    void* const address =
        ::mmap(nullptr, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (address == MAP_FAILED) return label_error(errno, path_, "cannot be mapped");
    mapping_ = address;
    mapping_bytes_ = layout.file_bytes;
    auto* const bytes = static_cast<std::uint8_t*>(address);
    regions_ = {reinterpret_cast<std::uint64_t*>(bytes + regions_offset), layout.region_words};
    blocks_ = {reinterpret_cast<std::uint64_t*>(bytes + layout.blocks_offset), layout.block_words};
    progress_ = ProgressPage({reinterpret_cast<std::uint64_t*>(bytes + layout.progress_offset),
                              ProgressPage::word_count});
    return {};
}

Result<void> LabelFile::write(const DiskLabel& label) {
    FMVM_CHECK(label.image_bytes == label_.image_bytes);
    FMVM_TRY(sync());
    const std::vector<std::uint8_t> bytes = label.encode();
    for (const std::uint64_t offset : {std::uint64_t{0}, label_copy_bytes}) {
        if (const int failure = write_all_at(fd_.get(), std::as_bytes(std::span(bytes)), offset);
            failure != 0) {
            failed_ = true;
            return label_error(failure, path_, "cannot be written");
        }
        FMVM_TRY(sync());
    }
    label_ = label;
    return {};
}

Result<void> LabelFile::sync() {
    if (!failed_ && ::fdatasync(fd_.get()) == 0) {
        work_step();
        return {};
    }
    const int failure = failed_ ? EIO : errno;
    failed_ = true;
    return label_error(failure, path_, "cannot be made durable");
}

Result<FoundLabel> find_label(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT) return FoundLabel{};
    if (!fd) return label_error(errno, path, "cannot be read");
    return read_copies(fd.get(), path);
}

}  // namespace fmvm::replay

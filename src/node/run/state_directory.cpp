// SPDX-License-Identifier: Apache-2.0
#include "node/run/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_codec.h"
#include "base/digest.h"
#include "base/durable_file.h"
#include "base/file_io.h"
#include "base/open_file.h"
#include "base/ownership.h"

namespace fmvm::node {

namespace {

constexpr const char* record_name = "/generation";
constexpr std::size_t record_size = 16 + 8 + 8;

Error directory_error(int error_number, const std::string& path, std::string_view what) {
    return errno_error(error_number, fmt::format("--dir {}: {}", path, what));
}

// A link is not followed: whoever may plant one there would choose which directory is written to.
Result<UniqueFd> make_and_open(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        if (errno == ENOENT)
            return make_error("--dir {}: there is nothing to make it in; make that first", path);
        return directory_error(errno, path, "cannot be made");
    }
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && (errno == ELOOP || errno == ENOTDIR))
        return make_error("--dir {}: is a symbolic link or a file; give a directory itself", path);
    if (!fd) return directory_error(errno, path, "cannot be opened");
    return fd;
}

}  // namespace

Result<StateDirectory> StateDirectory::open(std::string path) {
    while (path.size() > 1 && path.back() == '/')
        path.pop_back();  // a slash at the end would follow a link
    UniqueFd lock = FMVM_TRY(make_and_open(path));
    const Result<void> ours = check_directory(lock.get());
    if (!ours.ok()) {
        return make_error("--dir {}: {}; give a directory that only fmvm's user may write to", path,
                          ours.error().message());
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return make_error("--dir {}: is in use by another backup; give each its own", path);
    }
    if (::faccessat(lock.get(), ".", W_OK, AT_EACCESS) != 0)
        return directory_error(errno, path, "cannot be written");
    StateDirectory directory(std::move(path), std::move(lock));
    FMVM_TRY(about("--dir " + directory.path_ + record_name, directory.read()));
    return directory;
}

Result<void> StateDirectory::read() {
    const std::optional<RegularFile> file =
        FMVM_TRY(find_regular_file(lock_.get(), record_name + 1));
    if (!file) return {};
    std::vector<std::uint8_t> bytes(record_size + 1);
    std::size_t length = 0;
    const int failure =
        read_up_to(file->fd.get(), std::as_writable_bytes(std::span(bytes)), length);
    if (failure != 0) return errno_error(failure, "cannot be read");
    bytes.resize(length);
    ByteReader in(bytes);
    Known known;
    const auto vm = in.raw(known.vm.size());
    std::copy(vm.begin(), vm.end(), known.vm.begin());
    known.generation = in.u64();
    const std::uint64_t digest = in.u64();
    if (!in.done() || digest != digest_of(std::span(bytes).first(record_size - 8)))
        return Error("is damaged; give an empty directory");
    known_ = known;
    return {};
}

Result<void> StateDirectory::check(const lockstep::VmId& vm,
                                   lockstep::Generation generation) const {
    if (!known_) return {};
    if (known_->vm != vm)
        return make_error("this backup's directory {} is for another guest; give an empty one",
                          path_);
    if (generation < known_->generation) {
        return make_error(
            "generation {} was overtaken by {}, which this backup has met: another side went on "
            "with the guest since; start this one as that side's backup",
            generation, known_->generation);
    }
    return {};
}

Result<void> StateDirectory::record(const lockstep::VmId& vm, lockstep::Generation generation) {
    ByteWriter out;
    out.raw(vm);
    out.u64(generation);
    out.u64(digest_of(out.bytes()));
    const std::string path = path_ + record_name;
    DurableFile file = FMVM_TRY(DurableFile::create_in(lock_.get(), path, DurableFile::Draft::fixed,
                                                       0600, directory_error));
    FMVM_TRY(file.write(out.bytes()));
    FMVM_TRY(file.replace());
    known_ = Known{vm, generation};
    return {};
}

}  // namespace fmvm::node

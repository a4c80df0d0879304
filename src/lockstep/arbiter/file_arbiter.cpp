// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <functional>
#include <optional>
#include <vector>

#include "base/durable_file.h"
#include "base/file_io.h"
#include "base/open_file.h"
#include "base/ownership.h"
#include "base/random.h"
#include "base/text.h"
#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/arbiter_record.h"

namespace fmvm::lockstep {

namespace {

constexpr std::string_view ended_suffix = ".ended";
constexpr std::string_view trial_prefix = "trial-";

Error file_error(int error_number, const std::string& path, std::string_view what) {
    if (what == DurableFile::no_hard_links) {
        return make_error("arbiter {}: {}; choose an --arbiter path on another one", path, what);
    }
    return make_error("arbiter {}: {} ({}); make its directory available, and writable for fmvm",
                      path, what, std::strerror(error_number));
}

Result<bool> exists(const std::string& path) {
    if (::faccessat(AT_FDCWD, path.c_str(), F_OK, 0) == 0) return true;
    if (errno == ENOENT) return false;
    return file_error(errno, path, "cannot be looked for");
}

// Another medium now lies where the claims were: nothing that it says counts.
Error gone_error(const std::string& path) {
    return make_error("arbiter {}: this claim is gone; mount again what was there, or restore it",
                      path);
}

// The generation that the end of a claim's file name tells; none for other files.
std::optional<Generation> parse_generation(std::string_view ending) {
    if (ending.starts_with('0')) return std::nullopt;
    Generation generation = 0;
    const char* const end = ending.data() + ending.size();
    const auto [last, error] = std::from_chars(ending.data(), end, generation);
    if (error != std::errc() || last != end) return std::nullopt;
    return generation;
}

// Claims, marks of an orderly end, and what a crash leaves: trials, and drafts of all of them.
bool is_ours(std::string_view ending) {
    if (ending.starts_with(trial_prefix)) return true;
    ending = ending.substr(0, ending.find(".draft-"));
    if (ending.ends_with(ended_suffix)) ending.remove_suffix(ended_suffix.size());
    return parse_generation(ending).has_value();
}

// At most a little more than a record may be long.
Result<std::string> read_file(const std::string& path) {
    const std::optional<RegularFile> file =
        FMVM_TRY(about("arbiter " + path, find_regular_file(AT_FDCWD, path)));
    if (!file) return gone_error(path);
    std::string text(ArbiterRecord::bytes_max + 1, '\0');
    std::size_t length = 0;
    if (const int failure =
            read_up_to(file->fd.get(), std::as_writable_bytes(std::span(text)), length);
        failure != 0)
        return file_error(failure, path, "cannot be read");
    text.resize(length);
    return text;
}

// Whoever may write there decides who runs the guest.
Result<void> check_keepers(const std::string& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return file_error(errno, directory, "directory cannot be read");
    const Result<void> ours = check_directory(fd.get());
    if (ours.ok()) return {};
    return make_error(
        "arbiter {}: {}, and whoever may do that decides who runs the guest; choose a directory "
        "that only fmvm's user may write to",
        directory, ours.error().message());
}

class FileArbiter : public Arbiter {
  public:
    FileArbiter(const std::string& path, const VmId& vm, const std::string& side)
        : path_(path), vm_(vm), side_(side) {
        const std::size_t slash = path.rfind('/');
        directory_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
        base_ = slash == std::string::npos ? path : path.substr(slash + 1);
    }

    const std::string& directory() const { return directory_; }

    Result<Generation> newest() override;
    Result<Claim> claim(Generation generation) override;
    Result<void> could_claim() override;
    Result<bool> is_newest(Generation own) override;
    Result<void> mark_ended(Generation own) override;
    Result<bool> has_ended(Generation generation) override;
    // Whose newest claim it is; nothing without claims.
    Result<std::optional<VmId>> owner() const;
    // What could be taken for claims, and fmvm did not write.
    Result<std::vector<std::string>> junk() const;

  private:
    std::string claim_path(Generation generation) const {
        return fmt::format("{}.{}", path_, generation);
    }
    std::string ended_path(Generation generation) const {
        return fmt::format("{}{}", claim_path(generation), ended_suffix);
    }
    // What a file's name has behind PATH and a dot; nothing if it begins otherwise.
    std::optional<std::string_view> ending_of(std::string_view name) const;
    Result<void> look_through(const std::function<void(std::string_view name)>& take) const;
    Result<Generation> find_newest() const;
    Result<ArbiterRecord> read_any(ArbiterRecord::Kind kind, Generation generation) const;
    Result<ArbiterRecord> read(ArbiterRecord::Kind kind, Generation generation) const;
    Result<bool> place(const std::string& path, const ArbiterRecord& record) const;
    Result<bool> place(ArbiterRecord::Kind kind, Generation generation) const;

    std::string path_;
    std::string directory_;
    std::string base_;
    VmId vm_;
    std::string side_;
};

std::optional<std::string_view> FileArbiter::ending_of(std::string_view name) const {
    if (!name.starts_with(base_ + ".")) return std::nullopt;
    return name.substr(base_.size() + 1);
}

// Whichever VM's it is.
Result<ArbiterRecord> FileArbiter::read_any(ArbiterRecord::Kind kind, Generation generation) const {
    const std::string path =
        kind == ArbiterRecord::Kind::claim ? claim_path(generation) : ended_path(generation);
    const std::string text = FMVM_TRY(read_file(path));
    const std::optional<ArbiterRecord> record = ArbiterRecord::parse(text);
    if (!record || record->kind != kind || record->generation != generation) {
        return make_error("arbiter {}: is not what fmvm wrote; choose another --arbiter path",
                          path);
    }
    return *record;
}

Result<ArbiterRecord> FileArbiter::read(ArbiterRecord::Kind kind, Generation generation) const {
    ArbiterRecord record = FMVM_TRY(read_any(kind, generation));
    if (record.vm != vm_) {
        return make_error(
            "arbiter {}: belongs to another virtual machine; give each its own --arbiter path",
            claim_path(generation));
    }
    return record;
}

// Makes the file, whole and durable; false when there already is one, which stays.
Result<bool> FileArbiter::place(ArbiterRecord::Kind kind, Generation generation) const {
    return place(
        kind == ArbiterRecord::Kind::claim ? claim_path(generation) : ended_path(generation),
        {kind, vm_, generation, side_, std::time(nullptr)});
}

Result<bool> FileArbiter::place(const std::string& path, const ArbiterRecord& record) const {
    DurableFile file =
        FMVM_TRY(DurableFile::create(path, DurableFile::Draft::unique, 0600, file_error));
    const std::string text = record.text();
    FMVM_TRY(file.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
    return file.place_if_absent();
}

Result<Generation> FileArbiter::newest() {
    const Generation found = FMVM_TRY(find_newest());
    if (found != 0) FMVM_TRY(read(ArbiterRecord::Kind::claim, found));
    return found;
}

Result<std::optional<VmId>> FileArbiter::owner() const {
    const Generation found = FMVM_TRY(find_newest());
    if (found == 0) return std::optional<VmId>{};
    return std::optional<VmId>{FMVM_TRY(read_any(ArbiterRecord::Kind::claim, found)).vm};
}

Result<void> FileArbiter::look_through(
    const std::function<void(std::string_view name)>& take) const {
    DIR* const directory = ::opendir(directory_.c_str());
    if (directory == nullptr) return file_error(errno, directory_, "directory cannot be read");
    errno = 0;
    while (const dirent* entry = ::readdir(directory))
        take(entry->d_name);
    const int error_number = errno;
    ::closedir(directory);
    if (error_number != 0) return file_error(error_number, directory_, "directory cannot be read");
    return {};
}

Result<Generation> FileArbiter::find_newest() const {
    Generation found = 0;
    FMVM_TRY(look_through([&](std::string_view name) {
        if (const auto ending = ending_of(name))
            found = std::max(found, parse_generation(*ending).value_or(0));
    }));
    return found;
}

Result<std::vector<std::string>> FileArbiter::junk() const {
    std::vector<std::string> names;
    FMVM_TRY(look_through([&](std::string_view name) {
        const auto ending = ending_of(name);
        if (ending && !is_ours(*ending)) names.push_back(printable_ascii(std::string(name)));
    }));
    return names;
}

Result<Claim> FileArbiter::claim(Generation generation) {
    const Generation before = FMVM_TRY(newest());
    if (before > generation || generation == 0) return Claim::lost;
    // Claims make a chain. A missing link means that this is not the medium they were made on.
    if (before + 1 < generation) return gone_error(claim_path(generation - 1));
    if (FMVM_TRY(place(ArbiterRecord::Kind::claim, generation))) return Claim::won;
    const ArbiterRecord winner = FMVM_TRY(read(ArbiterRecord::Kind::claim, generation));
    // An old claim of our own counts only as long as nobody has gone on from it.
    const bool won = winner.side == side_ && FMVM_TRY(is_newest(generation));
    return won ? Claim::won : Claim::lost;
}

// Beside the claims, under a name that none has, exactly as a claim is made.
Result<void> FileArbiter::could_claim() {
    const Generation next = FMVM_TRY(newest()) + 1;
    const std::string path =
        fmt::format("{}.{}{:016x}", path_, trial_prefix, random_value<std::uint64_t>());
    FMVM_TRY(place(path, {ArbiterRecord::Kind::claim, vm_, next, side_, std::time(nullptr)}));
    if (::unlink(path.c_str()) == 0) return {};
    return file_error(errno, path, "cannot be removed");
}

Result<bool> FileArbiter::is_newest(Generation own) {
    // A newer claim of our own: won already, only the answer is still on its way.
    for (; FMVM_TRY(exists(claim_path(own + 1))); ++own) {
        if (FMVM_TRY(read(ArbiterRecord::Kind::claim, own + 1)).side != side_) return false;
    }
    // A directory that is not there any more, or an empty mount point, holds no newer claim either.
    const std::string evidence = own == 0 ? directory_ : claim_path(own);
    if (!FMVM_TRY(exists(evidence))) return gone_error(evidence);
    return true;
}

Result<void> FileArbiter::mark_ended(Generation own) {
    FMVM_TRY(read(ArbiterRecord::Kind::claim, own));
    FMVM_TRY(place(ArbiterRecord::Kind::ended, own));
    FMVM_TRY(read(ArbiterRecord::Kind::ended, own));
    return {};
}

Result<bool> FileArbiter::has_ended(Generation generation) {
    if (generation == 0) return false;
    FMVM_TRY(read(ArbiterRecord::Kind::claim, generation));
    if (!FMVM_TRY(exists(ended_path(generation)))) return false;
    FMVM_TRY(read(ArbiterRecord::Kind::ended, generation));
    return true;
}

}  // namespace

Result<std::optional<VmId>> file_arbiter_owner(const std::string& path) {
    return FileArbiter(path, VmId{}, "reader").owner();
}

Result<std::vector<std::string>> file_arbiter_junk(const std::string& path) {
    return FileArbiter(path, VmId{}, "reader").junk();
}

Result<std::unique_ptr<Arbiter>> create_file_arbiter(const std::string& path, const VmId& vm,
                                                     const std::string& side) {
    if (path.empty() || path.back() == '/')
        return make_error("arbiter {}: give the name of a file, not of a directory", path);
    if (!ArbiterRecord::is_valid_side(side)) {
        return make_error("arbiter {}: the side's name must have 1 to {} printable characters",
                          path, ArbiterRecord::side_bytes_max);
    }
    auto arbiter = std::make_unique<FileArbiter>(path, vm, side);
    FMVM_TRY(check_keepers(arbiter->directory()));
    FMVM_TRY(arbiter->newest());
    return std::unique_ptr<Arbiter>(std::move(arbiter));
}

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_key.h"

#include <sys/stat.h>

#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "base/durable_file.h"
#include "base/file_io.h"
#include "base/open_file.h"
#include "base/ownership.h"
#include "base/random.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t key_digits = 2 * sizeof(TlsKey);
constexpr std::size_t key_file_bytes_max = tls_keys_max * (key_digits + 1);

std::optional<TlsKey> parse_key(std::string_view line) {
    if (line.size() != key_digits) return std::nullopt;
    TlsKey key;
    for (std::size_t i = 0; i < key.bytes.size(); ++i) {
        const char* const pair = line.data() + 2 * i;
        const auto [rest, error] = std::from_chars(pair, pair + 2, key.bytes[i], 16);
        if (error != std::errc() || rest != pair + 2) return std::nullopt;
    }
    return key;
}

Result<void> check_key_file(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return errno_error(errno, "cannot be examined");
    FMVM_TRY(check_owner(fd));
    const mode_t mode = info.st_mode & (S_IRWXG | S_IRWXO);
    if (mode == 0) return {};
    return make_error(
        "is a key that others may reach (mode {:04o}); chmod 600 it, and make a new one if "
        "somebody "
        "may have read it",
        info.st_mode & 07777);
}

// One byte more than a key file may have is enough to know that this is none.
Result<TlsKeys> read_key_file(const std::string& path) {
    const RegularFile file = FMVM_TRY(open_regular_file(path));
    FMVM_TRY(check_key_file(file.fd.get()));
    std::array<char, key_file_bytes_max + 1> text{};
    std::size_t count = 0;
    const int error = read_up_to(file.fd.get(), std::as_writable_bytes(std::span(text)), count);
    if (error != 0) return errno_error(error, "cannot be read");
    return parse_tls_keys({text.data(), count});
}

Error key_file_error(int error_number, const std::string& path, std::string_view what) {
    return errno_error(error_number, fmt::format("key {} {}", path, what));
}

}  // namespace

Result<TlsKeys> parse_tls_keys(std::string_view text) {
    TlsKeys keys;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::optional<TlsKey> key = parse_key(line);
        if (!key) {
            return make_error(
                "line {} is no key; a line has {} hexadecimal digits, as fmvm key create writes "
                "them",
                keys.size() + 1, key_digits);
        }
        if (is_zero(key->bytes)) return Error("holds a key of zeroes, which is no secret");
        if (!keys.empty() && keys.front() == *key) return Error("holds the same key twice");
        if (keys.size() == tls_keys_max) return Error("holds more than two keys");
        keys.push_back(*key);
    }
    if (keys.empty()) return Error("is empty; fmvm key create makes a key");
    return keys;
}

Result<TlsKeys> read_tls_keys(const std::string& path) {
    Result<TlsKeys> keys = read_key_file(path);
    if (keys.ok()) return keys;
    return Error(fmt::format("key {} {}", path, keys.error().message()), Error::Kind::input);
}

Result<void> create_tls_key(const std::string& path) {
    std::string text;
    for (const std::uint8_t byte : random_value<TlsKey>().bytes)
        text += fmt::format("{:02x}", byte);
    text += '\n';
    DurableFile file =
        FMVM_TRY(DurableFile::create(path, DurableFile::Draft::unique, 0600, key_file_error));
    FMVM_TRY(
        file.write(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())));
    if (FMVM_TRY(file.place_if_absent())) return {};
    return Error(
        fmt::format("key {} is there already, and stays; give the name of a new file", path),
        Error::Kind::input);
}

}  // namespace fmvm::lockstep

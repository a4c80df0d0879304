// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

namespace fmvm {

namespace {

TextPosition position_of(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, std::min(offset, text.size()));
    const std::size_t newline = before.rfind('\n');
    const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    const auto newlines = std::ranges::count(before, '\n');
    return {static_cast<std::size_t>(newlines) + 1, before.size() - line_start + 1};
}

// An input iterator that lets the event handler below see how far the parser has read.
class CountingIterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, std::size_t* consumed) : at_(at), consumed_(consumed) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        ++at_;
        ++*consumed_;
        return *this;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
    bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

  private:
    const char* at_;
    std::size_t* consumed_;
};

// Builds the tree from the parser's events (the interface is nlohmann::json_sax).
class TreeBuilder {
  public:
    explicit TreeBuilder(std::string_view text) : text_(text) {}

    bool null() { return place(JsonValue::Kind::null); }
    bool boolean(bool value) {
        place(JsonValue::Kind::boolean)->boolean = value;
        return true;
    }
    bool number_integer(std::int64_t) { return place(JsonValue::Kind::other_number); }
    bool number_unsigned(std::uint64_t value) {
        place(JsonValue::Kind::unsigned_integer)->number = value;
        return true;
    }
    bool number_float(double, const std::string&) { return place(JsonValue::Kind::other_number); }
    bool string(std::string& value) {
        place(JsonValue::Kind::string)->text = std::move(value);
        return true;
    }
    bool binary(std::vector<std::uint8_t>&) { return false; }  // never in JSON text
    bool start_object(std::size_t) { return open(JsonValue::Kind::object); }
    bool start_array(std::size_t) { return open(JsonValue::Kind::array); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        key_position_ = next_token();
        for (const JsonValue& member : open_.back()->children) {
            if (member.key != name) continue;
            return fail(*key_position_, fmt::format("'{}' stands twice; give it once", name));
        }
        key_ = std::move(name);
        return true;
    }
    bool parse_error(std::size_t read, const std::string&, const nlohmann::json::exception& error) {
        // "[json.exception...] parse error at line L, column C: <reason>": the reason alone.
        std::string_view reason = error.what();
        const std::size_t column = reason.find("column ");
        const std::size_t colon = reason.find(": ", column == std::string_view::npos ? 0 : column);
        if (colon != std::string_view::npos) reason.remove_prefix(colon + 2);
        return fail(position_of(text_, read == 0 ? 0 : read - 1),
                    fmt::format("not well-formed JSON: {}", reason));
    }

    std::size_t* consumed() { return &consumed_; }
    Result<JsonValue> finish() && {
        if (error_) return *error_;
        return std::move(root_);
    }

  private:
    // The start of the token just read: the first byte behind the previous one that does not merely
    // separate. (The parser looks one byte past a number; that byte is a separator or a bracket.)
    TextPosition next_token() {
        const std::size_t start = text_.find_first_not_of(" \t\r\n,:", previous_end_);
        previous_end_ = consumed_;
        return position_of(text_, start);
    }

    // Makes the next value of the tree; never null.
    JsonValue* place(JsonValue::Kind kind) {
        JsonValue* const value = open_.empty() ? &root_ : &open_.back()->children.emplace_back();
        const TextPosition start = next_token();
        value->kind = kind;
        value->position = key_position_.value_or(start);
        value->key = std::exchange(key_, {});
        key_position_.reset();
        return value;
    }

    bool open(JsonValue::Kind kind) {
        JsonValue* const value = place(kind);
        if (open_.size() == json_depth_max) return fail(value->position, "nested too deeply");
        open_.push_back(value);  // stays put: its parent gets no child before it is closed
        return true;
    }

    bool close() {
        next_token();
        open_.pop_back();
        return true;
    }

    bool fail(TextPosition position, std::string_view message) {
        error_ = error_at(position, message);
        return false;
    }

    std::string_view text_;
    std::size_t consumed_ = 0;
    std::size_t previous_end_ = 0;
    std::string key_;
    std::optional<TextPosition> key_position_;
    JsonValue root_;
    std::vector<JsonValue*> open_;
    std::optional<Error> error_;
};

}  // namespace

Error error_at(TextPosition position, std::string_view message) {
    return make_error("line {}, column {}: {}", position.line, position.column, message);
}

Result<JsonValue> parse_json(std::string_view text) {
    TreeBuilder builder(text);
    const char* const end = text.data() + text.size();
    nlohmann::json::sax_parse(CountingIterator(text.data(), builder.consumed()),
                              CountingIterator(end, builder.consumed()), &builder);
    return std::move(builder).finish();
}

const JsonValue* find_member(const JsonValue& value, std::string_view key) {
    if (value.kind != JsonValue::Kind::object) return nullptr;
    const auto found = std::ranges::find(value.children, key, &JsonValue::key);
    return found == value.children.end() ? nullptr : &*found;
}

}  // namespace fmvm

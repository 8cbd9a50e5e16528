#include <ouro/kv/redis/wire/command.hpp>

#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

namespace ouro::redis {
namespace {

std::size_t digits_of(std::size_t number) noexcept {
    std::size_t digits = 1;
    for (; number >= 10; number /= 10) ++digits;
    return digits;
}

/// "$3\r\nGET\r\n"
std::size_t bulk_bytes(std::size_t size) noexcept { return digits_of(size) + size + 5; }

/// "*2\r\n"
std::size_t array_bytes(std::size_t words) noexcept { return digits_of(words) + 3; }

char* write_number(char mark, std::size_t number, char* into) noexcept {
    *into++ = mark;
    if (number < 10)
        *into++ = static_cast<char>('0' + number);
    else
        into = std::to_chars(into, into + 20, number).ptr;
    *into++ = '\r';
    *into++ = '\n';
    return into;
}

char* write_bulk(std::string_view text, char* into) noexcept {
    into = write_number('$', text.size(), into);
    if (!text.empty()) std::memcpy(into, text.data(), text.size());
    into += text.size();
    *into++ = '\r';
    *into++ = '\n';
    return into;
}

// Spaces separate the words of a name.
template <class F>
void for_each_word(std::string_view name, F each) {
    while (!name.empty()) {
        const std::size_t end = std::min(name.find(' '), name.size());
        if (end > 0) each(name.substr(0, end));
        name.remove_prefix(std::min(end + 1, name.size()));
    }
}

}  // namespace

std::size_t arg::words() const noexcept {
    switch (kind_) {
        case kind::text:
        case kind::number: return 1;
        case kind::views:
        case kind::strings: return size_;
        case kind::pairs: return 2 * size_;
    }
    return 0;
}

void arg::spell(std::int64_t number) noexcept {
    kind_ = kind::number;
    size_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, number).ptr -
                                     digits_);
}

void arg::spell(std::uint64_t number) noexcept {
    kind_ = kind::number;
    size_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, number).ptr -
                                     digits_);
}

// The shortest text that is read back as the same number; Redis knows "inf" and "nan", too.
void arg::spell(double number) noexcept {
    kind_ = kind::number;
    size_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, number).ptr -
                                     digits_);
}

encoded_size size_of(const command_info& what, std::span<const arg> arguments) noexcept {
    encoded_size size{what.encoded.size(), what.words};
    bool fits = true;
    for (const arg& argument : arguments) {
        size.words += argument.words();
        argument.for_each([&](std::string_view word) {
            fits &= word.size() <= word_bytes_max;
            size.bytes += bulk_bytes(word.size());
        });
    }
    size.bytes += array_bytes(size.words);
    if (!fits || size.words > command_words_max) size.bytes = 0;
    return size;
}

void encode(const command_info& what, std::span<const arg> arguments, encoded_size size,
            char* into) noexcept {
    [[maybe_unused]] const char* const end = into + size.bytes;
    into = write_number('*', size.words, into);
    std::memcpy(into, what.encoded.data(), what.encoded.size());
    into += what.encoded.size();
    for (const arg& argument : arguments)
        argument.for_each([&into](std::string_view word) { into = write_bulk(word, into); });
    OURO_ASSERT(into == end && "a command is as large as was reckoned");
}

std::size_t word_reader::number() noexcept {
    std::size_t number = 0;
    for (++at_; *at_ != '\r'; ++at_) number = 10 * number + static_cast<std::size_t>(*at_ - '0');
    at_ += 2;
    return number;
}

command::command(const command_info& what, std::span<const arg> arguments) : info_(&what) {
    const encoded_size size = size_of(what, arguments);
    take(size.bytes);
    words_ = static_cast<std::uint32_t>(size.words);
    if (size.bytes > 0) encode(what, arguments, size, bytes_);
}

command::command(std::string_view name, std::span<const arg> arguments)
    : info_(&redis::info(verb::any)) {
    // To the encoder it is a command without a name, whose words are all arguments.
    const encoded_size of_arguments = size_of(*info_, arguments);
    std::size_t words = of_arguments.words;
    std::size_t size = of_arguments.bytes - array_bytes(of_arguments.words);
    for_each_word(name, [&](std::string_view word) {
        ++words;
        size += bulk_bytes(word.size());
    });
    words_ = static_cast<std::uint32_t>(words);
    if (words == 0 || words > command_words_max || of_arguments.bytes == 0 ||
        name.size() > word_bytes_max)
        return;
    take(size + array_bytes(words));
    char* into = write_number('*', words, bytes_);
    const auto write = [&into](std::string_view word) { into = write_bulk(word, into); };
    for_each_word(name, write);
    for (const arg& argument : arguments) argument.for_each(write);
    OURO_ASSERT(into == bytes_ + size_ && "a command is as large as was reckoned");

    word_reader reader(bytes());
    reader.begin_command();
    const std::string_view first = reader.next();
    const command_info* const found =
        find_command(first, words_ > 1 ? reader.next() : std::string_view());
    if (found) info_ = found;
}

command::command(std::string_view name, std::span<const arg> arguments, const command_options& how)
    : command(name, arguments) {
    if (info_->id != verb::any) return;
    vouched_for_ = true;
    said_to_block_ = how.blocks;
    if (!how.key.empty()) said_slot_ = static_cast<std::int16_t>(slot_of(how.key));
}

command::command(const command& other)
    : info_(other.info_),
      words_(other.words_),
      said_slot_(other.said_slot_),
      vouched_for_(other.vouched_for_),
      said_to_block_(other.said_to_block_) {
    take(other.size_);
    std::memcpy(bytes_, other.bytes_, size_);
}

command::command(command&& other) noexcept
    : info_(other.info_),
      size_(other.size_),
      words_(other.words_),
      said_slot_(other.said_slot_),
      vouched_for_(other.vouched_for_),
      said_to_block_(other.said_to_block_) {
    if (other.bytes_ == other.inside_) {
        std::memcpy(inside_, other.inside_, size_);
        return;
    }
    if (shared()) {
        std::construct_at(&memory_, std::move(other.memory_));
        std::destroy_at(&other.memory_);
    }
    bytes_ = std::exchange(other.bytes_, other.inside_);
    other.size_ = 0;
}

command& command::operator=(command other) noexcept {
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
}

void command::take_outside(std::size_t bytes) {
    if (bytes < large_bytes_min) {
        bytes_ = static_cast<char*>(frame_pool::allocate(bytes));
        return;
    }
    net::open_block own(bytes);
    bytes_ = reinterpret_cast<char*>(own.free().data());
    own.append(bytes);  // they are written before anybody else sees them
    std::construct_at(&memory_, own.share(0, bytes));
}

void command::release() noexcept {
    if (shared())
        std::destroy_at(&memory_);
    else
        frame_pool::release(bytes_, size_);
}

std::string_view command::name() const noexcept {
    if (info_->id != verb::any || too_large()) return info_->name;
    word_reader reader(bytes());
    reader.begin_command();
    return reader.next();
}

std::vector<std::string_view> command::words() const {
    std::vector<std::string_view> all;
    if (too_large()) return all;
    all.reserve(words_);
    word_reader reader(bytes());
    for (std::size_t left = reader.begin_command(); left > 0; --left) all.push_back(reader.next());
    return all;
}

std::string_view command::first_key() const {
    if (too_large()) return {};
    if (info_->first_key > 0 && !info_->is(command_flag::movable_keys)) {
        const auto at = static_cast<std::size_t>(info_->first_key);
        if (at >= words_) return {};
        word_reader reader(bytes());
        reader.begin_command();
        for (std::size_t skipped = 0; skipped < at; ++skipped) reader.next();
        return reader.next();
    }
    if (info_->keys.empty()) return {};
    const std::vector<std::string_view> all = words();
    const std::size_t at = first_key_of(*info_, all);
    return at == 0 ? std::string_view() : all[at];
}

}  // namespace ouro::redis

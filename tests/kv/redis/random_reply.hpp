// random_reply.hpp: replies of every type and shape, drawn from a seed.
#pragma once

#include <ouro/tests/kv/redis/resp_reading.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>

namespace ouro::redis {

/// Writes random replies, one behind the other: their bytes, and what they mean in `notation`.
class reply_writer {
public:
    explicit reply_writer(std::uint64_t seed) : random_(seed) {}

    /// Adds a reply to `bytes`, and its meaning to `means`.
    void write(int depth = 0) {
        if (chance(8)) write_attribute(depth);
        const std::size_t kinds = depth < 5 ? 14 : 10;
        switch (draw(kinds)) {
            case 0: return null();
            case 1: return line('+', word(20), true);
            case 2: return line('-', word(40), true);
            case 3: return integer();
            case 4: return bulk('$', word(30));
            case 5: return bulk('!', word(30));
            case 6: return real();
            case 7: return boolean();
            case 8: return line('(', digits(), true);
            case 9: return verbatim();
            case 10: return aggregate('*', 1, depth);
            case 11: return aggregate('~', 1, depth);
            case 12: return aggregate('%', 2, depth);
            default: return aggregate(depth == 0 && !inside_ ? '>' : '*', 1, depth);
        }
    }
    std::size_t draw(std::size_t below) {
        return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
    }

    std::string bytes, means;

private:
    bool chance(std::size_t one_in) { return draw(one_in) == 0; }

    // Lines must not have the end of a line inside.
    std::string word(std::size_t size_max) {
        std::string text(draw(size_max + 1), ' ');
        for (char& c : text) c = chance(4) ? "\r\n$*:+\0\xff"[draw(8)] : char('a' + draw(26));
        return text;
    }
    std::string digits() {
        std::string text = chance(2) ? "-" : "";
        for (std::size_t count = 1 + draw(40); count > 0; --count) text += char('0' + draw(10));
        return text;
    }

    void line(char mark, std::string text, bool quote) {
        std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
        bytes += mark + text + "\r\n";
        means += mark + (quote ? '"' + escaped(text) + '"' : text);
    }
    void bulk(char mark, const std::string& text) {
        bytes += mark + std::to_string(text.size()) + "\r\n" + text + "\r\n";
        means += (mark == '!' ? '-' : mark) + ('"' + escaped(text) + '"');
    }
    void null() {
        bytes += std::array{"_\r\n", "$-1\r\n", "*-1\r\n"}[draw(3)];
        means += '_';
    }
    void integer() {
        auto number = static_cast<std::int64_t>(random_());
        number >>= draw(64);
        line(':', std::to_string(number), false);
    }
    void real() {
        const double number = static_cast<double>(static_cast<std::int64_t>(random_())) *
                              std::array{1.0, 1e-30, 1e200, 0.0}[draw(4)];
        line(',', chance(8) ? "inf" : number_text(number), false);
    }
    void boolean() { line('#', chance(2) ? "t" : "f", false); }
    void verbatim() {
        const std::string text = word(20);
        bytes += '=' + std::to_string(text.size() + 4) + "\r\ntxt:" + text + "\r\n";
        means += "=txt\"" + escaped(text) + '"';
    }
    void aggregate(char mark, std::size_t each, int depth) {
        const std::size_t count = draw(6);
        bytes += mark + std::to_string(count) + "\r\n";
        means += mark + std::string("[");
        for (std::size_t left = count * each; left > 0; --left) {
            write(depth + 1);
            if (left > 1) means += ' ';
        }
        means += ']';
    }
    void write_attribute(int depth) {
        const std::string before = means;
        const bool outside = std::exchange(inside_, true);
        aggregate('|', 2, depth);
        inside_ = outside;
        means = before;
    }

    std::mt19937_64 random_;
    bool inside_ = false;  // an attribute
};

}  // namespace ouro::redis
